//! The agents' containers as the node sees them: one run folder each, judged by evidence.
//!
//! Does one effect per call, through `skerry-runtime`; decides nothing. What was wanted stands in
//! `agent.json` beside the runtime's own records, so that a new node process knows what it adopts.
//! The [`crate::reconciler`] calls it.

mod environment;
pub mod history;
mod launch;
mod mounts;
mod pods;
mod ranges;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use skerry_core::agent::AgentSpec;
use skerry_core::desired::{DesiredAgent, plain_instance};
use skerry_core::ids::{AgentName, Digest};
use skerry_core::observed::{Exit, ObservedAgent, Phase};
use skerry_core::time::Tick;
use skerry_runtime::launch::LaunchError;
use skerry_runtime::spawn::SpawnError;
use skerry_runtime::{MonitorHandle, Observation, State};
use tokio::sync::watch;

use crate::config::Config;
use crate::secrets::Secrets;
use crate::volumes::Volumes;

pub use launch::{limits_in_force, shortfalls};

const AGENT: &str = "agent.json";
const AGENT_MAX: u64 = 1 << 20;
/// The format of [`AGENT`] that this version writes.
const AGENT_FORMAT: u32 = 2;
/// So many restarts by hand are recognised in a record of the first format.
const OLD_GENERATIONS: u64 = 64;
/// The clock ticks in which the kernel gives the start of a process.
const TICKS_PER_SECOND: u64 = 100;
/// Why something could not be done with an agent's container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The file system refused.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The image says no program and the spec neither.
    #[error("the image has no entrypoint and no command; set command in the spec")]
    NoProgram,
    /// A field of the spec cannot be followed here.
    #[error("{field}: {why}")]
    Field {
        /// Its path within the agent.
        field: String,
        /// The cause, and the next step.
        why: String,
    },
    /// The monitor was not started.
    #[error(transparent)]
    Spawn(SpawnError),
    /// The runtime refused.
    #[error(transparent)]
    Control(#[from] skerry_runtime::control::ControlError),
    /// Something was left behind.
    #[error("cannot clean up completely: {0}")]
    Clean(String),
}

impl ContainerError {
    fn field(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Field { field: field.into(), why: why.into() }
    }
}

impl From<SpawnError> for ContainerError {
    /// What the runtime refuses is told by the spec's own field.
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::Launch(LaunchError::Field { field, why, .. }) => {
                Self::field(launch::path_of(field), why)
            }
            error => Self::Spawn(error),
        }
    }
}

/// What is written beside the runtime's records.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct AgentFile {
    /// 1, and not written, up to version 0.1: then the instance was the digest of the whole spec.
    #[serde(default = "first_format")]
    format: u32,
    instance: Digest,
    spec: AgentSpec,
    /// How often in a row it had failed before this run.
    #[serde(default)]
    failures: u32,
    /// Why it could not even be launched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

fn first_format() -> u32 {
    1
}

/// One agent as found.
#[derive(Debug, Clone)]
pub struct Found {
    /// For the planner.
    pub seen: ObservedAgent,
    /// The container, while it runs.
    pub state: Option<State>,
    /// It was asked to end before it did.
    pub stop_requested: bool,
    /// How often in a row it had failed before.
    pub failures: u32,
}

impl Found {
    /// An agent that could not even be launched.
    pub fn failed(wanted: &DesiredAgent, failures: u32, message: String) -> Self {
        let (instance, spec) = (wanted.instance, wanted.spec.clone());
        Self {
            seen: ObservedAgent { instance, spec, phase: Phase::Failed { message } },
            state: None,
            stop_requested: false,
            failures,
        }
    }
}

/// Where containers are, and how they are made.
pub struct Containers {
    node: String,
    agents: PathBuf,
    pods: PathBuf,
    state_dir: PathBuf,
    cgroup: PathBuf,
    log: watch::Sender<crate::config::Log>,
    secrets: Secrets,
    volumes: Volumes,
}

