//! The node process: with which configuration it is started, and when one of them has proven itself.
//!
//! Agents are not its children in any way that matters: they outlive it, so that starting it again
//! costs them nothing. Supervision itself is in `supervise.rs`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::settings::{BOOT, Configuration};
use crate::tell::{Level, tell};

/// Its program.
const PROGRAM: &str = "/usr/bin/skerry";
/// Its control group, which is not the agents'.
const GROUP: &str = "/sys/fs/cgroup/skerry-node";
/// The kernel, short of memory, is to take agents first.
const OOM_SCORE: &str = "-800";
/// The folder in which its socket shows that it is ready.
pub const RUN: &str = "/run/skerry";
/// The socket's name.
pub const SOCKET: &str = "api.sock";

/// A configuration has failed when the node ended so many times without becoming steady.
const TRIES: usize = 2;
/// Ready for so long is steady.
const STEADY: Duration = Duration::from_secs(30);
/// With a configuration that is not the person's, theirs is tried again after so long.
const ANOTHER_CHANCE: Duration = Duration::from_secs(3600);

/// Which configuration is in use, and how well it does.
#[derive(Debug)]
pub struct Trial {
    choices: Vec<Configuration>,
    failures: usize,
    ready: Option<Duration>,
    steady: bool,
}

/// What time has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Wait,
    /// The configuration in use works: keep it.
    Keep,
    /// Give the person's configuration another chance.
    TryAgain,
}

impl Trial {
    /// Begins with the best.
    pub fn new(choices: Vec<Configuration>) -> Self {
        Self { choices, failures: 0, ready: None, steady: false }
    }

    /// The one to start with.
    pub fn current(&self) -> Option<&Configuration> {
        let turn = (self.failures / TRIES).checked_rem(self.choices.len())?;
        self.choices.get(turn)
    }

    /// The node's socket appeared.
    pub fn is_ready(&mut self, now: Duration) {
        self.ready = Some(now);
    }

    /// The node ended by itself. True when the next start is with another configuration.
    pub fn ended(&mut self) -> bool {
        let before = self.current().map(|choice| choice.file);
        self.failures = if self.steady { 0 } else { self.failures + 1 };
        (self.ready, self.steady) = (None, false);
        self.current().map(|choice| choice.file) != before
    }

    /// Looks at the clock; says each thing once.
    pub fn judge(&mut self, now: Duration) -> Verdict {
        let Some(ready) = self.ready else { return Verdict::Wait };
        let since = now.saturating_sub(ready);
        if !self.steady && since >= STEADY {
            self.steady = true;
            return Verdict::Keep;
        }
        if self.wants_another_chance() && since >= ANOTHER_CHANCE {
            self.ready = Some(now);
            return Verdict::TryAgain;
        }
        Verdict::Wait
    }

    /// When to look again.
    pub fn due(&self) -> Option<Duration> {
        let ready = self.ready?;
        match self.steady {
            false => Some(ready + STEADY),
            true => self.wants_another_chance().then_some(ready + ANOTHER_CHANCE),
        }
    }

    fn wants_another_chance(&self) -> bool {
        let theirs = self.choices.iter().any(|choice| choice.file == BOOT);
        theirs && self.current().is_some_and(|choice| choice.file != BOOT)
    }
}

/// The command that starts it.
pub fn command(configuration: &Configuration) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["node", "--config", configuration.file]);
    // It is started again whenever it ends, so `skerry down` must not end it.
    command.env("SKERRY_SUPERVISED", "1");
    command
}

/// Puts the process into its control group, and out of the sight of the kernel's memory killer.
pub fn settle(pid: i32) {
    let join = fs::create_dir_all(GROUP)
        .and_then(|()| fs::write(format!("{GROUP}/cgroup.procs"), pid.to_string()))
        .and_then(|()| fs::write(format!("/proc/{pid}/oom_score_adj"), OOM_SCORE));
    if let Err(error) = join {
        tell(Level::Warning, format!("the node is not in its control group: {error}"));
    }
}

#[cfg(test)]
#[path = "node/tests.rs"]
mod tests;
