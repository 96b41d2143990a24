//! The builder: a short-lived child of the monitor that makes the container and leaves.
//!
//! It joins the agent's control group, takes a private mount namespace, mounts the root, and lets
//! libcontainer make the container as its own *sibling*, so that the monitor is the parent of the
//! container's first process. A hang or crash in here is the monitor's to end. It never starts the
//! program: that is [`let_go`], which the monitor calls once limits and records are in place.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cgroup::{CgroupError, Group};
use crate::devices::Node;
use crate::launch::Launch;
use crate::launch::Network;
use crate::monitor::service;
use crate::pod::PodError;
use crate::privileges::{PrivilegeError, Privileges};
use crate::program::{self, ProgramError};
use crate::rootfs::{self, RootfsError};
use crate::userns::Ids;
use crate::volumes::{self, VolumeError};
use crate::{failure, pod, process, reaper, record, spec, sys};

/// Longer messages are cut; a pipe takes this much at once.
pub const MESSAGE_MAX: usize = 4096;

/// The container's name towards libcontainer, the same for all: each has a folder of its own.
const CONTAINER: &str = "agent";

/// What the builder, or later the container's first process, tells the monitor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The container is made and waits; this is its first process.
    Init {
        /// Its number on the host.
        pid: i32,
    },
    /// It was not made, or its program was not started.
    Failed {
        /// What was being done.
        operation: String,
        /// What went wrong.
        message: String,
        /// The kernel's error number.
        errno: Option<i32>,
    },
}

/// What there is to build.
pub struct Job<'a> {
    /// The run folder.
    pub run_dir: &'a Path,
    /// What was asked for.
    pub launch: &'a Launch,
    /// The devices that it is given.
    pub devices: &'a [Node],
    /// Where the program's output goes.
    pub stdout: OwnedFd,
    /// Where its errors go.
    pub stderr: OwnedFd,
    /// Where a first process of ours tells how the program ended.
    pub status: Option<OwnedFd>,
}

