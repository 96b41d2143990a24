//! Who may write, and where unfinished work lies.
//!
//! A lock on `images.lock` for what is visible; a locked folder below `images.tmp/` for what is not
//! yet. A folder there that nobody has locked was left by a crash, and is swept by the next writer.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{Store, StoreError, io_at, names_in};

/// The writers' lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(io_at("open", path))?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                result => {
                    result.map_err(|e| io_at("lock", path)(e.into()))?;
                    return Ok(Self { _file: file });
                }
            }
        }
    }
}

/// A folder for unfinished work, gone when dropped.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    /// Its lock says that somebody works here.
    _folder: File,
}

impl Workspace {
    /// Sweeps what crashes left, and makes a folder. The lock keeps two writers from sweeping at
    /// once, and from sweeping a folder between its making and its locking.
    pub(crate) fn new(store: &Store, _lock: &Lock) -> Result<Self, StoreError> {
        let all = store.temporary();
        sweep(&all)?;
        for attempt in 0..u32::MAX {
            let path = all.join(format!("{}-{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                result => result.map_err(io_at("make the folder", &path))?,
            }
            let folder = File::open(&path).map_err(io_at("open", &path))?;
            rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive)
                .map_err(|e| io_at("lock", &path)(e.into()))?;
            return Ok(Self { path, _folder: folder });
        }
        let source = std::io::ErrorKind::AlreadyExists.into();
        Err(StoreError::Io { operation: "make a folder in", path: all, source })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next writer.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders in which nobody works.
pub(super) fn sweep(all: &Path) -> Result<(), StoreError> {
    for name in names_in(all)? {
        let path = all.join(name);
        let Ok(folder) = File::open(&path) else { continue };
        if rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            remove_tree(&path)?;
        }
    }
    Ok(())
}

/// Removes a folder and all below it.
pub(crate) fn remove_tree(path: &Path) -> Result<(), StoreError> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    let result = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(io_at("remove", path)),
    }
}
