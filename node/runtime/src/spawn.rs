//! Starts the monitor of one agent. May be called from a process with threads.
//!
//! It writes `launch.json`, locks the run folder, and hands the lock to the monitor as its standard
//! input, so that the lock is held without a gap. It waits for nothing: how the start went is told
//! by [`crate::observe()`].

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::descriptors;
use crate::launch::{Launch, LaunchError};
use crate::record::{self, RecordError};

/// Why no monitor was started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The launch is not well formed.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The launch cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A monitor has this run folder.
    #[error("run folder {path} belongs to a monitor that lives")]
    Busy {
        /// The run folder.
        path: PathBuf,
    },
    /// The run folder holds the records of an earlier run.
    #[error("run folder {path} holds an earlier run; clean it first")]
    Used {
        /// The run folder.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A monitor that was started by this process.
#[derive(Debug)]
pub struct MonitorHandle {
    /// Its process number.
    pub pid: u32,
    /// Readable when it has ended. The container may outlive it only if it crashed.
    pub pidfd: OwnedFd,
    child: Child,
}

impl MonitorHandle {
    /// Collects the monitor if it has ended; call it when `pidfd` is readable, so that no zombie
    /// stays behind.
    ///
    /// # Errors
    /// The system does not know this child.
    pub fn collect(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

/// Starts `exe monitor RUN_DIR`; `exe` dispatches that to [`crate::monitor::main`].
///
/// # Errors
/// The launch is not well formed, the run folder is in use, or the system refuses.
pub fn spawn(exe: &Path, run_dir: &Path, launch: &Launch) -> Result<MonitorHandle, SpawnError> {
    launch.check()?;
    let io = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| SpawnError::Io { operation, path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(run_dir).map_err(io("make", run_dir))?;
    let lock = take_lock(run_dir)?;
    for name in [record::STATE, record::EXIT, record::FAILED] {
        if run_dir.join(name).exists() {
            return Err(SpawnError::Used { path: run_dir.to_owned() });
        }
    }
    record::write(run_dir, record::LAUNCH, launch)?;
    let log = run_dir.join(record::MONITOR_LOG);
    let log_file = OpenOptions::new().create(true).append(true).open(&log);
    let child = Command::new(exe)
        .arg("monitor")
        .arg(run_dir)
        .env_clear()
        .envs(descriptors::given().map(|soft| (descriptors::VARIABLE, soft)))
        .stdin(lock)
        .stdout(Stdio::null())
        .stderr(log_file.map_err(io("open", &log))?)
        .spawn()
        .map_err(io("start", exe))?;
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|errno| io("watch the monitor of", run_dir)(errno.into()))?;
    Ok(MonitorHandle { pid: child.id(), pidfd, child })
}

fn take_lock(run_dir: &Path) -> Result<File, SpawnError> {
    let path = run_dir.join(record::LOCK);
    let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let file =
        open.map_err(|source| SpawnError::Io { operation: "open", path: path.clone(), source })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SpawnError::Busy { path: run_dir.to_owned() }),
        Err(errno) => Err(SpawnError::Io { operation: "lock", path, source: errno.into() }),
    }
}
