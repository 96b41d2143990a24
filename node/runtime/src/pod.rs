//! Namespaces that several agents share, and that live without a process: a pod's.
//!
//! [`ensure`] starts `exe pod DIR HOSTNAME`, a process with one thread that leaves for namespaces of
//! its own and pins them to files in a folder; agents then join them by these files. What is half
//! made, as after a power cut, is made anew: nobody can have joined it. May be called from a process
//! with threads; it waits for some milliseconds. The folder must be on a file system that ends with
//! the boot, such as `/run`.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::fs::{FlockOperation, flock, statfs};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use rustix::thread::UnshareFlags;

use crate::{failure, sys};

/// Why a pod's namespaces are not there, or are still there.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The system refused.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The process that makes them says why it did not.
    #[error("cannot make the namespaces of the pod in {dir}: {said}")]
    Refused {
        /// The pod's folder.
        dir: PathBuf,
        /// Its words.
        said: String,
    },
    /// Something else is there.
    #[error("{path} is no namespace; make the pod again")]
    NoNamespace {
        /// The file.
        path: PathBuf,
    },
}

fn failed<E: Into<io::Error>>(operation: &'static str, path: &Path) -> impl FnOnce(E) -> PodError {
    let path = path.to_owned();
    move |source| PodError::Io { operation, path, source: source.into() }
}

/// What the agents of a pod share, by the files that stand for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// For [`crate::Network::Join`].
    pub network: PathBuf,
    /// For [`crate::Namespace::Join`] of `ipc`.
    pub ipc: PathBuf,
    /// For [`crate::Namespace::Join`] of `uts`.
    pub uts: PathBuf,
    /// Shared memory, to be mounted as `/dev/shm` of each agent.
    pub shm: PathBuf,
}

/// The names of the files, as in `/proc/PID/ns`.
const NAMESPACES: [&str; 3] = ["net", "ipc", "uts"];
const SHM: &str = "shm";
const LOCK: &str = "lock";

/// The files of a pod, whether or not it was made.
pub fn at(dir: &Path) -> Pod {
    let [network, ipc, uts] = NAMESPACES.map(|name| dir.join(name));
    Pod { network, ipc, uts, shm: dir.join(SHM) }
}

/// Makes the namespaces of a pod, unless they are there: a network with the loopback interface, a
/// host name, message queues and shared memory. `exe` dispatches `pod` to
/// [`crate::monitor::dispatch`].
///
/// # Errors
/// The kernel refuses.
pub fn ensure(exe: &Path, dir: &Path, hostname: &str) -> Result<Pod, PodError> {
    if !is_complete(dir) {
        let mut command = Command::new(exe);
        command.arg("pod").arg(dir).arg(hostname).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = command.output().map_err(failed("start", exe))?;
        if !output.status.success() {
            let mut said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            failure::cut(&mut said, 1000);
            return Err(PodError::Refused { dir: dir.to_owned(), said });
        }
    }
    Ok(at(dir))
}

/// Lets go of the namespaces of a pod, which end with the last agent in them, and removes the
/// folder. Goes on after a failure, and returns all; what is gone already is no failure.
pub fn remove(dir: &Path) -> Vec<PodError> {
    if !dir.exists() {
        return Vec::new();
    }
    let mut errors = take_apart(dir);
    if let Err(error) = std::fs::remove_dir_all(dir) {
        errors.push(failed("remove", dir)(error));
    }
    errors
}

/// Whether a file stands for a namespace.
///
/// # Errors
/// It does not, or is not there.
pub fn check_namespace(path: &Path) -> Result<(), PodError> {
    match is_of(path, NAMESPACE_FILES) {
        true => Ok(()),
        false => Err(PodError::NoNamespace { path: path.to_owned() }),
    }
}

/// The kernel's numbers for the file system of namespaces, and for memory.
const NAMESPACE_FILES: u64 = 0x6e73_6673;
const MEMORY: u64 = 0x0102_1994;

fn is_of(path: &Path, kind: u64) -> bool {
    // Numbers of 32 bits, which some processors keep signed.
    statfs(path).is_ok_and(|found| found.f_type as u64 & 0xffff_ffff == kind)
}

/// The host name was set and the interface raised before anything was pinned, and shared memory is
/// mounted last.
fn is_complete(dir: &Path) -> bool {
    let pinned = NAMESPACES.iter().all(|name| is_of(&dir.join(name), NAMESPACE_FILES));
    pinned && is_mounted(dir)
}

fn is_mounted(dir: &Path) -> bool {
    let device = |path: &Path| rustix::fs::stat(path).map(|found| found.st_dev);
    let shm = dir.join(SHM);
    is_of(&shm, MEMORY) && device(&shm) != device(dir)
}

/// Runs `pod DIR HOSTNAME`.
pub(crate) fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(dir), Some(hostname)) = (args.next(), args.next()) else {
        return ExitCode::from(2);
    };
    match make(Path::new(&dir), &hostname) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", failure::sentence(&error));
            ExitCode::FAILURE
        }
    }
}

fn make(dir: &Path, hostname: &std::ffi::OsStr) -> Result<(), PodError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("make", dir))?;
    let lock = dir.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).open(&lock);
    let file = file.map_err(failed("open", &lock))?;
    flock(&file, FlockOperation::LockExclusive).map_err(failed("lock", &lock))?;
    // Somebody else may have made it meanwhile.
    if is_complete(dir) {
        return Ok(());
    }
    if let Some(error) = take_apart(dir).into_iter().next() {
        return Err(error);
    }
    let kinds = UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    sys::unshare(kinds).map_err(failed("make namespaces for", dir))?;
    sys::set_host_name(hostname.as_encoded_bytes()).map_err(failed("set the host name of", dir))?;
    sys::raise_loopback().map_err(failed("bring the loopback interface up of", dir))?;
    for name in NAMESPACES {
        let place = dir.join(name);
        File::create(&place).map_err(failed("make", &place))?;
        let namespace = Path::new("/proc/self/ns").join(name);
        mount_bind(&namespace, &place).map_err(failed("pin a namespace to", &place))?;
    }
    let shm = dir.join(SHM);
    std::fs::create_dir(&shm).map_err(failed("make", &shm))?;
    let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("shm", &shm, "tmpfs", flags, Some(c"mode=1777,size=64m"))
        .map_err(failed("mount memory on", &shm))
}

/// Unmounts and removes all but the folder and its lock.
fn take_apart(dir: &Path) -> Vec<PodError> {
    let mut errors = Vec::new();
    for name in NAMESPACES {
        let place = dir.join(name);
        // More than one may lie on another.
        while is_of(&place, NAMESPACE_FILES) {
            if let Err(errno) = unmount(&place, UnmountFlags::DETACH) {
                errors.push(failed("unmount", &place)(errno));
                break;
            }
        }
        match std::fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                errors.push(failed("remove", &place)(error));
            }
            _ => {}
        }
    }
    let shm = dir.join(SHM);
    while is_mounted(dir) {
        if let Err(errno) = unmount(&shm, UnmountFlags::DETACH) {
            errors.push(failed("unmount", &shm)(errno));
            break;
        }
    }
    match std::fs::remove_dir(&shm) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            errors.push(failed("remove", &shm)(error));
        }
        _ => {}
    }
    errors
}