impl Containers {
    /// Containers as the configuration places them.
    ///
    /// # Errors
    /// The folder of run folders cannot be made.
    pub fn new(config: &Config) -> Result<Self, ContainerError> {
        let agents = config.run_dir.join("agents");
        fs::create_dir_all(&agents).map_err(io("create", &agents))?;
        Ok(Self {
            node: config.node.clone(),
            agents,
            pods: config.run_dir.join("pods"),
            state_dir: config.state_dir.clone(),
            cgroup: config.cgroup.join("agents"),
            log: watch::Sender::new(config.log.clone()),
            secrets: Secrets::below(&config.state_dir),
            volumes: Volumes::below(&config.state_dir),
        })
    }

    /// The secrets that agents are given.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The volumes that agents share.
    pub fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    /// The run folder of an agent.
    pub fn run_dir(&self, name: &AgentName) -> PathBuf {
        self.agents.join(name.as_str())
    }

    /// The folder of an agent's output.
    pub fn log_dir(&self, name: &AgentName) -> PathBuf {
        self.state_dir.join("logs").join(name.as_str())
    }

    /// The names of all agents that left any trace.
    pub fn names(&self) -> Vec<AgentName> {
        let entries = fs::read_dir(&self.agents).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// Changes how much of agents' output is kept, from their next start on.
    pub fn set_log(&self, log: crate::config::Log) {
        self.log.send_replace(log);
    }

    /// Looks whether a running agent is in its control group, and puts it back if it can be.
    ///
    /// # Errors
    /// It cannot be told, or the kernel refuses.
    pub fn contain(&self, name: &AgentName) -> Result<skerry_runtime::Contained, ContainerError> {
        Ok(skerry_runtime::contain(&self.run_dir(name))?)
    }

    /// Kills an agent by its first process, wherever its control group is.
    ///
    /// # Errors
    /// It does not run, or the kernel refuses.
    pub fn kill_first(&self, name: &AgentName) -> Result<(), ContainerError> {
        const SIGKILL: i32 = 9;
        Ok(skerry_runtime::signal(&self.run_dir(name), SIGKILL)?)
    }

    /// Where all of this is, for [`crate::sweep`].
    pub fn base(&self) -> (PathBuf, PathBuf, PathBuf) {
        (self.agents.clone(), self.agents.with_file_name("pods"), self.cgroup.clone())
    }

    /// The names of run folders that say whose they are. A record that cannot be read at this moment
    /// counts as one that says so: what is not known is left alone.
    ///
    /// # Errors
    /// The folder of run folders cannot be read: nothing is known.
    pub fn owned(&self) -> std::io::Result<BTreeSet<String>> {
        let mut owned = BTreeSet::new();
        for entry in fs::read_dir(&self.agents)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let says = match fs::metadata(entry.path().join(AGENT)) {
                Ok(_) => read_agent(&entry.path()).is_some() || !is_readable(&entry.path()),
                Err(error) => error.kind() != std::io::ErrorKind::NotFound,
            };
            if says && name.parse::<AgentName>().is_ok() {
                owned.insert(name);
            }
        }
        Ok(owned)
    }

    /// Looks at one agent.
    pub fn look(&self, name: &AgentName) -> Option<Found> {
        let run_dir = self.run_dir(name);
        if !run_dir.exists() {
            return None;
        }
        let file = read_agent(&run_dir)?;
        let mut stop_requested = false;
        let (phase, state) = match skerry_runtime::observe(&run_dir) {
            Ok(Observation::Absent) => {
                let message = file.failure.unwrap_or_else(|| "it was never launched".to_owned());
                (Phase::Failed { message }, None)
            }
            Ok(Observation::Starting { .. }) => (Phase::Starting, None),
            Ok(Observation::Running(state)) => (running(&state), Some(state)),
            Ok(Observation::Exited(exit)) => {
                stop_requested = exit.stop_requested;
                (Phase::Exited(exited(&exit)), None)
            }
            Ok(Observation::Failed(failure)) => {
                let message = format!("cannot start: {}: {}", failure.operation, failure.message);
                (Phase::Failed { message }, None)
            }
            Ok(Observation::Lost { init_lives, state }) => {
                (Phase::Lost { alive: init_lives }, state)
            }
            Err(error) => (Phase::Failed { message: error.to_string() }, None),
        };
        let seen = ObservedAgent { instance: file.instance, spec: Arc::new(file.spec), phase };
        Some(Found { seen, state, stop_requested, failures: file.failures })
    }

