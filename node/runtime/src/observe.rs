//! Tells how an agent is, from its run folder alone: after a restart of the node as before it.
//!
//! Decides by the held lock, the records, the boot id and start times; never by a bare process
//! number, and changes nothing. What to do about it is `control.rs`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

use crate::process;
use crate::record::{self, Exit, Failure, RecordError, State};

/// Why a run folder cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The lock cannot be examined.
    #[error("cannot examine the lock {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// How an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// There is no run folder, or nothing in it.
    Absent,
    /// A monitor is at work and the program has not yet begun.
    Starting {
        /// Since when, in milliseconds of Unix time.
        since_ms: u64,
    },
    /// The container runs and its monitor watches it.
    Running(State),
    /// The container has ended, and this is how.
    Exited(Exit),
    /// There is no container, and this is why.
    Failed(Failure),
    /// The monitor is gone and left no word of the end: it crashed, or the machine was restarted.
    Lost {
        /// The container it had made, if it came so far.
        state: Option<State>,
        /// Whether the container's first process still lives, unwatched.
        init_lives: bool,
    },
}

/// Looks at a run folder.
///
/// # Errors
/// The folder exists and cannot be read.
pub fn observe(run_dir: &Path) -> Result<Observation, ObserveError> {
    // The lock first: a monitor that ends after this look has left its record by then.
    let monitor_lives = monitor_lives(run_dir)?;
    // And what it says of the end counts when it is gone: until then it still cleans up.
    if !monitor_lives {
        if let Some(exit) = record::read(run_dir, record::EXIT)? {
            return Ok(Observation::Exited(exit));
        }
        if let Some(failure) = record::read(run_dir, record::FAILED)? {
            return Ok(Observation::Failed(failure));
        }
    }
    let state: Option<State> = record::read(run_dir, record::STATE)?;
    let launched = std::fs::metadata(run_dir.join(record::LAUNCH)).and_then(|m| m.modified());
    match (monitor_lives, state, launched) {
        (true, Some(state), _) if state.started => Ok(Observation::Running(state)),
        (true, _, launched) => {
            Ok(Observation::Starting { since_ms: to_ms(launched.unwrap_or(UNIX_EPOCH)) })
        }
        (false, None, Err(_)) => Ok(Observation::Absent),
        (false, state, _) => {
            let init_lives = state.as_ref().is_some_and(init_lives);
            Ok(Observation::Lost { state, init_lives })
        }
    }
}

/// Whether the container's first process still is the one of the record.
pub(crate) fn init_lives(state: &State) -> bool {
    process::boot_id().is_ok_and(|boot| boot == state.boot_id) && process::lives(state.init)
}

/// Whether a monitor holds the lock of a run folder.
pub(crate) fn monitor_lives(run_dir: &Path) -> Result<bool, ObserveError> {
    let path = run_dir.join(record::LOCK);
    let failed = |source: io::Error| ObserveError::Lock { path: path.clone(), source };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    // Shared, so that two who look at once do not take each other for a monitor.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(errno) => Err(failed(errno.into())),
    }
}

fn to_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
