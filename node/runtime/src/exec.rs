//! Runs a further program in an agent's container: for a person at a terminal, and for probes.
//!
//! The program is in the agent's namespaces and control group, without capabilities it lacks,
//! under the same filter. It must be called from a process with one thread that does little else,
//! such as the command line: the caller can make no children outside the container afterwards.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, set_dumpable_behavior,
    set_parent_process_death_signal, setsid, waitpid,
};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

pub(crate) mod terminal;

use crate::cgroup::{CgroupError, Group, Kernel};
use crate::launch::{Launch, User};
use crate::privileges::{PrivilegeError, Privileges};
use crate::program::{self, ProgramError};
use crate::record::{self, RecordError, State};
use crate::sys::{self, Forked};
use crate::{failure, process, spec};
use terminal::Terminal;

/// A further program for a running agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Additions to the agent's environment, as `KEY=value`.
    pub env: Vec<String>,
    /// The working directory; the agent's own if `None`.
    pub cwd: Option<PathBuf>,
    /// Whom it runs as; the agent's own user if `None`.
    pub user: Option<User>,
    /// Whether it gets a terminal of its own, which the caller's terminal then stands for.
    pub tty: bool,
    /// After this time it is killed.
    pub timeout: Option<Duration>,
}

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Killed, as its time was over.
    TimedOut,
}

impl Ended {
    /// The code that a shell would report.
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
            Self::TimedOut => 124,
        }
    }
}

/// Why a program did not run in the container.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The agent does not run.
    #[error("the agent in {run_dir} is not running")]
    NotRunning {
        /// The run folder.
        run_dir: PathBuf,
    },
    /// There is nothing to run.
    #[error("no program is named")]
    NoProgram,
    /// The agent's control group cannot be joined.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// It would not get what it may do.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The program cannot be started.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The system refused.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// What the child reported before it gave up.
    #[error("{message}")]
    Reported {
        /// In plain words.
        message: String,
    },
}

fn system<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> ExecError {
    move |source| ExecError::System { operation, source: source.into() }
}

/// Runs a program in the container of a running agent, with the caller's standard streams, and
/// waits for its end. It dies with the caller, which may be executed again ([`crate::seal()`]).
///
/// # Errors
/// The agent does not run, or the program cannot be started.
pub fn exec(run_dir: &Path, wanted: &Exec) -> Result<Ended, ExecError> {
    crate::seal().map_err(system("protect this program's file from the agent"))?;
    let not_running = || ExecError::NotRunning { run_dir: run_dir.to_owned() };
    let launch: Launch = record::read(run_dir, record::LAUNCH)?.ok_or_else(not_running)?;
    let state: State = record::read(run_dir, record::STATE)?.ok_or_else(not_running)?;
    if wanted.args.first().is_none_or(String::is_empty) {
        return Err(ExecError::NoProgram);
    }
    let launch = launch.with_env_file().map_err(system("read the agent's env_file"))?;
    let boot_id = process::boot_id().map_err(system("read the boot id"))?;
    if !state.started || boot_id != state.boot_id {
        return Err(not_running());
    }
    let init = process::open(state.init).map_err(system("find the container"))?;
    let init = init.ok_or_else(not_running)?;
    let group = Group::at(&Kernel::probe()?, &launch.cgroup);
    let target = group.clone_target()?;
    let mut job = Job {
        privileges: Privileges::of(&launch)?.with_user(wanted.user.as_ref()),
        join: target.is_none().then_some(&group),
        init: init.as_fd(),
        launch: &launch,
        wanted,
        terminal: None,
    };
    let (near, far) = match wanted.tty {
        true => Some(terminal::handover().map_err(system("prepare a terminal"))?).unzip(),
        false => (None, None),
    };
    // Only children are affected, so that the child is in the container's pid namespace from birth.
    move_into_thread_name_spaces(init.as_fd(), ThreadNameSpaceType::PROCESS_ID)
        .map_err(system("enter the container's process namespace"))?;
    let (report, report_to) = pipe_with(PipeFlags::CLOEXEC).map_err(system("make a pipe"))?;
    match sys::fork(target.as_ref().map(AsFd::as_fd)).map_err(system("fork"))? {
        Forked::Child => {
            drop((report, near));
            job.terminal = far;
            let Err(error) = job.become_program(report_to.as_fd());
            let mut text = failure::sentence(&error);
            failure::cut(&mut text, 4000);
            let _ = rustix::io::write(&report_to, text.as_bytes());
            sys::exit_now(127)
        }
        Forked::Parent(pid) => {
            drop((report_to, far));
            let terminal = near.and_then(|near| Terminal::receive(&near));
            supervise(pid, &report, terminal, wanted.timeout)
        }
    }
}