    /// Starts an agent that has failed so often in a row. What becomes of it is seen by [`Self::look`].
    ///
    /// # Errors
    /// It cannot be launched at all.
    pub fn start(
        &self,
        wanted: &DesiredAgent,
        image: &skerry_images::Image,
        failures: u32,
    ) -> Result<MonitorHandle, ContainerError> {
        let run_dir = self.run_dir(&wanted.spec.name);
        // For this user alone: what it holds is the agent's own business.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&run_dir);
        made.map_err(io("create", &run_dir))?;
        let launch = match self.launch(wanted, image, &run_dir) {
            Ok(launch) => launch,
            Err(error) => {
                // Without a record in it, it would be taken for an agent.
                let _ = fs::remove_dir_all(&run_dir);
                if let Some(pod) = &wanted.spec.pod {
                    self.leave_pod(pod)?;
                }
                return Err(error);
            }
        };
        write_agent(&run_dir, wanted, failures, None)?;
        Ok(skerry_runtime::spawn(Path::new("/proc/self/exe"), &run_dir, &launch)?)
    }

    /// Leaves a record of a start that failed, so that the next node process knows of it. Without
    /// room for it there is none, and the start is tried again then.
    pub fn leave_failure(&self, wanted: &DesiredAgent, failures: u32, message: &str) {
        let run_dir = self.run_dir(&wanted.spec.name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&run_dir);
        let message = message.chars().take(history::MESSAGE_MAX).collect();
        if made.is_err() || write_agent(&run_dir, wanted, failures, Some(message)).is_err() {
            let _ = fs::remove_dir(&run_dir);
        }
    }

    /// Gives a running agent what can be changed without a restart: its limits in the kernel, and the
    /// rest in its record.
    ///
    /// # Errors
    /// The kernel refuses a limit; the record then stays as it was.
    pub fn adjust(&self, wanted: &DesiredAgent) -> Result<(), ContainerError> {
        let run_dir = self.run_dir(&wanted.spec.name);
        skerry_runtime::set_limits(&run_dir, &launch::limits(&wanted.spec))?;
        let failures = read_agent(&run_dir).map_or(0, |file| file.failures);
        write_agent(&run_dir, wanted, failures, None)
    }

    /// Asks an agent's program to end, by what was agreed on when it was started.
    ///
    /// # Errors
    /// It does not run, or the kernel refuses.
    pub fn terminate(&self, name: &AgentName) -> Result<(), ContainerError> {
        Ok(skerry_runtime::stop(&self.run_dir(name))?)
    }

    /// Kills every process of an agent.
    ///
    /// # Errors
    /// Some are left.
    pub fn kill(&self, name: &AgentName) -> Result<(), ContainerError> {
        Ok(skerry_runtime::kill_all(&self.run_dir(name))?)
    }

    /// Removes the traces of a run that ended.
    ///
    /// # Errors
    /// Something was left behind.
    pub fn clean(&self, name: &AgentName) -> Result<(), ContainerError> {
        let run_dir = self.run_dir(name);
        let pod = self.pod_of(&run_dir);
        let errors = skerry_runtime::clean(&run_dir);
        if run_dir.exists() && errors.is_empty() {
            fs::remove_dir_all(&run_dir).map_err(io("remove", &run_dir))?;
        }
        match (errors.first(), pod) {
            (Some(first), _) => Err(ContainerError::Clean(first.to_string())),
            (None, Some(pod)) => self.leave_pod(&pod),
            (None, None) => Ok(()),
        }
    }

