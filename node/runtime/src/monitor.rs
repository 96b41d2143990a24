//! The monitor of one agent: makes its container, starts it, and becomes the role that waits.
//!
//! The story, in [`main`]: take the lock; make the control group; fork the *builder*
//! (`monitor/build.rs`), which mounts the root, lets libcontainer make the container as a child of
//! this process, and leaves; set the limits and read them back; record the state; start; then
//! become the wait role (`monitor/waiting.rs`) by executing the same binary again, which gives back
//! all memory used so far. libcontainer never runs in this process itself.
//!
//! It must have one thread, and must never end without `exit.json` or `failed.json`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use rustix::fs::{FlockOperation, flock};
use rustix::io::FdFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, set_child_subreaper, setsid, wait};

mod build;
pub(crate) mod complaints;
mod log;
mod service;
mod stopping;
mod waiting;

use crate::cgroup::{CgroupError, Group, Kernel};
use crate::descriptors;
use crate::devices::{self, DeviceError, Node};
use crate::failure;
use crate::launch::{Launch, LaunchError};
use crate::pod;
use crate::process;
use crate::reaper;
use crate::record::{self, Failure, ProcessId, RecordError, State};
use crate::sys::{self, Forked};

/// How long the making of a container may take. libcontainer itself waits without limit.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why a container was not made or not started.
#[derive(Debug, thiserror::Error)]
enum MonitorError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Devices(#[from] DeviceError),
    #[error("cannot {operation}")]
    System { operation: &'static str, source: io::Error },
    #[error("there is no launch.json in {run_dir}")]
    NoLaunch { run_dir: PathBuf },
    #[error("{operation} took longer than {} seconds", DEADLINE.as_secs())]
    Late { operation: &'static str },
    #[error("the process that makes the container ended without a word; see monitor.log")]
    Silent,
    #[error("{message}")]
    Reported { operation: String, message: String, errno: Option<i32> },
}

fn system<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> MonitorError {
    move |source| MonitorError::System { operation, source: source.into() }
}

/// Runs the hidden subcommands of this crate, if the arguments (program name included) name one:
/// `monitor RUN_DIR`, `monitor-wait …`, `pod …` and `container-init …`. Call it first in `main`, before any thread is started.
pub fn dispatch(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    let verb = args.next()?;
    if verb == "monitor" {
        return Some(main(&PathBuf::from(args.next()?)));
    }
    match verb.to_str()? {
        "monitor-wait" => Some(waiting::main(args)),
        "pod" => Some(pod::main(args)),
        reaper::VERB => Some(reaper::main(args)),
        _ => None,
    }
}

/// Owns the container of one run folder until it has ended.
pub fn main(run_dir: &Path) -> ExitCode {
    let mut made = Made::default();
    match start(run_dir, &mut made) {
        Ok(never) => match never {},
        Err(error) => {
            let errors = made.undo();
            let failure = describe(&error, made.instance);
            eprintln!("cannot start: {}: {}", failure.operation, failure.message);
            for error in errors {
                eprintln!("clean-up: {}", failure::sentence(&error));
            }
            if let Err(error) = record::write(run_dir, record::FAILED, &failure) {
                eprintln!("{}", failure::sentence(&error));
            }
            ExitCode::FAILURE
        }
    }
}

/// What has to be undone when the start fails.
#[derive(Default)]
struct Made {
    /// Held until the failure is on record: who sees it free may believe the records.
    lock: Option<OwnedFd>,
    instance: Option<String>,
    group: Option<Group>,
}

impl Made {
    fn undo(&self) -> Vec<CgroupError> {
        let Some(group) = &self.group else { return Vec::new() };
        let mut errors: Vec<_> = group.kill(Duration::from_secs(5)).err().into_iter().collect();
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        errors.extend(group.remove());
        errors
    }
}

fn start(run_dir: &Path, made: &mut Made) -> Result<Infallible, MonitorError> {
    // The standard input, which is the lock, stays open over it.
    crate::seal().map_err(system("protect this program's file from the agent"))?;
    let lock: &OwnedFd = made.lock.insert(become_monitor(run_dir)?);
    let launch: Launch = record::read(run_dir, record::LAUNCH)?
        .ok_or_else(|| MonitorError::NoLaunch { run_dir: run_dir.to_owned() })?;
    made.instance = Some(launch.instance.clone());
    launch.check()?;
    let kernel = Kernel::probe()?;
    kernel.check(&launch.limits)?;
    let devices = devices::resolve(&launch)?;
    let group = Group::create(&kernel, &launch.cgroup)?;
    made.group = Some(group.clone());
    group.prepare_for(&launch.limits)?;

    let deadline = Instant::now() + DEADLINE;
    let mut container = create(run_dir, &launch, &devices, &group, lock.as_fd(), deadline)?;
    let devices_enforced = !launch.privileged && group.restrict_devices(&devices)?;
    let in_force = group.limit(&launch.limits)?;
    let mut state = State {
        format: record::FORMAT,
        agent: launch.agent.clone(),
        instance: launch.instance.clone(),
        boot_id: process::boot_id().map_err(system("read the boot id"))?,
        monitor: myself()?,
        init: container.init,
        cgroups: group.paths(),
        limits: in_force.limits,
        devices_enforced,
        seccomp: *launch.filter() != crate::launch::Seccomp::Unconfined,
        started_at_ms: process::now_ms(),
        started: false,
        shortfalls: in_force.shortfalls,
    };
    // Before the program begins, so that nothing ever runs that no record names.
    record::write(run_dir, record::STATE, &state)?;
    match build::let_go(run_dir) {
        // Killed before it began is an end like any other: the wait role records it.
        Err(_) if container.has_ended() => {}
        done => done.map_err(system("start the container"))?,
    }
    container.await_program(deadline)?;
    state.started = true;
    record::write(run_dir, record::STATE, &state)?;
    // Only now: moving a process is slow, and the agent should not wait for it.
    if let Err(error) = service::leave_group(&launch.cgroup) {
        eprintln!("cannot leave the service's control group: {}", failure::sentence(&error));
    }
    become_wait_role(run_dir, lock, container)
}

/// Leaves the caller's session, descriptors and signals behind; returns the held lock.
fn become_monitor(run_dir: &Path) -> Result<OwnedFd, MonitorError> {
    sys::close_from(3);
    // Fails only when it leads a session already, which is as good.
    let _ = setsid();
    expose();
    descriptors::give_back();
    let lock = hold_lock(run_dir)?;
    let mut blocked = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        blocked.add(signal);
    }
    blocked.thread_block().map_err(system("block signals"))?;
    set_child_subreaper(Some(rustix::process::getpid())).map_err(system("adopt orphans"))?;
    std::env::set_current_dir("/").map_err(system("leave the working folder"))?;
    Ok(lock)
}

/// A node that its supervisor hides from the kernel's memory killer must not hide its agents too.
/// Upwards is always allowed; anything else is left as it is.
fn expose() {
    const SCORE: &str = "/proc/self/oom_score_adj";
    let score = std::fs::read_to_string(SCORE).unwrap_or_default();
    if score.starts_with('-') {
        let _ = std::fs::write(SCORE, "0");
    }
}

/// The lock that the caller handed over as standard input; taken here if there was none.
fn hold_lock(run_dir: &Path) -> Result<OwnedFd, MonitorError> {
    let held = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)
        .map_err(system("keep the lock"))?;
    let null = File::open("/dev/null").map_err(system("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(system("leave the standard input"))?;
    let path = run_dir.join(record::LOCK);
    let file =
        File::options().create(true).append(true).open(path).map_err(system("open the lock"))?;
    let same =
        |a: rustix::fs::Stat, b: rustix::fs::Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
    let handed_over = match (rustix::fs::fstat(&held), rustix::fs::fstat(&file)) {
        (Ok(held), Ok(file)) => same(held, file),
        _ => false,
    };
    let lock = if handed_over { held } else { file.into() };
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(system("lock the run folder: another monitor has it"))?;
    Ok(lock)
}

fn myself() -> Result<ProcessId, MonitorError> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    process::identify(pid).map_err(system("identify the monitor"))
}

/// A container that is made and not yet started.
struct Container {
    init: ProcessId,
    pidfd: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    /// Closed by the kernel when the program starts; a message comes when it cannot.
    program: OwnedFd,
    /// Where a first process of ours tells how the program ended.
    status: Option<OwnedFd>,
}

fn create(
    run_dir: &Path,
    launch: &Launch,
    devices: &[Node],
    group: &Group,
    lock: std::os::fd::BorrowedFd<'_>,
    deadline: Instant,
) -> Result<Container, MonitorError> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(system("make a pipe"));
    let (built, built_w) = pipe()?;
    let (program, program_w) = pipe()?;
    let (complaints, complaints_w) = pipe()?;
    let (stdout, stdout_w) = pipe()?;
    let (stderr, stderr_w) = pipe()?;
    let (status, status_w) = if launch.init { Some(pipe()?).unzip() } else { (None, None) };
    let target = group.clone_target()?;
    match sys::fork(target.as_ref().map(AsFd::as_fd)).map_err(system("fork the builder"))? {
        Forked::Child => {
            // Init must not hold the lock after this process; nor may the builder read the pipes.
            let mut must_close = vec![lock, built.as_fd(), program.as_fd(), complaints.as_fd()];
            must_close.extend(status.as_ref().map(AsFd::as_fd));
            complaints::collect_into(complaints_w);
            let job = build::Job {
                run_dir,
                launch,
                devices,
                stdout: stdout_w,
                stderr: stderr_w,
                status: status_w,
            };
            build::main(job, group, target.is_none(), built_w, program_w, &must_close)
        }
        Forked::Parent(builder) => {
            drop((built_w, program_w, complaints_w, stdout_w, stderr_w, status_w));
            let report = receive(&built, deadline, "making the container");
            let report = report
                .map(|text| text.and_then(|text| serde_json::from_slice(text.as_bytes()).ok()));
            let init = match report {
                Ok(Some(build::Report::Init { pid })) => pid,
                Ok(Some(build::Report::Failed { operation, message, errno })) => {
                    // The container's first process knows more than what became of its words.
                    let first_hand = receive(&program, Instant::now(), "starting the program");
                    let first_hand = first_hand.ok().flatten().and_then(|text| reported(&text));
                    let complaint = complaints::first(&complaints);
                    let complaint = complaint.map(|text| format!(": {text}")).unwrap_or_default();
                    let message = format!("{message}{complaint}");
                    let second_hand = MonitorError::Reported { operation, message, errno };
                    return Err(first_hand.unwrap_or(second_hand));
                }
                other => {
                    sys::kill(builder, nix::libc::SIGKILL);
                    return Err(other.err().unwrap_or(MonitorError::Silent));
                }
            };
            let init = process::identify(init).map_err(system("identify the container"))?;
            let pidfd = process::open(init)
                .map_err(system("watch the container"))?
                .ok_or(MonitorError::Silent)?;
            Ok(Container { init, pidfd, stdout, stderr, program, status })
        }
    }
}

