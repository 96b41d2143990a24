//! `exec`: a further program in a container that runs.
//!
//! It is a child of this process, in the container's control groups and namespaces, and becomes the
//! program by the same steps as the container's first process (`person.rs`): with the limits, the
//! capabilities and the filter of the configuration, unless the call says otherwise.

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Pid, WaitOptions, set_dumpable_behavior, setsid, waitpid};
use rustix::thread::{ThreadNameSpaceType as Kind, move_into_thread_name_spaces};

use super::args::Call;
use super::cgroup::{Places, Tree};
use super::config::{self, Capabilities, Process, User};
use super::log::Log;
use super::person::{self, Person};
use super::state::{Container, Status};
use super::{Result, console, create, foreground, refused, system};
use crate::exec::terminal::{self, Terminal};
use crate::sys::{self, Forked};

/// `exec`.
pub fn exec(call: &Call, log: &Log) -> Result<u8> {
    let preserve = create::prepare_process(call)?;
    let container = Container::load(&call.root, call.id()?)?;
    let config = container.config()?;
    match container.status() {
        Status::Stopped => return refused("cannot exec in a stopped container"),
        Status::Paused if !call.has("ignore-paused") => {
            return refused("cannot exec in a paused container (use --ignore-paused to override)");
        }
        Status::Creating => return refused("cannot exec in a container that is being created"),
        _ => {}
    }
    let process = wanted(call, config.process.clone().unwrap_or_default())?;
    sys::close_from_on_exec(3 + preserve);
    config::check_process(&process)?;
    let detached = call.has("detach");
    let socket = call.value("console-socket").map(Path::new);
    if process.terminal && detached && socket.is_none() {
        return refused("cannot allocate tty if runc will detach without setting console socket");
    }
    if socket.is_some() && !(process.terminal && detached) {
        return refused("cannot use console socket if runc will not detach or allocate tty");
    }
    let Some(init) = container.init() else { return refused("cannot exec in a stopped container") };
    let score =
        process.oom_score_adj.or_else(|| config.process.as_ref().and_then(|p| p.oom_score_adj));
    let seccomp = config.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
    let tree = container.tree()?;
    let guest = Guest {
        person: Person { process, filter: person::filter(seccomp)?, preserve },
        places: Places::new(call.values("cgroup"), &tree)?,
        tree,
        init: init.as_fd(),
        score,
    };
    let pid = container.record.init.map_or(0, |init| init.pid);
    run(call, log, &guest, pid, socket)
}

/// The program that is asked for: a whole description, or the container's with changes.
fn wanted(call: &Call, own: Process) -> Result<Process> {
    if let Some(path) = call.value("process") {
        let value = config::read_json(Path::new(path))?;
        let mut process: Process = config::typed(&value, "process.json")?;
        process.terminal |= call.has("tty");
        return Ok(process);
    }
    let mut process = Process { terminal: call.has("tty"), console_size: None, ..own };
    process.args = call.words.iter().skip(1).cloned().collect();
    if process.args.is_empty() {
        return refused("process args cannot be empty");
    }
    if let Some(cwd) = call.value("cwd") {
        cwd.clone_into(&mut process.cwd);
    }
    if let Some(profile) = call.value("apparmor") {
        profile.clone_into(&mut process.apparmor_profile);
    }
    if let Some(label) = call.value("process-label") {
        label.clone_into(&mut process.selinux_label);
    }
    process.no_new_privileges |= call.has("no-new-privs");
    process.env.extend(call.values("env").map(str::to_owned));
    let more: Vec<String> = call.values("cap").map(str::to_owned).collect();
    if !more.is_empty() {
        let sets = process.capabilities.get_or_insert_with(Capabilities::default);
        let Capabilities { bounding, effective, inheritable, permitted, ambient } = sets;
        for set in [bounding, effective, inheritable, permitted, ambient] {
            set.extend(more.iter().cloned());
        }
    }
    if let Some(user) = call.value("user") {
        let number = |text: &str| {
            text.parse().or_else(|_| refused(format!("parsing {text} as int for uid failed")))
        };
        let (uid, gid) = user.split_once(':').unwrap_or((user, ""));
        let gid = if gid.is_empty() { process.user.gid } else { number(gid)? };
        process.user = User { uid: number(uid)?, gid, ..process.user };
    }
    for gid in call.values("additional-gids") {
        let Ok(gid) = gid.parse() else {
            return refused(format!("parsing {gid} as int for additional gid failed"));
        };
        process.user.additional_gids.push(gid);
    }
    Ok(process)
}

/// A program for a container, and how to get in.
struct Guest<'a> {
    person: Person,
    tree: Tree,
    places: Places,
    init: BorrowedFd<'a>,
    score: Option<i32>,
}