    /// Removes the output of an agent that nobody wants any more, and what it was given for good.
    ///
    /// # Errors
    /// The file system refused.
    pub fn forget(&self, name: &AgentName) -> Result<(), ContainerError> {
        let state_dir = &self.state_dir;
        ranges::forget(state_dir, name).map_err(io("give back user ids to", state_dir))?;
        let folder = self.log_dir(name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io("remove", &folder)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the control groups of agents and monitors, as far as nothing lives in them: a folder
    /// that holds anything refuses to go. The one above goes too, unless it is a systemd unit's.
    pub fn leave(&self, kernel: &skerry_runtime::Kernel) {
        let monitors = self.cgroup.with_file_name("monitors");
        let base = self.cgroup.parent().filter(|base| base.extension().is_none());
        for group in [Some(self.cgroup.as_path()), Some(&monitors), base].into_iter().flatten() {
            for folder in skerry_runtime::cgroup::Group::at(kernel, group).paths() {
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

fn write_agent(
    run_dir: &Path,
    wanted: &DesiredAgent,
    failures: u32,
    failure: Option<String>,
) -> Result<(), ContainerError> {
    let file = AgentFile {
        format: AGENT_FORMAT,
        instance: wanted.instance,
        spec: AgentSpec::clone(&wanted.spec),
        failures,
        failure,
    };
    // Names, numbers and lists always serialise.
    let content = serde_json::to_vec(&file).unwrap_or_default();
    let (path, aside) = (run_dir.join(AGENT), run_dir.join(".agent.json.new"));
    fs::write(&aside, content).map_err(io("write", &aside))?;
    fs::rename(&aside, &path).map_err(io("rename", &aside))
}

fn running(state: &State) -> Phase {
    let since = Tick(state.init.start_time.saturating_mul(1000 / TICKS_PER_SECOND));
    Phase::Running { pid: u32::try_from(state.init.pid).unwrap_or_default(), since }
}

fn exited(exit: &skerry_runtime::Exit) -> Exit {
    Exit {
        code: exit.code,
        signal: exit.signal,
        oom_killed: exit.oom_killed,
        ran_ms: exit.finished_at_ms.saturating_sub(exit.started_at_ms),
        finished_at_ms: i64::try_from(exit.finished_at_ms).unwrap_or(i64::MAX),
    }
}

fn read_agent(run_dir: &Path) -> Option<AgentFile> {
    use std::io::Read;
    let mut content = Vec::new();
    let file = fs::File::open(run_dir.join(AGENT)).ok()?;
    file.take(AGENT_MAX).read_to_end(&mut content).ok()?;
    let file: AgentFile = serde_json::from_slice(&content).ok()?;
    Some(if file.format == 1 { upgrade(file, &content) } else { file })
}

/// Whether the bytes of the record can be had, whatever they say.
fn is_readable(run_dir: &Path) -> bool {
    fs::read(run_dir.join(AGENT)).is_ok()
}

/// In the first format an instance was the digest of the whole spec as it was written. What runs
/// since then is recognised, and left alone.
fn upgrade(file: AgentFile, content: &[u8]) -> AgentFile {
    #[derive(Deserialize)]
    struct AsWritten<'a> {
        #[serde(borrow)]
        spec: &'a RawValue,
    }
    let Ok(AsWritten { spec }) = serde_json::from_slice(content) else { return file };
    let whole = Digest::of(spec.get().as_bytes());
    let was = |generation: &u64| match generation {
        0 => whole == file.instance,
        count => Digest::of(format!("{whole}#{count}").as_bytes()) == file.instance,
    };
    match (0..=OLD_GENERATIONS).find(was) {
        Some(generation) => {
            let instance = plain_instance(&file.spec, generation);
            AgentFile { format: AGENT_FORMAT, instance, ..file }
        }
        None => file,
    }
}

fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ContainerError {
    let path = path.to_owned();
    move |source| ContainerError::Io { operation, path, source }
}

#[cfg(test)]
mod tests;