impl Container {
    fn has_ended(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        // The socket is closed a moment before the process counts as ended.
        let moment = Timespec { tv_sec: 1, tv_nsec: 0 };
        poll(&mut fds, Some(&moment)).is_ok_and(|ready| ready > 0)
    }

    /// Returns once the program runs, or the reason why it does not.
    fn await_program(&mut self, deadline: Instant) -> Result<(), MonitorError> {
        let Some(text) = receive(&self.program, deadline, "starting the program")? else {
            return Ok(());
        };
        Err(reported(&text).unwrap_or(MonitorError::Silent))
    }
}

fn reported(text: &str) -> Option<MonitorError> {
    match serde_json::from_slice(text.as_bytes()) {
        Ok(build::Report::Failed { operation, message, errno }) => {
            Some(MonitorError::Reported { operation, message, errno })
        }
        _ => None,
    }
}

/// One message from a pipe; `None` when all writers closed it without one.
fn receive(
    pipe: &OwnedFd,
    deadline: Instant,
    operation: &'static str,
) -> Result<Option<String>, MonitorError> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut buffer = [0_u8; build::MESSAGE_MAX];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other);
        let timeout = timeout.map_err(system("reckon the deadline"))?;
        let mut fds = [PollFd::new(pipe, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Err(MonitorError::Late { operation }),
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(system("wait for the builder")(errno)),
            Ok(_) => {}
        }
        // Messages are shorter than a pipe's atomic unit, so that one read gets all of one.
        return match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => Ok(None),
            Ok(size) => {
                let message = buffer.get(..size).unwrap_or_default();
                Ok(Some(String::from_utf8_lossy(message).into_owned()))
            }
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => Err(system("hear from the builder")(errno)),
        };
    }
}

