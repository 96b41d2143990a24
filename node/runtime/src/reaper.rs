//! The first process of a container whose agent wants one: collects orphans, passes signals on,
//! and ends as the program ends.
//!
//! The container's first process forks the program, which waits at a gate, and becomes this role by
//! executing this binary again, which gives back all memory used so far. The agent cannot reach the
//! binary: it is executed from a read-only mount that is nowhere attached, and the process is closed
//! to inspection before the gate opens. Where the binary cannot be executed in there, as it needs
//! libraries of the host, the role is played without. It has one capability, to signal whatever
//! user the program has become.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, WaitOptions, WaitStatus, set_dumpable_behavior, wait,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::sys::{self, Forked};

/// The hidden verb.
pub const VERB: &str = "container-init";

/// A hold on this binary that cannot be written through, as the monitor runs from a read-only mount
/// ([`crate::seal()`]).
pub fn own_binary() -> io::Result<OwnedFd> {
    debug_assert!(crate::seal::is_sealed().unwrap_or(false), "a monitor runs from such a mount");
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/proc/self/exe", flags, Mode::empty())?)
}

/// How the program ended, as it is told to the monitor.
pub fn told(status: WaitStatus) -> [u8; 2] {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => [b'c', (code & 0xff) as u8],
        (None, signal) => [b's', (signal.unwrap_or_default() & 0xff) as u8],
    }
}

/// Code and signal, as the monitor hears them.
pub fn heard(words: [u8; 2]) -> Option<(Option<i32>, Option<i32>)> {
    match words {
        [b'c', code] => Some((Some(i32::from(code)), None)),
        [b's', signal] => Some((None, Some(i32::from(signal)))),
        _ => None,
    }
}

/// Splits the calling process in two: the program, which returns from here once it may begin, and
/// this role, which does not return. `status` is where the program's end is told.
pub fn split(binary: RawFd, status: RawFd) -> io::Result<()> {
    let (gate, opener) = pipe_with(PipeFlags::CLOEXEC)?;
    match sys::fork(None)? {
        Forked::Child => {
            drop(opener);
            // Nothing is ever written: it opens by being closed.
            let _ = rustix::io::read(&gate, &mut [0_u8; 1]);
            Ok(())
        }
        Forked::Parent(program) => {
            drop(gate);
            become_reaper(binary, program, opener, sys::adopt(status))
        }
    }
}

fn become_reaper(binary: RawFd, program: i32, opener: OwnedFd, status: OwnedFd) -> ! {
    if let Some(role) = arguments(program, &opener, &status) {
        for fd in [&opener, &status] {
            let _ = rustix::io::fcntl_setfd(fd, FdFlags::empty());
        }
        let none: [CString; 0] = [];
        let flags = nix::fcntl::AtFlags::AT_EMPTY_PATH;
        sys::with_borrowed(binary, |binary| {
            let _ = nix::unistd::execveat(binary, c"", &role, &none, flags);
        });
    }
    run(program, opener, status)
}

fn arguments(program: i32, opener: &OwnedFd, status: &OwnedFd) -> Option<Vec<CString>> {
    let words = ["init".to_owned(), VERB.to_owned()].into_iter();
    let numbers = [program, opener.as_raw_fd(), status.as_raw_fd()].map(|n| n.to_string());
    words.chain(numbers).map(|word| CString::new(word).ok()).collect()
}

/// Runs `container-init PROGRAM OPENER STATUS`, the last two being open descriptors.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let numbers: Vec<i32> = args.filter_map(|text| text.to_str()?.parse().ok()).collect();
    let &[program, opener, status] = numbers.as_slice() else { return ExitCode::from(2) };
    run(program, sys::adopt(opener), sys::adopt(status))
}

fn run(program: i32, opener: OwnedFd, status: OwnedFd) -> ! {
    // Closed to all who have not the right to look into any process.
    let closed = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let kill = CapabilitySet::KILL;
    let only =
        CapabilitySets { effective: kill, permitted: kill, inheritable: CapabilitySet::empty() };
    let dropped = set_capabilities(None, only);
    if closed.is_err() || dropped.is_err() {
        // The program, which waits still, ends with the first process.
        sys::exit_now(127);
    }
    let _ = rustix::thread::set_name(c"init");
    sys::block_signals();
    sys::close_others(&[opener.as_raw_fd(), status.as_raw_fd()]);
    drop(opener);
    // What only the start needed. What is needed again comes back from the page cache.
    sys::forget_code();
    loop {
        match sys::next_signal() {
            Ok(nix::libc::SIGCHLD) => {
                while let Ok(Some((pid, ended))) = wait(WaitOptions::NOHANG) {
                    if pid.as_raw_nonzero().get() == program {
                        end(ended, &status);
                    }
                }
            }
            Ok(signal) => pass_on(program, signal),
            Err(_) => {}
        }
    }
}

fn pass_on(program: i32, signal: i32) {
    if Pid::from_raw(program).is_some() {
        // Not collected yet, so the number is still its own.
        sys::kill(program, signal);
    }
}

fn end(status: WaitStatus, to: &OwnedFd) -> ! {
    let _ = rustix::io::write(to, &told(status));
    let code = status.exit_status();
    sys::exit_now(code.unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or_default()))
}
