//! What can be done to an agent from outside: signal, stop, kill, limit, measure, clean up.
//!
//! Each function does one thing to one run folder, and addresses processes only through handles
//! whose identity was checked. Whether to do it is the caller's decision, after
//! [`crate::observe()`].

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cgroup::{CgroupError, Group, Kernel, Stats};
use crate::launch::{Launch, Limits};
use crate::observe::{ObserveError, init_lives, monitor_lives};
use crate::record::{self, ProcessId, RecordError, State};
use crate::{process, sys};

/// How long killed processes get to disappear.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something cannot be done to an agent.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The control group refused.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The run folder cannot be judged.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// There is nothing to act on.
    #[error("{what} of {run_dir} is not running")]
    NotRunning {
        /// What is not running.
        what: &'static str,
        /// The run folder.
        run_dir: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot {operation} {what} of {run_dir}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// On what.
        what: &'static str,
        /// The run folder.
        run_dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Why something was left behind by [`clean`].
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// Something lives there still, so nothing was touched.
    #[error("{what} of {run_dir} still lives; stop it first")]
    Lives {
        /// What lives.
        what: &'static str,
        /// The run folder.
        run_dir: PathBuf,
    },
    /// It cannot be told whether anything lives there.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A folder stayed.
    #[error("cannot remove {path}")]
    Remove {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Sends a signal to the container's first process.
///
/// # Errors
/// It is not running, or the kernel refuses.
pub fn signal(run_dir: &Path, signal: i32) -> Result<(), ControlError> {
    let state = state(run_dir)?;
    send(run_dir, "the agent", &state, state.init, signal)
}

/// Asks the monitor to stop the agent: its stop signal, its grace period, then the end. Returns at
/// once; the end is seen by [`crate::observe()`].
///
/// # Errors
/// The monitor is not running, or the kernel refuses.
pub fn stop(run_dir: &Path) -> Result<(), ControlError> {
    let state = state(run_dir)?;
    send(run_dir, "the monitor", &state, state.monitor, nix::libc::SIGTERM)
}

fn send(
    run_dir: &Path,
    what: &'static str,
    state: &State,
    to: ProcessId,
    signal: i32,
) -> Result<(), ControlError> {
    let run_dir = run_dir.to_owned();
    if process::boot_id().is_ok_and(|boot| boot != state.boot_id) {
        return Err(ControlError::NotRunning { what, run_dir });
    }
    let failed = |source| ControlError::System {
        operation: "send a signal to",
        what,
        run_dir: run_dir.clone(),
        source,
    };
    let Some(pidfd) = process::open(to).map_err(failed)? else {
        return Err(ControlError::NotRunning { what, run_dir });
    };
    sys::send_signal(pidfd.as_fd(), signal).map_err(failed)
}

/// Kills every process of the container at once, whether or not its monitor lives.
///
/// # Errors
/// Processes are left, or the control group cannot be used.
pub fn kill_all(run_dir: &Path) -> Result<(), ControlError> {
    Ok(group(run_dir)?.kill(PATIENCE)?)
}

/// Changes the limits of a running agent and returns them as the kernel reports them.
///
/// # Errors
/// A limit cannot be enforced, or the agent uses more memory than allowed from now on.
pub fn set_limits(run_dir: &Path, limits: &Limits) -> Result<Limits, ControlError> {
    let mut state = state(run_dir)?;
    if !state.started || !init_lives(&state) {
        return Err(ControlError::NotRunning { what: "the agent", run_dir: run_dir.to_owned() });
    }
    let kernel = Kernel::probe()?;
    kernel.check(limits)?;
    let group = group(run_dir)?;
    let in_force = group.limit(limits)?;
    state.limits = in_force.limits;
    state.shortfalls.retain(|shortfall| !shortfall.field.starts_with("limits."));
    state.shortfalls.extend(in_force.shortfalls);
    state.cgroups = group.paths();
    record::write(run_dir, record::STATE, &state)?;
    Ok(state.limits)
}

/// What an agent uses now; what the kernel does not tell is 0.
///
/// # Errors
/// The launch cannot be read, or no control group is mounted.
pub fn stats(run_dir: &Path) -> Result<Stats, ControlError> {
    Ok(group(run_dir)?.stats())
}

/// Removes what a container that has ended left behind: control groups, libcontainer's state, and
/// the run folder. Touches nothing while anything lives. Goes on after a failure, and returns all.
pub fn clean(run_dir: &Path) -> Vec<CleanError> {
    if !run_dir.exists() {
        return Vec::new();
    }
    let lives = |what| vec![CleanError::Lives { what, run_dir: run_dir.to_owned() }];
    match monitor_lives(run_dir) {
        Ok(true) => return lives("the monitor"),
        Ok(false) => {}
        Err(error) => return vec![ControlError::from(error).into()],
    }
    let mut errors = Vec::new();
    // A run folder without a readable launch never had a control group.
    if let Ok(group) = group(run_dir) {
        match group.pids() {
            Ok(pids) if pids.is_empty() => {}
            Ok(_) => return lives("the container"),
            Err(error) => return vec![ControlError::from(error).into()],
        }
        errors.extend(group.remove().into_iter().map(|error| ControlError::from(error).into()));
    }
    if let Err(source) = std::fs::remove_dir_all(run_dir) {
        errors.push(CleanError::Remove { path: run_dir.to_owned(), source });
    }
    errors
}

fn state(run_dir: &Path) -> Result<State, ControlError> {
    let state = record::read(run_dir, record::STATE)?;
    state.ok_or_else(|| ControlError::NotRunning { what: "the agent", run_dir: run_dir.to_owned() })
}

fn group(run_dir: &Path) -> Result<Group, ControlError> {
    let launch: Option<Launch> = record::read(run_dir, record::LAUNCH)?;
    let launch = launch.ok_or_else(|| ControlError::NotRunning {
        what: "the agent",
        run_dir: run_dir.to_owned(),
    })?;
    Ok(Group::at(&Kernel::probe()?, &launch.cgroup))
}
