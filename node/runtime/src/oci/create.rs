//! `create`, `run` and `start`: from a bundle to a container whose program runs.
//!
//! libcontainer works in a forked child with a deadline, as for agents (`monitor/build.rs`), so that
//! a hang or a crash of it is this process's to end, and its changes to the process are no matter.
//! Whatever was made is unmade when a step fails.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::args::Call;
use super::cgroup::Tree;
use super::config::{self, Config};
use super::init::Init;
use super::late;
use super::log::Log;
use super::person::{self, Person};
use super::state::{Container, LIBCONTAINER, Record, START, Status};
use super::{OciError, Result, console, foreground, hooks, refused, system};
use crate::monitor::complaints;
use crate::process;
use crate::sys::{self, Forked};

/// What the making takes at most, beside the hooks' own time.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the builder, or the container's first process, tells the caller; one line each.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The container waits for its start; this is its first process on the host.
    Init { pid: i32 },
    /// It was not made.
    Failed { message: String },
}

/// Writes a report as one line.
pub fn tell(to: BorrowedFd<'_>, report: &Report) {
    if let Ok(mut text) = serde_json::to_vec(report) {
        text.push(b'\n');
        // The caller is the only listener; without it there is nobody to tell.
        let _ = rustix::io::write(to, &text);
    }
}

/// `create`.
pub fn create(call: &Call, log: &Log) -> Result<u8> {
    let preserve = prepare_process(call)?;
    let bundle = bundle(call)?;
    let (value, config) = config::load(&bundle)?;
    sys::close_from_on_exec(3 + preserve);
    let socket = call.value("console-socket").map(Path::new);
    check_terminal(&config, socket.is_some(), true)?;
    make(call, log, &Job { bundle, value, config, preserve, socket })?;
    Ok(0)
}

/// `run`: create, start, and unless detached, wait and delete.
pub fn run(call: &Call, log: &Log) -> Result<u8> {
    let preserve = prepare_process(call)?;
    let bundle = bundle(call)?;
    let (value, config) = config::load(&bundle)?;
    sys::close_from_on_exec(3 + preserve);
    let detached = call.has("detach");
    let given = call.value("console-socket").map(Path::new);
    check_terminal(&config, given.is_some(), detached)?;
    let own = if config.process.as_ref().is_some_and(|p| p.terminal) && given.is_none() {
        Some(console::Listener::new(&call.root)?)
    } else {
        None
    };
    let socket = given.or_else(|| own.as_ref().map(console::Listener::path));
    let container = make(call, log, &Job { bundle, value, config, preserve, socket })?;
    let terminal = own.and_then(console::Listener::accept);
    let signals = (!detached).then(foreground::Signals::take).transpose()?;
    if let Err(error) = begin(&container, log) {
        drop(terminal);
        super::verbs::unmake(&container, log);
        return Err(error);
    }
    let Some(signals) = signals else { return Ok(0) };
    let Some(pid) = container.record.init.map(|init| init.pid) else { return Ok(0) };
    let code = foreground::wait(pid, &signals, terminal)?;
    if !call.has("keep") {
        super::verbs::unmake(&container, log);
    }
    Ok(code)
}

/// `start`.
pub fn start(call: &Call, log: &Log) -> Result<u8> {
    let container = Container::load(&call.root, call.only_id()?)?;
    match container.status() {
        Status::Created => {}
        Status::Stopped => return refused("cannot start a container that has stopped"),
        Status::Running => return refused("cannot start an already running container"),
        status => {
            return refused(format!("cannot start a container in the {} state", status.name()));
        }
    }
    begin(&container, log)?;
    Ok(0)
}

