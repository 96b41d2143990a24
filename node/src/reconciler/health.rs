//! What is looked at beside the agents' own records: whether they are in their control groups, and
//! whether the system gives what their start needs. It tells troubles, and ends an agent only where
//! its limits hold no more.

use skerry_core::ids::AgentName;
use skerry_core::observed::Phase;
use skerry_runtime::Contained;

use super::Reconciler;
use crate::troubles::Kind;

/// What the kernel says where a process cannot be made or a file not be opened.
const NO_PROCESS: [&str; 2] = ["(os error 11)", "(os error 12)"];
const NO_DESCRIPTOR: [&str; 2] = ["(os error 23)", "(os error 24)"];

impl Reconciler {
    /// Looks at every running agent, for whoever asks how the node is.
    pub(super) fn inspect(&mut self) {
        let names: Vec<_> = self.found.keys().cloned().collect();
        for name in names {
            self.look(&name);
        }
    }

    /// Looks whether a running agent is in its control group. One that cannot be put back is ended,
    /// and comes again by its own policy: without a group it has no limits.
    pub(super) fn contain(&self, name: &AgentName) {
        let whom = name.as_str();
        let (what, next) = match self.containers.contain(name) {
            Ok(Contained::Whole) => return self.troubles.clear(Kind::Cgroup, whom),
            Ok(Contained::PutBack(group)) => (
                format!(
                    "agent {name} was not in its control group {}; it was put back",
                    group.display()
                ),
                "look for another program on this device that manages control groups",
            ),
            Ok(Contained::Loose(group)) => {
                if let Err(error) = self.containers.kill_first(name) {
                    tracing::warn!(agent = %name, %error, "cannot be ended");
                }
                (
                    format!(
                        "the control group {} of agent {name} was removed; the agent is run anew",
                        group.display()
                    ),
                    "look for another program on this device that manages control groups",
                )
            }
            Err(error) => (
                format!(
                    "agent {name} is not in its control group, and cannot be put back: {error}"
                ),
                "restart the agent: skerry restart",
            ),
        };
        self.troubles.raise(Kind::Cgroup, whom, &what, next);
    }

    /// Tells whether an agent cannot start for want of processes or descriptors.
    pub(super) fn judge_start(&self, name: &AgentName, phase: &Phase) {
        let whom = name.as_str();
        let Phase::Failed { message } = phase else {
            if matches!(phase, Phase::Running { .. } | Phase::Exited(_)) {
                self.troubles.clear(Kind::Processes, whom);
                self.troubles.clear(Kind::SystemLimits, whom);
            }
            return;
        };
        let says = |codes: [&str; 2]| codes.iter().any(|code| message.contains(code));
        if says(NO_PROCESS) {
            let what = format!("agent {name} cannot start, as no process can be made: {message}");
            let next = "raise the limit on processes (systemd: TasksMax; pids.max; ulimit -u), or \
                        end some; it is tried again by itself";
            self.troubles.raise(Kind::Processes, whom, &what, next);
        } else if says(NO_DESCRIPTOR) {
            let what = format!("agent {name} cannot start for want of descriptors: {message}");
            let next = "raise the limit on open files (systemd: LimitNOFILE; ulimit -Hn)";
            self.troubles.raise(Kind::SystemLimits, whom, &what, next);
        }
    }

    /// Takes from the list what concerned an agent that is no more.
    pub(super) fn forget_troubles(&self, name: &AgentName) {
        for kind in [Kind::Cgroup, Kind::Processes, Kind::SystemLimits] {
            self.troubles.clear(kind, name.as_str());
        }
    }

    /// Watches the run folder of an agent. One that cannot be watched is looked at by a timer until
    /// it runs or can be.
    pub(super) fn watch(&mut self, name: &AgentName) {
        let run_dir = self.containers.run_dir(name);
        match self.watcher.add(name, &run_dir) {
            Ok(()) => {
                if self.unwatched.remove(name) && self.unwatched.is_empty() {
                    self.troubles.clear(Kind::SystemLimits, "");
                }
            }
            Err(error) => {
                self.unwatched.insert(name.clone());
                let what = format!("folders cannot be watched ({error}): agents are told of late");
                let next = "raise fs.inotify.max_user_watches: sysctl -w, and in /etc/sysctl.d";
                self.troubles.raise(Kind::SystemLimits, "", &what, next);
            }
        }
    }

    /// Looks again at agents that nothing wakes us for.
    pub(super) fn look_at_unwatched(&mut self) {
        for name in std::mem::take(&mut self.unwatched) {
            self.look(&name);
            match self.found.get(&name) {
                Some(found) if found.seen.phase.is_live() => self.watch(&name),
                _ => {}
            }
        }
        if self.unwatched.is_empty() {
            self.troubles.clear(Kind::SystemLimits, "");
        }
    }
}
