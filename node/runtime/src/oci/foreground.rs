//! Stays with a program until it ends: hands on signals, copies a terminal, and tells its code.

use std::os::fd::AsFd;

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};

use super::{Result, refused, system};
use crate::exec::terminal::Terminal;
use crate::sys;

/// The signals that would end this process, for the program instead.
pub struct Signals(SignalFd);

impl Signals {
    /// From here on they wait.
    pub fn take() -> Result<Self> {
        let set = {
            use nix::sys::signal::Signal::*;
            let mut set = SigSet::empty();
            for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGALRM] {
                set.add(signal);
            }
            set
        };
        let failed = "cannot take signals for the program";
        set.thread_block().map_err(system(failed))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&set, flags).map_err(system(failed))?))
    }
}

/// Waits for a child's end; returns the code that a shell would report.
pub fn wait(pid: i32, signals: &Signals, mut terminal: Option<Terminal>) -> Result<u8> {
    let Some(pid) = Pid::from_raw(pid) else { return refused("no process") };
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(system("cannot watch the program"))?;
    loop {
        let mut fds = vec![
            PollFd::new(&pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(signals.0.as_fd(), PollFlags::IN),
        ];
        if let Some(terminal) = &terminal {
            fds.extend(terminal.poll_fds());
        }
        let woken = poll(&mut fds, None);
        let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        match woken {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(system("cannot wait for the program")(errno)),
        }
        while let Ok(Some(signal)) = signals.0.read_signal() {
            let number = i32::try_from(signal.ssi_signo).unwrap_or(0);
            // It may have ended meanwhile.
            let _ = sys::send_signal(pidfd.as_fd(), number);
        }
        if ended {
            break;
        }
        terminal.iter_mut().for_each(Terminal::pump);
    }
    terminal.iter_mut().for_each(Terminal::drain);
    drop(terminal);
    let ended = waitpid(Some(pid), WaitOptions::empty());
    let ended = ended.map_err(system("cannot collect the program"))?.map(|(_, status)| status);
    let code = ended.and_then(rustix::process::WaitStatus::exit_status);
    let signal = ended.and_then(rustix::process::WaitStatus::terminating_signal);
    let code = code.or_else(|| signal.map(|signal| 128 + signal)).unwrap_or(255);
    Ok(u8::try_from(code & 0xff).unwrap_or(255))
}