struct Job<'a> {
    privileges: Privileges,
    join: Option<&'a Group>,
    init: BorrowedFd<'a>,
    launch: &'a Launch,
    wanted: &'a Exec,
    /// Where the near end of a terminal is sent.
    terminal: Option<OwnedFd>,
}

impl Job<'_> {
    fn become_program(
        &self,
        caller: BorrowedFd<'_>,
    ) -> Result<std::convert::Infallible, ExecError> {
        if let Some(group) = self.join {
            group.join()?;
        }
        // From here on it is seen by the agent, which must not reach this program's file through it.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(system("close itself"))?;
        if let Some(score) = self.launch.oom_score_adj {
            process::set_oom_score(score).map_err(system("set oom_score_adj"))?;
        }
        // No controlling terminal, through which it could type for the caller.
        setsid().map_err(system("begin a session"))?;
        let users = match self.launch.user_namespace {
            Some(_) => ThreadNameSpaceType::USER,
            None => ThreadNameSpaceType::empty(),
        };
        let namespaces = users
            | ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::NETWORK
            | ThreadNameSpaceType::CONTROL_GROUP;
        move_into_thread_name_spaces(self.init, namespaces)
            .map_err(system("enter the container"))?;
        sys::close_from_on_exec(3);
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let user = self.wanted.user.as_ref().unwrap_or(&self.launch.user);
        if let Some(to) = &self.terminal {
            terminal::take(to, user.uid).map_err(system("open a terminal in the container"))?;
        }
        self.privileges.take_on()?;
        let cwd = self.wanted.cwd.as_ref().unwrap_or(&self.launch.cwd);
        std::env::set_current_dir(cwd).map_err(system("enter the working folder"))?;
        // After the change of user, which clears it.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(system("follow the caller"))?;
        if process::is_abandoned(caller) {
            sys::exit_now(127);
        }
        let mut env = spec::environment(self.launch);
        for entry in &self.wanted.env {
            let key = entry.split_inclusive('=').next().unwrap_or_default();
            env.retain(|known| !known.starts_with(key));
            env.push(entry.clone());
        }
        let name = self.wanted.args.first().map_or("", String::as_str);
        let path = program::find(name, &env)?;
        Ok(program::become_program(&path, &self.wanted.args, &env, &self.privileges)?)
    }
}

fn supervise(
    pid: i32,
    report: &OwnedFd,
    mut terminal: Option<Terminal>,
    timeout: Option<Duration>,
) -> Result<Ended, ExecError> {
    let pid = Pid::from_raw(pid).ok_or(ExecError::NoProgram)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(system("watch the program"))?;
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut timed_out = false;
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        if let Some(terminal) = &terminal {
            fds.extend(terminal.poll_fds());
        }
        let woken = poll(&mut fds, left.as_ref());
        let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        match woken {
            Ok(0) => {
                timed_out = true;
                // It leads a session and a group of its own, so that its children go too.
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                break;
            }
            Ok(_) if ended => break,
            Ok(_) => {
                if let Some(terminal) = &mut terminal {
                    terminal.pump();
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(system("wait for the program")(errno)),
        }
    }
    // What was written last comes out, and the caller's terminal is as before.
    terminal.iter_mut().for_each(Terminal::drain);
    drop(terminal);
    let ended = waitpid(Some(pid), WaitOptions::empty()).map_err(system("collect the program"))?;
    let mut buffer = [0_u8; 4096];
    let size = rustix::io::read(report, &mut buffer).map_err(system("hear from the program"))?;
    if let Some(message) = buffer.get(..size).filter(|message| !message.is_empty()) {
        let message = String::from_utf8_lossy(message).into_owned();
        return Err(ExecError::Reported { message });
    }
    if timed_out {
        return Ok(Ended::TimedOut);
    }
    let status = ended.map(|(_, status)| status);
    let code = status.and_then(rustix::process::WaitStatus::exit_status);
    let signal = status.and_then(rustix::process::WaitStatus::terminating_signal);
    Ok(code.map_or_else(|| Ended::Signal(signal.unwrap_or_default()), Ended::Code))
}
