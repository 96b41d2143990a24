//! How much a folder may hold, kept by its file system: project quotas of ext4 and XFS.
//!
//! Each such folder is a project with a number of its own, which everything made in it belongs to.
//! It is to be set while no agent has the folder. A file system that keeps no project quotas, or
//! counts them and does not enforce them, is refused: nothing here pretends. Processes with
//! CAP_SYS_RESOURCE are bound by no quota, and one without a system call filter could take files of
//! its own out of the project: the default filter forbids that, a user namespace makes it impossible.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::sys::{self, ProjectQuota};

/// Why a folder has no quota.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// The file system has no such quotas, or has them off.
    #[error(
        "the file system of {path} keeps no project quotas; leave size out, or make it ext4 with \
         'tune2fs -O project,quota -Q prjquota' and mount it with prjquota (XFS: mount with prjquota)"
    )]
    Unsupported {
        /// The folder.
        path: PathBuf,
    },
    /// Smaller than what the kernel counts in.
    #[error("a size of {bytes} bytes is below 4096, the least that can be kept")]
    Small {
        /// The size asked for.
        bytes: u64,
    },
    /// The kernel took a limit and then reports another.
    #[error("the quota of {path} was set to {wanted} bytes but the kernel reports {found}")]
    NotInForce {
        /// The folder.
        path: PathBuf,
        /// What was set.
        wanted: u64,
        /// What was read back.
        found: u64,
    },
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
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> QuotaError {
    let path = path.to_owned();
    move |source| QuotaError::Io { operation, path, source }
}

/// What a project holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes used.
    pub used_bytes: u64,
    /// The most that it may hold; 0 is no limit.
    pub limit_bytes: u64,
}

/// The kernel counts blocks of so many bytes.
const BLOCK: u64 = 1024;

/// Whether the file system of a folder enforces project quotas.
///
/// # Errors
/// The folder cannot be opened.
pub fn is_supported(dir: &Path) -> Result<bool, QuotaError> {
    let folder = open(dir)?;
    Ok(Disk::of(dir, &folder)?.enforces())
}

/// Lets a folder, with all that is in it, hold so many bytes. Set again, it is changed. Returns what
/// the kernel then reports.
///
/// # Errors
/// The file system keeps no such quotas, or refuses.
pub fn set(dir: &Path, project: u32, bytes: u64) -> Result<Usage, QuotaError> {
    if bytes < 4096 {
        return Err(QuotaError::Small { bytes });
    }
    let folder = open(dir)?;
    let disk = Disk::of(dir, &folder)?;
    if !disk.enforces() {
        return Err(QuotaError::Unsupported { path: dir.to_owned() });
    }
    // The limit first: nothing is ever counted without one.
    let blocks = bytes / BLOCK;
    disk.limit(project, blocks).map_err(failed("set the quota of", dir))?;
    join(dir, project)?;
    let usage = usage(dir, project)?;
    if usage.limit_bytes != blocks * BLOCK {
        let (wanted, found) = (blocks * BLOCK, usage.limit_bytes);
        return Err(QuotaError::NotInForce { path: dir.to_owned(), wanted, found });
    }
    Ok(usage)
}

/// Lifts the limit of a folder's project.
///
/// # Errors
/// The file system refuses.
pub fn clear(dir: &Path, project: u32) -> Result<(), QuotaError> {
    let folder = open(dir)?;
    Disk::of(dir, &folder)?.limit(project, 0).map_err(failed("lift the quota of", dir))
}

/// What a folder's project holds.
///
/// # Errors
/// The file system counts no projects.
pub fn usage(dir: &Path, project: u32) -> Result<Usage, QuotaError> {
    let folder = open(dir)?;
    let disk = Disk::of(dir, &folder)?;
    let found = sys::project_quota(folder.as_fd(), disk.special.as_deref(), project);
    let found = found.map_err(failed("read the quota of", dir))?;
    Ok(Usage { used_bytes: found.used_bytes, limit_bytes: found.block_limit * BLOCK })
}

fn open(dir: &Path) -> Result<File, QuotaError> {
    let options = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW)
        .open(dir);
    options.map_err(failed("open", dir))
}

/// The file system of a folder.
struct Disk<'a> {
    folder: &'a File,
    /// Its device, for kernels before 5.14, which want a name.
    special: Option<CString>,
}

impl<'a> Disk<'a> {
    fn of(dir: &Path, folder: &'a File) -> Result<Self, QuotaError> {
        let device = folder.metadata().map_err(failed("look at", dir))?.dev();
        let id = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        let table = Path::new("/proc/self/mountinfo");
        let mounts = std::fs::read_to_string(table).map_err(failed("read", table))?;
        let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(&id));
        let source = line.and_then(|line| line.split(" - ").nth(1)?.split(' ').nth(1));
        let special = source.and_then(|source| CString::new(source).ok());
        Ok(Self { folder, special })
    }

    fn enforces(&self) -> bool {
        sys::enforces_project_quotas(self.folder.as_fd(), self.special.as_deref())
    }

    fn limit(&self, project: u32, block_limit: u64) -> io::Result<()> {
        let quota = ProjectQuota { block_limit, used_bytes: 0 };
        sys::set_project_quota(self.folder.as_fd(), self.special.as_deref(), project, quota)
    }
}

/// Makes a folder and what is in it part of a project; what is made there later is so by itself.
fn join(dir: &Path, project: u32) -> Result<(), QuotaError> {
    let mut ahead = vec![dir.to_owned()];
    while let Some(path) = ahead.pop() {
        let found = std::fs::symlink_metadata(&path).map_err(failed("look at", &path))?;
        if !found.is_dir() && !found.is_file() {
            continue;
        }
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        let file = file.map_err(failed("open", &path))?;
        sys::join_project(file.as_fd(), project, found.is_dir())
            .map_err(failed("count towards a quota:", &path))?;
        if found.is_dir() {
            let entries = std::fs::read_dir(&path).map_err(failed("read", &path))?;
            ahead.extend(entries.flatten().map(|entry| entry.path()));
        }
    }
    Ok(())
}
