//! Starts programs, waits for them and reads what they say, each with a deadline.
//! It never decides what a failure means. Next: `contestant.rs`, which says what to start.

use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};
use rustix::time::{ClockId, clock_gettime};

use crate::error::Error;

/// The longest that any single program of a measurement may take.
pub const PATIENCE: Duration = Duration::from_secs(15);
const MOST_OUTPUT: usize = 1 << 20;

/// CLOCK_MONOTONIC in nanoseconds: the clock that the probe reads too.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Waits until the descriptor is readable, but not for longer than [`PATIENCE`].
pub fn readable(fd: impl AsFd, what: &str) -> Result<(), Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(0) => {
                return Err(Error::Late { object: what.to_owned(), seconds: PATIENCE.as_secs() });
            }
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(source) => return Err(Error::of("wait for", what, source)),
        }
    }
}

/// Reads a pipe to its end.
pub fn read_all(mut pipe: PipeReader, what: &str) -> Result<String, Error> {
    let mut text = Vec::new();
    let mut part = [0_u8; 16384];
    loop {
        readable(&pipe, what)?;
        let count = pipe.read(&mut part).map_err(|e| Error::of("read", what, e))?;
        if count == 0 {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(part.get(..count).unwrap_or_default());
        if text.len() > MOST_OUTPUT {
            return Err(Error::form(what, "more than 1 MiB of output"));
        }
    }
}

/// Waits for a child to end; one that takes too long is killed.
pub fn wait(child: &mut Child, what: &str) -> Result<ExitStatus, Error> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
        .map_err(|e| Error::of("open a pidfd of", what, e))?;
    if let Err(late) = readable(&pidfd, &format!("the end of {what}")) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(late);
    }
    child.wait().map_err(|e| Error::of("wait for", what, e))
}

/// Runs a command to its end and demands success. What it says to its error output goes to the
/// file `errors`, and into the error.
pub fn run(command: &mut Command, errors: &Path) -> Result<(), Error> {
    let what = format!("{command:?}");
    let file = File::create(errors).map_err(|e| Error::at("create", errors, e))?;
    let spawned = command.stdin(Stdio::null()).stderr(file).spawn();
    // The command holds the write ends of pipes: given up here, so that readers see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = spawned.map_err(|e| Error::of("start", &what, e))?;
    let status = wait(&mut child, &what)?;
    if status.success() {
        return Ok(());
    }
    let said = std::fs::read_to_string(errors).unwrap_or_default();
    let said = said.chars().rev().take(600).collect::<Vec<_>>().into_iter().rev().collect();
    Err(Error::Command { command: what, status: status.to_string(), said })
}

/// Collects a process that a runtime left behind and that became ours (we are the subreaper).
pub fn reap(pid: Pid, what: &str) -> Result<ExitStatus, Error> {
    let pidfd =
        pidfd_open(pid, PidfdFlags::empty()).map_err(|e| Error::of("open a pidfd of", what, e))?;
    readable(&pidfd, &format!("the end of {what}"))?;
    match waitpid(Some(pid), WaitOptions::empty()) {
        Ok(Some((_, status))) => Ok(ExitStatus::from_raw(status.as_raw())),
        Ok(None) => Err(Error::form(what, "still running")),
        Err(source) => Err(Error::of("collect", what, source)),
    }
}