/// Lets the program of a created container start, and waits until it has.
fn begin(container: &Container, log: &Log) -> Result<()> {
    let fifo = container.dir.join(START);
    let listen = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let pipe = rustix::fs::open(&fifo, listen, Mode::empty());
    let pipe = pipe.map_err(system("cannot open the start pipe"))?;
    let lib = container.dir.join(LIBCONTAINER).join(&container.record.id);
    let notify = sys_connect(&lib.join("notify.sock"));
    let mut notify = notify.map_err(system("the container's first process does not listen"))?;
    notify.write_all(b"start").map_err(system("cannot start the container"))?;
    drop(notify);
    // From here on it counts as started, whatever becomes of it.
    let gone = std::fs::remove_file(&fifo);
    gone.map_err(system("cannot remove the start pipe"))?;
    let message = read_until_closed(&pipe)?;
    if !message.is_empty() {
        return refused(message);
    }
    let config = container.config()?;
    let pid = container.record.init.map_or(0, |init| init.pid);
    let state = container.oci_state("running", pid);
    if let Err(error) = hooks::run(&config.hooks, "poststart", &state, None) {
        // As runc does: a container whose hook failed does not go on.
        log.warn(&super::sentence(&error));
        container.tree()?.kill(Duration::from_secs(10))?;
        return Err(error);
    }
    Ok(())
}

/// Connects to a socket whose path may be longer than an address holds.
pub fn sys_connect(path: &Path) -> std::io::Result<std::os::unix::net::UnixStream> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let name = path.file_name().unwrap_or_default();
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    std::os::unix::net::UnixStream::connect(short)
}

fn read_until_closed(pipe: &OwnedFd) -> Result<String> {
    let mut text = Vec::new();
    let mut buffer = [0_u8; 1024];
    loop {
        let mut fds = [PollFd::new(pipe, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(system("cannot wait for the program")(errno)),
        }
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
            Ok(size) if text.len() < 16_384 => {
                text.extend(buffer.get(..size).unwrap_or_default());
            }
            Ok(_) | Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(errno) => return Err(system("cannot hear from the program")(errno)),
        }
    }
}

/// Sees to the descriptors that the caller hands on, and to this program's file. All that it left
/// open beside them has to end with this program: `sys::close_from_on_exec`.
pub fn prepare_process(call: &Call) -> Result<u32> {
    let preserve = call.number("preserve-fds")?.unwrap_or(0);
    let preserve = preserve.checked_add(person::listen_fds().unwrap_or(0));
    let Some(last) = preserve.and_then(|count| count.checked_add(3)) else {
        return refused("too many descriptors to preserve");
    };
    for fd in 3..last {
        if !Path::new("/proc/self/fd").join(fd.to_string()).exists() {
            return refused(format!("file descriptor {fd} is to be preserved and is not open"));
        }
    }
    let failed = "cannot protect this program's file from the container";
    crate::seal().map_err(system(failed))?;
    Ok(last - 3)
}

fn bundle(call: &Call) -> Result<PathBuf> {
    call.only_id()?;
    let bundle = call.value("bundle").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let shown = bundle.display();
    std::fs::canonicalize(&bundle).map_err(system(format!("chdir {shown}")))
}

fn check_terminal(config: &Config, has_socket: bool, detached: bool) -> Result<()> {
    let terminal = config.process.as_ref().is_some_and(|process| process.terminal);
    if terminal && detached && !has_socket {
        return refused("cannot allocate tty if runc will detach without setting console socket");
    }
    if has_socket && !(terminal && detached) {
        return refused("cannot use console socket if runc will not detach or allocate tty");
    }
    Ok(())
}

/// What there is to make.
struct Job<'a> {
    bundle: PathBuf,
    value: Value,
    config: Config,
    preserve: u32,
    socket: Option<&'a Path>,
}

fn make(call: &Call, log: &Log, job: &Job<'_>) -> Result<Container> {
    let id = call.id()?;
    let rootfs = config::rootfs(&job.config, &job.bundle);
    let rootfs = std::fs::canonicalize(&rootfs)
        .map_err(system(format!("invalid rootfs {}", rootfs.display())))?;
    let cgroup = cgroup_path(&job.config, id)?;
    let record = Record::new(id, &job.bundle, &rootfs, &cgroup, job.value.clone())?;
    // Before anything is ours: what fails from here on is unmade, with all that is in the groups.
    let tree = Tree::at(&cgroup)?;
    if tree.is_frozen() {
        return refused("container's cgroup unexpectedly frozen");
    }
    if let count @ 1.. = tree.pids()?.len() {
        log.warn(&format!("container's cgroup is not empty: {count} process(es) found"));
    }
    let mut container = Container::claim(&call.root, record)?;
    match make_in(call, log, job, &mut container) {
        Ok(()) => Ok(container),
        Err(error) => {
            super::verbs::unmake(&container, log);
            Err(error)
        }
    }
}

