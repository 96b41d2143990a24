//! The way of a stop: what is run before the signal, the signal, the grace period, the end.
//!
//! All of it is within the grace period, which begins when the stop is asked for. What is run before
//! the signal runs beside the agent, started by a child of the monitor, as the starting enters
//! namespaces that one does not come back from. A program that takes all the time is ended, and
//! the agent then has a moment for its signal. It never waits itself.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitStatus, kill_process, set_parent_process_death_signal};

use crate::exec::{Exec, exec};
use crate::launch::Stop;
use crate::sys::{self, Forked};

/// What an agent has after its signal when the program before it took the whole grace period.
const MOMENT: Duration = Duration::from_secs(2);

/// What a shell reports of a program whose time was over, and of one that could not be started.
const TIMED_OUT: i32 = 124;
const NOT_STARTED: i32 = 125;

/// A stop that was asked for.
pub struct Stopping {
    /// The child that runs what is run before the signal.
    before: Option<i32>,
    /// When the next step is due, unless something happens first.
    due: Option<Instant>,
    /// How what was run before the signal ended, as a shell reports it.
    pub pre_stop_code: Option<i32>,
}

impl Stopping {
    /// Begins. `init` is the container's first process.
    pub fn begin(run_dir: &Path, stop: &Stop, init: BorrowedFd<'_>) -> Self {
        let due = Instant::now().checked_add(Duration::from_millis(stop.grace_ms));
        let mut stopping = Self { before: None, due, pre_stop_code: None };
        if let Some(words) = &stop.pre_stop {
            match run_before(run_dir, words) {
                Ok(child) => {
                    stopping.before = Some(child);
                    return stopping;
                }
                Err(error) => {
                    eprintln!("cannot run what is to be run before the stop signal: {error}");
                    stopping.pre_stop_code = Some(NOT_STARTED);
                }
            }
        }
        signal(init, stop.signal);
        stopping
    }

    /// When [`Self::go_on`] should be called.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A child of the monitor has ended.
    pub fn ended(&mut self, pid: i32, status: WaitStatus, stop: &Stop, init: BorrowedFd<'_>) {
        if self.before != Some(pid) {
            return;
        }
        self.before = None;
        if self.pre_stop_code.is_none() {
            let by_signal = || 128 + status.terminating_signal().unwrap_or_default();
            self.pre_stop_code = Some(status.exit_status().unwrap_or_else(by_signal));
            signal(init, stop.signal);
        }
    }

    /// Takes the step that is due now, if one is.
    pub fn go_on(&mut self, stop: &Stop, init: BorrowedFd<'_>) {
        if self.due.is_none_or(|at| at > Instant::now()) {
            return;
        }
        if let Some(child) = self.before.filter(|_| self.pre_stop_code.is_none()) {
            self.pre_stop_code = Some(TIMED_OUT);
            // What it started dies with it.
            let _ = Pid::from_raw(child).map(|pid| kill_process(pid, Signal::KILL));
            signal(init, stop.signal);
            self.due = Instant::now().checked_add(MOMENT);
            return;
        }
        // The first process of a pid namespace takes all others with it.
        signal(init, nix::libc::SIGKILL);
        self.due = None;
    }
}

fn signal(init: BorrowedFd<'_>, number: i32) {
    // Gone already is as good.
    let _ = sys::send_signal(init, number);
}

/// Starts a program in the container, and returns the child that looks after it.
fn run_before(run_dir: &Path, words: &[String]) -> std::io::Result<i32> {
    match sys::fork(None)? {
        Forked::Parent(child) => Ok(child),
        Forked::Child => {
            // With its parent goes who waits for it.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            let wanted = Exec { args: words.to_vec(), ..Exec::default() };
            // The monitor's own words go to a file that must stay small.
            let said = std::io::stderr();
            let kept = rustix::io::fcntl_dupfd_cloexec(&said, 3);
            let _ = rustix::stdio::dup2_stderr(rustix::stdio::stdout());
            let code = match exec(run_dir, &wanted) {
                Ok(ended) => ended.shell_code(),
                Err(error) => {
                    if kept.is_ok_and(|kept| rustix::stdio::dup2_stderr(&kept).is_ok()) {
                        eprintln!("before the stop signal: {error}");
                    }
                    NOT_STARTED
                }
            };
            sys::exit_now(code)
        }
    }
}
