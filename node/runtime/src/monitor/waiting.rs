//! The role a monitor spends its life in: copies output, waits, records how the agent ended.
//!
//! Entered by exec, so that it begins with no memory but its own; it uses as little as it can. It
//! never polls: it sleeps until a pipe, a child, a stop request or the end of a grace period wakes
//! it. SIGTERM asks it to stop the agent in order; nothing but the agent's end ends it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::log::{Log, Stream};
use super::stopping::Stopping;
use crate::cgroup::{CgroupError, Group, Kernel};
use crate::launch::Launch;
use crate::record::{self, Exit, RecordError, State};
use crate::{failure, process, reaper, sys};

/// How long killed processes get to disappear, and output to arrive, after the agent has ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// An agent silent for so long is taken for a quiet one.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum WaitError {
    #[error("monitor-wait is started by monitor only")]
    Usage,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("there is no {name}")]
    Missing { name: &'static str },
    #[error("cannot {operation}")]
    System { operation: &'static str, source: io::Error },
}

fn system<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> WaitError {
    move |source| WaitError::System { operation, source: source.into() }
}

/// Runs `monitor-wait RUN_DIR LOCK PIDFD STDOUT STDERR [STATUS]`, all but the first being open
/// descriptors.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("waiting for the agent: {}", failure::sentence(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: impl Iterator<Item = OsString>) -> Result<(), WaitError> {
    let run_dir = PathBuf::from(args.next().ok_or(WaitError::Usage)?);
    let numbers: Vec<i32> = args.filter_map(|text| text.to_str()?.parse().ok()).collect();
    let &[lock, pidfd, stdout, stderr, ref status @ ..] = numbers.as_slice() else {
        return Err(WaitError::Usage);
    };
    // Held until this process ends.
    let _lock = sys::adopt(lock);
    let init = sys::adopt(pidfd);
    sys::close_from_on_exec(3);
    let streams = [(stdout, "stdout"), (stderr, "stderr")];
    let [stdout, stderr] = streams.map(|(fd, name)| Stream::new(sys::adopt(fd), name));
    let missing = |name| move || WaitError::Missing { name };
    let launch: Launch =
        record::read(&run_dir, record::LAUNCH)?.ok_or_else(missing(record::LAUNCH))?;
    let state: State = record::read(&run_dir, record::STATE)?.ok_or_else(missing(record::STATE))?;
    let wait = Wait {
        log: Log::open(launch.log.clone()),
        streams: [
            stdout.map_err(system("read the agent's output"))?,
            stderr.map_err(system("read the agent's errors"))?,
        ],
        init,
        status: status.first().map(|fd| sys::adopt(*fd)),
        launch,
        state,
        stop: None,
        trimmed: false,
    };
    wait.until_the_end(&run_dir)
}

struct Wait {
    log: Log,
    streams: [Stream; 2],
    init: OwnedFd,
    /// Where a first process of ours tells how the program ended.
    status: Option<OwnedFd>,
    launch: Launch,
    state: State,
    stop: Option<Stopping>,
    /// Whether memory was given back since there was last something to do.
    trimmed: bool,
}

