//! Children of pid 1: started, and started again when they end.
//!
//! Decides when (`delay`, `Child`), and starts what it is given; it knows nothing of what they are for.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::SigSet;

use crate::tell::{Level, tell};

/// Who a child is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// `skerry node`.
    Node,
    /// The DHCP client of an interface.
    Lease(String),
    /// The time client.
    Time,
    /// A person's shell.
    Shell,
    /// The import of an image that came with the disk; it ends by itself.
    Import,
}

/// One child, alive or due to be.
#[derive(Debug)]
pub struct Child {
    /// Who.
    pub role: Role,
    /// Its process, while it runs.
    pub pid: Option<i32>,
    began: Duration,
    failures: u32,
    due: Option<Duration>,
}

/// Running for so long makes earlier failures count no more.
const STEADY: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(60);

/// How long to wait after so many failures in a row.
pub fn delay(failures: u32) -> Duration {
    let doubled = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_millis(500)
        .saturating_mul(u32::try_from(doubled).unwrap_or(u32::MAX))
        .min(LONGEST)
}

/// Pid 1 blocks signals to read them; a child that inherited that could not be asked to end.
pub fn unblock_signals(command: &mut Command) {
    let unblock = || Ok(SigSet::empty().thread_set_mask()?);
    // SAFETY: between fork and exec it makes one system call, and touches no memory of others.
    #[allow(unsafe_code, reason = "the standard library has no safe way to set the mask")]
    unsafe {
        command.pre_exec(unblock);
    }
}

impl Child {
    /// One that is due at once.
    pub fn new(role: Role, now: Duration) -> Self {
        Self { role, pid: None, began: now, failures: 0, due: Some(now) }
    }

    /// When it wants to be started, if it does not run.
    pub fn due(&self) -> Option<Duration> {
        self.due
    }

    /// It ended as it should, and goes on with the next thing at once.
    pub fn again(&mut self, now: Duration) {
        (self.failures, self.due) = (0, Some(now));
    }

    /// There is nothing for it to do, for good.
    pub fn rest(&mut self) {
        self.due = None;
    }

    /// It ended: when it is due again.
    pub fn ended(&mut self, now: Duration) {
        self.pid = None;
        let steady = now.saturating_sub(self.began) >= STEADY;
        self.failures = if steady { 1 } else { self.failures.saturating_add(1) };
        self.due = Some(now + delay(self.failures));
    }

    /// Starts it now, its output going to `output`.
    pub fn start(&mut self, mut command: Command, output: &OwnedFd, now: Duration) {
        (self.began, self.due) = (now, None);
        let copy = || output.try_clone().map_or_else(|_| Stdio::null(), Stdio::from);
        if self.role != Role::Shell {
            command.stdin(Stdio::null()).stdout(copy()).stderr(copy());
        }
        unblock_signals(&mut command);
        match command.spawn() {
            Ok(child) => self.pid = i32::try_from(child.id()).ok(),
            Err(error) => {
                tell(Level::Error, format!("cannot start {:?}: {error}", command.get_program()));
                self.ended(now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