fn run(call: &Call, log: &Log, guest: &Guest<'_>, init: i32, socket: Option<&Path>) -> Result<u8> {
    let detached = call.has("detach");
    let (near, far) = match (guest.person.process.terminal, socket) {
        (false, _) => (None, None),
        (true, Some(socket)) => (None, Some(console::connect(socket)?)),
        (true, None) => {
            let ends = terminal::handover().map_err(system("cannot prepare a terminal"))?;
            (Some(ends.0), Some(ends.1))
        }
    };
    let signals = (!detached).then(foreground::Signals::take).transpose()?;
    let (report, report_to) =
        pipe_with(PipeFlags::CLOEXEC).map_err(system("cannot make a pipe"))?;
    let namespaces = differing(init)?;
    if namespaces.contains(Kind::PROCESS_ID) {
        // Only children are affected, so that the program is in it from birth.
        move_into_thread_name_spaces(guest.init, Kind::PROCESS_ID)
            .map_err(system("cannot enter the container's process namespace"))?;
    }
    log.debug("nsexec container setup");
    let (group, joined) = fork_target(guest, init)?;
    match sys::fork(group.as_ref().map(AsFd::as_fd)).map_err(system("cannot fork"))? {
        Forked::Child => {
            drop((report, near));
            log.debug("child process in init()");
            log.debug("setns_init: about to exec");
            let Err(error) = guest.enter(namespaces - Kind::PROCESS_ID, !joined, far.as_ref());
            let text = super::sentence(&error);
            let _ = rustix::io::write(&report_to, text.as_bytes());
            sys::exit_now(255)
        }
        Forked::Parent(pid) => {
            drop((report_to, far));
            let terminal = near.and_then(|near| Terminal::receive(&near));
            heard(pid, &report)?;
            create::write_pid_file(call, pid)?;
            match signals {
                Some(signals) => foreground::wait(pid, &signals, terminal),
                None => Ok(0),
            }
        }
    }
}

/// Waits until the program is started; an error if it is not.
fn heard(pid: i32, report: &OwnedFd) -> Result<()> {
    let mut buffer = [0_u8; 4096];
    let size = rustix::io::retry_on_intr(|| rustix::io::read(report, &mut buffer));
    let size = size.map_err(system("cannot hear from the program"))?;
    match buffer.get(..size) {
        Some(text) if !text.is_empty() => {
            // Not to leave a zombie to whoever inherits it.
            let _ = waitpid(Pid::from_raw(pid), WaitOptions::empty());
            refused(format!("exec failed: {}", String::from_utf8_lossy(text)))
        }
        _ => Ok(()),
    }
}

/// The namespaces in which the container is and this process is not.
fn differing(init: i32) -> Result<Kind> {
    let names = [
        ("user", Kind::USER),
        ("ipc", Kind::INTER_PROCESS_COMMUNICATION),
        ("uts", Kind::HOST_NAME_AND_NIS_DOMAIN_NAME),
        ("net", Kind::NETWORK),
        ("pid", Kind::PROCESS_ID),
        ("mnt", Kind::MOUNT),
        ("cgroup", Kind::CONTROL_GROUP),
        ("time", Kind::TIME),
    ];
    let mut differing = Kind::empty();
    for (name, kind) in names {
        let theirs = std::fs::read_link(format!("/proc/{init}/ns/{name}"));
        let Ok(own) = std::fs::read_link(format!("/proc/self/ns/{name}")) else { continue };
        let theirs = theirs.map_err(system("cannot look at the container's namespaces"))?;
        if own != theirs {
            differing |= kind;
        }
    }
    Ok(differing)
}

/// On version 2, the folder to begin life in, and `true`; a container that has made groups of its
/// own takes processes only where its first one is.
fn fork_target(guest: &Guest<'_>, init: i32) -> Result<(Option<File>, bool)> {
    let Some(dir) = guest.tree.unified() else { return Ok((None, false)) };
    let mut dir = dir.join(guest.places.of(&[]));
    let inner = std::fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
    if !inner.trim().is_empty() && guest.places.is_empty() {
        let own = std::fs::read_to_string(format!("/proc/{init}/cgroup")).unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        if let Some(mount) = guest.tree.unified_mount() {
            dir = mount.join(own);
        }
    }
    let pid = std::process::id();
    let failed = format!("adding pid {pid} to cgroups failed: {}/cgroup.procs", dir.display());
    let file = File::open(&dir).map_err(system(failed))?;
    Ok((Some(file), true))
}

impl Guest<'_> {
    fn enter(&self, rest: Kind, must_join: bool, console: Option<&OwnedFd>) -> Result<Infallible> {
        if must_join {
            self.tree.join(&self.places)?;
        }
        if let Some(score) = self.score {
            std::fs::write("/proc/self/oom_score_adj", score.to_string())
                .map_err(system(format!("cannot set oom_score_adj to {score}")))?;
        }
        self.confine()?;
        // From here on it is among the container's processes, which must not look into it.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(system("cannot hide from the container"))?;
        setsid().map_err(system("cannot begin a session"))?;
        sys::leave_keyring();
        if !rest.is_empty() {
            move_into_thread_name_spaces(self.init, rest)
                .map_err(system("cannot enter the container's namespaces"))?;
        }
        if rest.contains(Kind::USER) {
            become_root()?;
        }
        sys::close_from_on_exec(3 + self.person.preserve);
        if let Some(console) = console {
            let uid = self.person.process.user.uid;
            terminal::take(console, uid)
                .map_err(system("cannot open a terminal in the container"))?;
        }
        self.person.become_program(|_| Ok(()))
    }
}

impl Guest<'_> {
    /// Has AppArmor put the program under its profile, as libcontainer does for the first one.
    fn confine(&self) -> Result<()> {
        let profile = &self.person.process.apparmor_profile;
        if profile.is_empty() {
            return Ok(());
        }
        let own = Path::new("/proc/self/attr/apparmor/exec");
        let place = if own.exists() { own } else { Path::new("/proc/self/attr/exec") };
        std::fs::write(place, format!("exec {profile}"))
            .map_err(system(format!("cannot apply the apparmor profile {profile}")))
    }
}

/// In the container's user namespace, from a user that is not in it.
fn become_root() -> Result<()> {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    // Groups can be refused there; they are taken on again later.
    let _ = setgroups(&[]);
    setresgid(gid, gid, gid).map_err(system("cannot become root in the user namespace"))?;
    setresuid(uid, uid, uid).map_err(system("cannot become root in the user namespace"))
}