/// Executes this binary again in the role that only waits; children and descriptors stay.
fn become_wait_role(
    run_dir: &Path,
    lock: &OwnedFd,
    container: Container,
) -> Result<Infallible, MonitorError> {
    let fds = [lock, &container.pidfd, &container.stdout, &container.stderr];
    let fds = fds.into_iter().chain(&container.status);
    let mut command = Command::new("/proc/self/exe");
    command.arg("monitor-wait").arg(run_dir);
    for fd in fds {
        rustix::io::fcntl_setfd(fd, FdFlags::empty()).map_err(system("keep a descriptor"))?;
        command.arg(std::os::fd::AsRawFd::as_raw_fd(fd).to_string());
    }
    Err(system("become the wait role")(command.exec()))
}

fn describe(error: &MonitorError, instance: Option<String>) -> Failure {
    let (operation, errno) = match error {
        MonitorError::Launch(_) => ("check the launch", None),
        MonitorError::Record(_) | MonitorError::NoLaunch { .. } => ("use the run folder", None),
        MonitorError::Devices(_) => ("find the agent's devices", None),
        MonitorError::Cgroup(_) => ("set up the control group", None),
        MonitorError::System { operation, .. } => (*operation, None),
        MonitorError::Late { operation } => (*operation, None),
        MonitorError::Silent => ("make the container", None),
        MonitorError::Reported { operation, errno, .. } => (operation.as_str(), *errno),
    };
    Failure {
        format: record::FORMAT,
        instance,
        operation: operation.to_owned(),
        message: failure::sentence(error),
        errno: errno.or_else(|| failure::errno(error)),
        failed_at_ms: process::now_ms(),
    }
}
