//! The builder: a short-lived child of the monitor that makes the container and leaves.
//!
//! It joins the agent's control group, takes a private mount namespace, mounts the root, and lets
//! libcontainer make the container as its own *sibling*, so that the monitor is the parent of the
//! container's first process. A hang or crash in here is the monitor's to end. It never starts the
//! program: that is [`let_go`], which the monitor calls once limits and records are in place.

use std::collections::HashMap;
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

use crate::cgroup::{CgroupError, Group};
use crate::launch::Launch;
use crate::monitor::service;
use crate::program::{self, ProgramError};
use crate::rootfs::{self, RootfsError};
use crate::seccomp::{Filter, SeccompError};
use crate::{failure, process, record, spec, sys};

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
    /// Where the program's output goes.
    pub stdout: OwnedFd,
    /// Where its errors go.
    pub stderr: OwnedFd,
}

#[derive(Debug, thiserror::Error)]
enum BuildError {
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    #[error("cannot {operation}")]
    System { operation: &'static str, source: io::Error },
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
            Self::Rootfs(_) => "mount the root file system",
            Self::Seccomp(_) => "prepare the system call filter",
            Self::System { operation, .. } => operation,
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
    // libcontainer leaves the groups of the caller to an agent that names none.
    nix::unistd::setgroups(&[]).map_err(system("leave the groups of root"))?;
    sys::unshare_mounts().map_err(system("take a mount namespace"))?;
    let root = rootfs::assemble(job.run_dir, job.launch)?;
    rootfs::hide_cgroups(job.run_dir)?;
    let filter = Filter::new(job.launch.filter(), &job.launch.capabilities)?;
    let whole = job.launch.with_env_file().map_err(system("read the agent's env_file"))?;
    let config = job.run_dir.join("config.json");
    let spec = spec::spec(job.launch, &root).to_string();
    std::fs::write(&config, spec).map_err(system("write the container's config.json"))?;

    let oci = job.run_dir.join(record::OCI);
    std::fs::create_dir_all(&oci).map_err(system("make libcontainer's folder"))?;
    let container = ContainerBuilder::new(CONTAINER.to_owned(), SyscallType::Linux)
        .with_executor(Program {
            filter,
            args: job.launch.args.clone(),
            env: spec::environment(&whole),
            report_to: program,
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
    raise_loopback(init)?;
    Ok(init)
}

/// An agent runs the better for this, and no worse than before without it. On version 2 this process
/// is in the agent's own group already.
fn leave_service(launch: &Launch, in_its_group: bool) {
    let left = if in_its_group { service::leave_group(&launch.cgroup) } else { Ok(()) };
    for error in [left, service::leave_shelter()].into_iter().filter_map(Result::err) {
        eprintln!("cannot leave the node's service: {}", failure::sentence(&error));
    }
}

/// libcontainer leaves `lo` down.
fn raise_loopback(init: i32) -> Result<(), BuildError> {
    let network = File::open(format!("/proc/{init}/ns/net"))
        .map_err(system("open the container's network namespace"))?;
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(system("enter the container's network namespace"))?;
    sys::raise_loopback().map_err(system("bring the loopback interface up"))
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
    filter: Filter,
    args: Vec<String>,
    env: Vec<String>,
    /// Closed by the kernel when the program starts.
    report_to: RawFd,
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

    fn find(&self) -> Result<PathBuf, ProgramError> {
        program::find(self.args.first().map_or("", String::as_str), &self.env)
    }
}

impl Executor for Program {
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        let found = self.find().map(drop);
        found.map_err(|error| ExecutorValidationError::ArgValidationError(self.tell(&error)))
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The program's environment is the agent's own, given to it at exec.
        Ok(())
    }

    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let outcome = self
            .find()
            .and_then(|path| program::become_program(&path, &self.args, &self.env, &self.filter));
        match outcome {
            Ok(never) => match never {},
            Err(error) => Err(ExecutorError::Other(self.tell(&error))),
        }
    }
}
