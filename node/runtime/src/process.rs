//! Tells processes apart, and the one boot from the next.
//!
//! A process number means little: it is used again. Number, start time and boot id together mean
//! one process. Never kills by number. Used by the monitor, `observe.rs` and `control.rs`.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::record::ProcessId;

/// The id of this boot.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The process with this number now.
pub fn identify(pid: i32) -> io::Result<ProcessId> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (start_time, _) = parse_stat(&stat)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc/PID/stat"))?;
    Ok(ProcessId { pid, start_time })
}

/// Start time and state out of `/proc/PID/stat`; the name in it may hold spaces and parentheses.
fn parse_stat(stat: &str) -> Option<(u64, char)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some((start_time, state))
}

/// Whether exactly this process lives; a zombie does not.
pub fn lives(id: ProcessId) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", id.pid)) else {
        return false;
    };
    parse_stat(&stat).is_some_and(|(start, state)| start == id.start_time && !"ZX".contains(state))
}

/// A handle on exactly this process; `None` when it is gone.
pub fn open(id: ProcessId) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(id.pid) else { return Ok(None) };
    let fd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    // Compared after the handle was opened: from here on the number cannot pass to another.
    match identify(id.pid) {
        Ok(now) if now == id => Ok(Some(fd)),
        _ => Ok(None),
    }
}

/// Whether the reader of a pipe is gone. Asked right after one's death was tied to a parent's, it
/// tells whether that parent had died already.
pub fn is_abandoned(pipe: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(pipe, PollFlags::empty())];
    let now = Timespec::default();
    let asked = poll(&mut fds, Some(&now));
    asked.is_ok() && fds.iter().any(|fd| fd.revents().contains(PollFlags::ERR))
}

/// Makes the calling process, and what it starts, more or less welcome to the kernel when it is short
/// of memory.
pub fn set_oom_score(score: u16) -> io::Result<()> {
    const FILE: &str = "/proc/self/oom_score_adj";
    let now = std::fs::read_to_string(FILE)?;
    if now.trim().parse() == Ok(i32::from(score)) {
        return Ok(());
    }
    std::fs::write(FILE, score.to_string()).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => io::Error::new(
            error.kind(),
            format!(
                "{score} is less than {}, which only CAP_SYS_RESOURCE may lower: {error}",
                now.trim()
            ),
        ),
        _ => error,
    })
}

/// Milliseconds of Unix time; a clock before 1970 counts as 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