/// Where the control groups are; a path that is not absolute is meant from the root.
fn cgroup_path(config: &Config, id: &str) -> Result<PathBuf> {
    let named = config.linux.as_ref().map_or("", |linux| linux.cgroups_path.as_str());
    let named = if named.is_empty() { id } else { named };
    if named.contains(':') {
        return refused(format!("cgroupsPath {named} is one for systemd, which is not supported"));
    }
    let mut path = PathBuf::from("/");
    for part in Path::new(named).components() {
        match part {
            std::path::Component::Normal(part) => path.push(part),
            // As if it were cleaned below the root, which cannot be left.
            std::path::Component::ParentDir => drop(path.pop()),
            _ => {}
        }
    }
    match path.parent() {
        Some(_) => Ok(path),
        None => refused("cgroupsPath is the root of all control groups"),
    }
}

fn make_in(call: &Call, log: &Log, job: &Job<'_>, container: &mut Container) -> Result<()> {
    let tree = container.tree()?;
    tree.create()?;
    tree.restrict_devices(&job.config.resources())?;
    tree.apply(&job.config.resources())?;
    let pid = build(call, log, job, container)?;
    tree.take_in(pid)?;
    if let Some(score) = job.config.process.as_ref().and_then(|process| process.oom_score_adj) {
        std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string())
            .map_err(system(format!("cannot set oom_score_adj to {score}")))?;
    }
    let init = process::identify(pid).map_err(system("the container's first process is gone"))?;
    container.record.init = Some(init);
    container.save()?;
    write_pid_file(call, pid)
}

/// Writes a process's number where the caller wants it, whole.
pub fn write_pid_file(call: &Call, pid: i32) -> Result<()> {
    let Some(path) = call.value("pid-file").map(Path::new) else { return Ok(()) };
    let failed = || format!("cannot write {}", path.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let aside = path.with_file_name(format!(".{name}"));
    std::fs::write(&aside, pid.to_string()).map_err(system(failed()))?;
    std::fs::rename(&aside, path).map_err(system(failed()))
}

/// Has the builder make the container, and returns its first process.
fn build(call: &Call, log: &Log, job: &Job<'_>, container: &Container) -> Result<i32> {
    let fifo = container.dir.join(START);
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600))
        .map_err(system("cannot make the start pipe"))?;
    let both = OFlags::RDWR | OFlags::CLOEXEC;
    let start = rustix::fs::open(&fifo, both, Mode::empty());
    let start = start.map_err(system("cannot open the start pipe"))?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(system("cannot make a pipe"));
    let (reports, report_to) = pipe()?;
    let (complaints, complain_to) = pipe()?;
    let config = &job.config;
    let Some(process) = config.process.clone() else { return refused("no process") };
    let seccomp = config.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
    let init = Init {
        person: Person { process, filter: person::filter(seccomp)?, preserve: job.preserve },
        config: config.clone(),
        state: container.oci_state("created", 0),
        log: log.clone(),
        keep_keyring: call.has("no-new-keyring"),
        report: report_to.as_raw_fd(),
        start: start.as_raw_fd(),
    };
    let bundle = container.dir.join("bundle");
    let late = late::mounts(config, &job.bundle);
    let hooks = config.hooks.relayed(container, &late);
    let (root, cgroup) = (&container.record.rootfs, &container.record.cgroup);
    let mut theirs = config::for_libcontainer(&job.value, root, cgroup, &hooks);
    late::leave_out(&mut theirs, &late);
    std::fs::create_dir(&bundle)
        .and_then(|()| std::fs::write(bundle.join("config.json"), theirs.to_string()))
        .map_err(system("cannot write libcontainer's configuration"))?;
    let deadline = match config.hooks.patience() {
        Some(hooks) => Instant::now().checked_add(PATIENCE + hooks),
        None => None,
    };
    match sys::fork(None).map_err(system("cannot fork"))? {
        Forked::Child => {
            drop((reports, complaints));
            let followed = set_parent_process_death_signal(Some(Signal::KILL));
            if followed.is_err() || process::is_abandoned(report_to.as_fd()) {
                sys::exit_now(1);
            }
            complaints::collect_into(complain_to);
            log.debug("nsexec container setup");
            let report = match assemble(call, job, container, init) {
                Ok(pid) => Report::Init { pid },
                Err(error) => Report::Failed { message: super::sentence(&*error) },
            };
            tell(report_to.as_fd(), &report);
            sys::exit_now(0)
        }
        Forked::Parent(pid) => {
            drop((report_to, complain_to, start));
            let heard = hear(pid, &reports, deadline);
            heard.map_err(|error| explain(error, container, &complaints))
        }
    }
}