#[derive(Debug, thiserror::Error)]
enum BuildError {
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    Pod(#[from] PodError),
    #[error(transparent)]
    Volumes(#[from] VolumeError),
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    #[error("cannot {operation}")]
    System { operation: &'static str, source: io::Error },
    #[error("cannot set the kernel parameter {name} of the agent; see sysctls")]
    Parameter { name: String, source: io::Error },
    #[error("libcontainer cannot make the container")]
    Libcontainer(#[from] LibcontainerError),
    #[error("libcontainer made a container without a process")]
    NoProcess,
}

fn system<E: Into<io::Error>>(operation: &'static str) -> impl FnOnce(E) -> BuildError {
    move |source| BuildError::System { operation, source: source.into() }
}

impl BuildError {
    fn operation(&self) -> &'static str {
        match self {
            Self::Cgroup(_) => "join the control group",
            Self::Pod(_) => "join the namespaces of a pod",
            Self::Volumes(_) => "mount the volumes",
            Self::Rootfs(_) => "mount the root file system",
            Self::Privileges(_) => "prepare what the agent may do",
            Self::System { operation, .. } => operation,
            Self::Parameter { .. } => "set kernel parameters",
            Self::Libcontainer(_) | Self::NoProcess => "make the container",
        }
    }
}

/// Runs in the forked child, and never returns into the monitor's code.
pub fn main(
    job: Job<'_>,
    group: &Group,
    must_join: bool,
    report_to: OwnedFd,
    program: OwnedFd,
    must_close: &[BorrowedFd<'_>],
) -> ! {
    for fd in must_close {
        // The parent's copies stay open; this process forgets about the numbers.
        let _ = nix::unistd::close(fd.as_raw_fd());
    }
    let followed = set_parent_process_death_signal(Some(Signal::KILL));
    if followed.is_err() || process::is_abandoned(report_to.as_fd()) {
        sys::exit_now(1);
    }
    let report = match build(job, group, must_join, program.as_raw_fd()) {
        Ok(pid) => Report::Init { pid },
        Err(error) => Report::Failed {
            operation: error.operation().to_owned(),
            message: failure::sentence(&error),
            errno: failure::errno(&error),
        },
    };
    send(report_to.as_fd(), report);
    sys::exit_now(0)
}

fn build(job: Job<'_>, group: &Group, must_join: bool, program: RawFd) -> Result<i32, BuildError> {
    if must_join {
        group.join()?;
    }
    leave_service(job.launch, must_join);
    if let Some(score) = job.launch.oom_score_adj {
        process::set_oom_score(score).map_err(system("set oom_score_adj"))?;
    }
    // libcontainer leaves the groups of the caller to an agent that names none.
    nix::unistd::setgroups(&[]).map_err(system("leave the groups of root"))?;
    // Before the mounts are others, of which it would be none.
    let reaper = match &job.status {
        Some(status) => {
            let binary = reaper::own_binary().map_err(system("hold on to the first process"))?;
            Some((binary, status.as_raw_fd()))
        }
        None => None,
    };
    sys::unshare_mounts().map_err(system("take a mount namespace"))?;
    check_joined(job.launch)?;
    let (root, volumes) = mount_all(job.run_dir, job.launch)?;
    let privileges = Privileges::of(job.launch)?;
    let whole = job.launch.with_env_file().map_err(system("read the agent's env_file"))?;
    let config = job.run_dir.join("config.json");
    let spec = spec::spec(job.launch, &root, job.devices, volumes).to_string();
    std::fs::write(&config, spec).map_err(system("write the container's config.json"))?;

    let oci = job.run_dir.join(record::OCI);
    std::fs::create_dir_all(&oci).map_err(system("make libcontainer's folder"))?;
    let container = ContainerBuilder::new(CONTAINER.to_owned(), SyscallType::Linux)
        .with_executor(Program {
            privileges,
            args: job.launch.args.clone(),
            env: spec::environment(&whole),
            report_to: program,
            reaper: reaper.as_ref().map(|(binary, status)| (binary.as_raw_fd(), *status)),
        })
        .with_root_path(oci)?
        .with_stdout(job.stdout)
        .with_stderr(job.stderr)
        .as_init(job.run_dir)
        .with_systemd(false)
        .with_detach(true)
        .as_sibling(true)
        .build()?;
    let init = container.pid().ok_or(BuildError::NoProcess)?.as_raw();
    set_up_namespaces(init, job.launch)?;
    Ok(init)
}

/// Mounts what the container will consist of; returns its root, and entries for the spec.
fn mount_all(run_dir: &Path, launch: &Launch) -> Result<(PathBuf, Vec<Value>), BuildError> {
    let ids = launch.user_namespace.map(Ids::new).transpose();
    let ids = ids.map_err(system("make a user namespace"))?;
    let ids = ids.as_ref();
    let picked = volumes::pick(launch, ids)?;
    rootfs::detach()?;
    rootfs::hide_cgroups(run_dir)?;
    let base = match ids {
        Some(_) => rootfs::make_reachable()?,
        None => run_dir.to_owned(),
    };
    let root = rootfs::assemble(run_dir, &base, launch, ids)?;
    volumes::check_targets(&root, launch)?;
    let volumes = volumes::stage(run_dir, &base, launch, picked, ids)?;
    Ok((root, volumes))
}

/// What is joined must be there: libcontainer would not say what is missing.
fn check_joined(launch: &Launch) -> Result<(), BuildError> {
    let network = match &launch.network {
        Network::Join(path) => Some(path.as_path()),
        Network::None | Network::Host => None,
    };
    for path in [network, launch.ipc.path(), launch.uts.path()].into_iter().flatten() {
        pod::check_namespace(path)?;
    }
    Ok(())
}

/// An agent runs the better for this, and no worse than before without it. On version 2 this process
/// is in the agent's own group already.
fn leave_service(launch: &Launch, in_its_group: bool) {
    let left = if in_its_group { service::leave_group(&launch.cgroup) } else { Ok(()) };
    for error in [left, service::leave_shelter()].into_iter().filter_map(Result::err) {
        eprintln!("cannot leave the node's service: {}", failure::sentence(&error));
    }
}

/// What libcontainer leaves undone in the container's namespaces: `lo` is down. Kernel parameters are
/// set here too, where it can be said which one the kernel refused.
fn set_up_namespaces(init: i32, launch: &Launch) -> Result<(), BuildError> {
    let own_network = launch.network == Network::None;
    if !own_network && launch.sysctls.is_empty() {
        return Ok(());
    }
    for (name, kind) in
        [("net", LinkNameSpaceType::Network), ("ipc", LinkNameSpaceType::InterProcessCommunication)]
    {
        let namespace = File::open(format!("/proc/{init}/ns/{name}"))
            .map_err(system("open the container's namespaces"))?;
        move_into_link_name_space(namespace.as_fd(), Some(kind))
            .map_err(system("enter the container's namespaces"))?;
    }
    if own_network {
        sys::raise_loopback().map_err(system("bring the loopback interface up"))?;
    }
    for (name, value) in in_order(&launch.sysctls) {
        // Queues and shared memory are their namespace's root's to set, who is another.
        if let Some(ids) = launch.user_namespace.filter(|_| !name.starts_with("net.")) {
            let root = nix::unistd::Uid::from_raw(ids.uid_start);
            nix::unistd::seteuid(root).map_err(system("become the container's root"))?;
        }
        // Files of the namespaces that this process is in now.
        let file = Path::new("/proc/sys").join(name.replace('.', "/"));
        let open = File::options().write(true).open(file);
        open.and_then(|mut file| file.write_all(value.as_bytes()))
            .map_err(|source| BuildError::Parameter { name: name.clone(), source })?;
    }
    Ok(())
}

/// Those of the network first: there are no rights left for them after the others.
fn in_order(sysctls: &BTreeMap<String, String>) -> Vec<(&String, &String)> {
    let mut sysctls: Vec<_> = sysctls.iter().collect();
    sysctls.sort_by_key(|(name, _)| !name.starts_with("net."));
    sysctls
}

/// Starts the program of a container that is made.
///
/// # Errors
/// The container's first process no longer listens.
pub fn let_go(run_dir: &Path) -> io::Result<()> {
    let socket = run_dir.join(record::OCI).join(CONTAINER).join("notify.sock");
    UnixStream::connect(socket)?.write_all(b"start")
}

fn send(to: BorrowedFd<'_>, mut report: Report) {
    if let Report::Failed { message, .. } = &mut report {
        failure::cut(message, MESSAGE_MAX / 4);
    }
    // The monitor is the only listener; without it there is nobody to tell.
    if let Ok(text) = serde_json::to_vec(&report) {
        let _ = rustix::io::write(to, &text);
    }
}

/// Puts the filter in force and starts the program, in the container's first process.
#[derive(Clone)]
struct Program {
    privileges: Privileges,
    args: Vec<String>,
    env: Vec<String>,
    /// Closed by the kernel when the program starts.
    report_to: RawFd,
    /// The binary of a first process of ours, and where it tells how the program ended.
    reaper: Option<(RawFd, RawFd)>,
}

impl Program {
    fn tell(&self, error: &ProgramError) -> String {
        let message = failure::sentence(error);
        let errno = failure::errno(error);
        let operation = "start the program".to_owned();
        let report = Report::Failed { operation, message: message.clone(), errno };
        sys::with_borrowed(self.report_to, |fd| send(fd, report));
        message
    }

    fn start(&self) -> Result<Infallible, ProgramError> {
        if let Some((binary, status)) = self.reaper {
            reaper::split(binary, status).map_err(ProgramError::Split)?;
        }
        self.privileges.take_on()?;
        // As the agent's user, who may not see every file.
        let path = program::find(self.args.first().map_or("", String::as_str), &self.env)?;
        program::become_program(&path, &self.args, &self.env, &self.privileges)
    }
}

impl Executor for Program {
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        // Judged when it is started, by the eyes of the agent's user.
        Ok(())
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The program's environment is the agent's own, given to it at exec.
        Ok(())
    }

    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let outcome = self.start();
        match outcome {
            Ok(never) => match never {},
            // Not the container's first process any more: nothing else may be done here.
            Err(error) if self.reaper.is_some() => {
                self.tell(&error);
                sys::exit_now(127)
            }
            Err(error) => Err(ExecutorError::Other(self.tell(&error))),
        }
    }
}