impl Wait {
    fn until_the_end(mut self, run_dir: &Path) -> Result<(), WaitError> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        set.add(Signal::SIGTERM);
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(system("receive signals"))?;
        let status = loop {
            // First, as children may have ended before this role began.
            if let Some(status) = self.reap() {
                break status;
            }
            self.sleep(signals.as_fd())?;
            while let Ok(Some(signal)) = signals.read_signal() {
                if signal.ssi_signo == Signal::SIGTERM as u32 {
                    self.ask_to_stop(run_dir);
                }
            }
            if let Some(stop) = &mut self.stop {
                stop.go_on(&self.launch.stop, self.init.as_fd());
            }
            for stream in &mut self.streams {
                if stream.pipe().is_some() && stream.pump(&mut self.log) {
                    self.trimmed = false;
                }
            }
        };
        let finished_at_ms = process::now_ms();
        let oom_kills = self.wind_up();
        let exit = self.exit_record(status, finished_at_ms, oom_kills);
        Ok(record::write(run_dir, record::EXIT, &exit)?)
    }

    /// Collects ended children; the status of the container's first process if it is among them.
    fn reap(&mut self) -> Option<WaitStatus> {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            if pid == self.state.init.pid {
                return Some(status);
            }
            if let Some(stop) = &mut self.stop {
                stop.ended(pid, status, &self.launch.stop, self.init.as_fd());
            }
        }
        None
    }

    /// Sleeps until something happens. After a quiet while it gives back what memory it can, once.
    fn sleep(&mut self, signals: std::os::fd::BorrowedFd<'_>) -> Result<(), WaitError> {
        let due = self.stop.as_ref().and_then(Stopping::due);
        let left = due.map(|at| at.saturating_duration_since(Instant::now()));
        let left = if self.trimmed { left } else { Some(left.unwrap_or(QUIET).min(QUIET)) };
        // A grace period too long to reckon never ends.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let [stdout, stderr] = &self.streams;
        let mut fds = Vec::with_capacity(3);
        fds.push(PollFd::from_borrowed_fd(signals, PollFlags::IN));
        for pipe in [stdout.pipe(), stderr.pipe()].into_iter().flatten() {
            fds.push(PollFd::new(pipe, PollFlags::IN));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => {
                sys::forget_code();
                self.trimmed = true;
                Ok(())
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(system("wait")(errno)),
        }
    }

    fn ask_to_stop(&mut self, run_dir: &Path) {
        if self.stop.is_none() {
            self.stop = Some(Stopping::begin(run_dir, &self.launch.stop, self.init.as_fd()));
        }
    }

    /// Ends whatever is left, empties the pipes, and removes the control group.
    fn wind_up(&mut self) -> u64 {
        let group = Kernel::probe().map(|kernel| Group::at(&kernel, &self.launch.cgroup));
        let mut errors: Vec<CgroupError> = Vec::new();
        let mut oom_kills = 0;
        if let Ok(group) = &group {
            errors.extend(group.kill(PATIENCE).err());
            oom_kills = group.oom_kills();
        }
        self.drain();
        let _ = self.reap();
        if let Ok(group) = &group {
            errors.extend(group.remove());
        }
        for error in errors.into_iter().chain(group.err()) {
            eprintln!("clean-up: {}", failure::sentence(&error));
        }
        oom_kills
    }

    /// Everything that was written is in the pipes by now; nobody is left to write more.
    fn drain(&mut self) {
        let until = Instant::now() + PATIENCE;
        for stream in &mut self.streams {
            while stream.pipe().is_some() && stream.pump(&mut self.log) && Instant::now() < until {}
            stream.finish(&mut self.log);
        }
    }

    fn exit_record(&self, status: WaitStatus, finished_at_ms: u64, oom_kills: u64) -> Exit {
        let told = self.status.as_ref().and_then(|pipe| {
            let mut words = [0_u8; 2];
            let whole = rustix::io::ioctl_fionbio(pipe, true).is_ok()
                && rustix::io::read(pipe, &mut words) == Ok(words.len());
            whole.then(|| reaper::heard(words)).flatten()
        });
        let (code, signal) =
            told.unwrap_or_else(|| (status.exit_status(), status.terminating_signal()));
        Exit {
            format: record::FORMAT,
            instance: self.state.instance.clone(),
            code,
            signal,
            oom_killed: oom_kills > 0,
            oom_kills,
            stop_requested: self.stop.is_some(),
            started_at_ms: self.state.started_at_ms,
            finished_at_ms,
            log_bytes: self.log.written,
            log_bytes_lost: self.log.lost,
            log_bytes_dropped: self.log.dropped(),
            pre_stop_code: self.stop.as_ref().and_then(|stop| stop.pre_stop_code),
        }
    }
}