/// In the builder: libcontainer makes the container, as this process's sibling.
fn assemble(
    call: &Call,
    job: &Job<'_>,
    container: &Container,
    init: Init,
) -> std::result::Result<i32, Box<dyn std::error::Error>> {
    let socket = job.socket.map(std::path::absolute).transpose()?;
    let made = ContainerBuilder::new(container.record.id.clone(), SyscallType::Linux)
        .with_executor(init)
        .with_root_path(container.dir.join(LIBCONTAINER))?
        .with_console_socket(socket)
        .with_preserved_fds(i32::try_from(job.preserve)?)
        .as_init(container.dir.join("bundle"))
        .with_systemd(false)
        .with_detach(true)
        .with_no_pivot(call.has("no-pivot"))
        .as_sibling(true)
        .build()?;
    Ok(made.pid().ok_or("libcontainer made a container without a process")?.as_raw())
}

/// Waits for the builder's word, and ends it when its time is over.
fn hear(builder: i32, reports: &OwnedFd, deadline: Option<Instant>) -> Result<i32> {
    let builder = Pid::from_raw(builder).ok_or_else(|| OciError::Refused("no builder".into()))?;
    let pidfd =
        pidfd_open(builder, PidfdFlags::empty()).map_err(system("cannot watch the builder"))?;
    let mut text = Vec::new();
    let mut buffer = [0_u8; 4096];
    let mut over = false;
    while !over {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(reports, PollFlags::IN)];
        let woken = match poll(&mut fds, left.as_ref()) {
            Ok(woken) => woken,
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(system("cannot wait for the builder")(errno)),
        };
        let [ended, readable] = fds.map(|fd| !fd.revents().is_empty());
        if woken == 0 {
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            return refused("the container was not made in time");
        }
        if readable && let Ok(size) = rustix::io::read(reports, &mut buffer) {
            text.extend(buffer.get(..size).unwrap_or_default());
            // What the first process complains of comes before what the builder makes of it.
            over = text.contains(&b'\n');
        } else if ended {
            over = true;
        }
    }
    let collected = rustix::process::waitpid(Some(builder), rustix::process::WaitOptions::empty());
    collected.map_err(system("cannot collect the builder"))?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice(line) {
        Ok(Report::Init { pid }) => Ok(pid),
        Ok(Report::Failed { message }) => refused(message),
        Err(_) => refused("the builder ended without a word"),
    }
}

/// libcontainer's errors say little; what it logged first, or a hook said, says more.
fn explain(error: OciError, container: &Container, complaints: &OwnedFd) -> OciError {
    if let Ok(text) = std::fs::read_to_string(container.dir.join(hooks::FAILED)) {
        return OciError::Refused(text);
    }
    let message = super::sentence(&error);
    match complaints::first(complaints) {
        Some(complaint) if !message.starts_with("exec:") => {
            OciError::Refused(format!("{message}: {complaint}"))
        }
        _ => OciError::Refused(message),
    }
}
