//! What libcontainer leaves undone about mounts, done by the container's first process in its own
//! root: how they propagate, what a fresh file system over a folder begins with, and what of them
//! must not be written to.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountPropagationFlags, OpenTreeFlags, mount_change, open_tree};

use super::config::{Config, Mount};
use super::{Result, system};
use crate::sys;

/// No folder that is copied up is deeper, and no image's is as large.
const MAX_ENTRIES: usize = 200_000;

/// Mends every mount of the configuration, in order.
pub fn mend(config: &Config) -> Result<()> {
    for mount in &config.mounts {
        let at = Path::new(&mount.destination);
        if mount.has("tmpcopyup") {
            copy_up(at).map_err(system(format!("tmpcopyup of {}", at.display())))?;
        }
        let must_be_read_only = mount.has("ro")
            && (mount.kind == "cgroup" || mount.has("tmpcopyup") || mount.destination == "/dev");
        if must_be_read_only {
            let failed = format!("cannot make {} read-only", at.display());
            let recursive = mount.kind == "cgroup";
            make_read_only(at, recursive).map_err(system(failed))?;
        }
        propagate(mount, at)?;
    }
    Ok(())
}

/// Streams that are the host's /dev/null become the container's; libcontainer opens it for reading
/// alone.
pub fn reopen_null() -> std::io::Result<()> {
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let is_null = |stream| {
        rustix::fs::fstat(stream).is_ok_and(|stat| stat.st_rdev == rustix::fs::makedev(1, 3))
    };
    if is_null(stdin()) {
        dup2_stdin(&null)?;
    }
    if is_null(stdout()) {
        dup2_stdout(&null)?;
    }
    if is_null(stderr()) {
        dup2_stderr(&null)?;
    }
    Ok(())
}

fn propagate(mount: &Mount, at: &Path) -> Result<()> {
    use MountPropagationFlags as Flags;
    for option in &mount.options {
        let (kind, below) = match option.strip_prefix('r') {
            Some(kind) if !kind.is_empty() => (kind, Flags::REC),
            _ => (option.as_str(), Flags::empty()),
        };
        let kind = match kind {
            "private" => Flags::PRIVATE,
            "slave" => Flags::DOWNSTREAM,
            "shared" => Flags::SHARED,
            "unbindable" => Flags::UNBINDABLE,
            _ => continue,
        };
        mount_change(at, kind | below)
            .map_err(system(format!("cannot make mount {} {option}", at.display())))?;
    }
    Ok(())
}

fn make_read_only(at: &Path, recursive: bool) -> std::io::Result<()> {
    let fd = openat(CWD, at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    sys::set_read_only(fd.as_fd(), recursive)
}

/// Fills a fresh file system with what the folder below it has. That is seen through a copy of the
/// root's own mount, which has no others in it.
fn copy_up(at: &Path) -> std::io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let below: OwnedFd = open_tree(CWD, "/", flags)?;
    let seen = PathBuf::from(format!("/proc/self/fd/{}", below.as_fd().as_raw_fd()));
    let from = seen.join(at.strip_prefix("/").unwrap_or(at));
    if !from.is_dir() {
        return Ok(());
    }
    let mut left = MAX_ENTRIES;
    copy_folder(&from, at, &mut left)
}

fn copy_folder(from: &Path, to: &Path, left: &mut usize) -> std::io::Result<()> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    copy_owner(&std::fs::metadata(from)?, to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        *left = left.checked_sub(1).ok_or_else(|| std::io::Error::other("too many files"))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let stat = std::fs::symlink_metadata(&from)?;
        let kind = stat.file_type();
        if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&from)?, &to)?;
            std::os::unix::fs::lchown(&to, Some(stat.uid()), Some(stat.gid()))?;
        } else if kind.is_dir() {
            std::fs::create_dir(&to)?;
            copy_folder(&from, &to, left)?;
        } else if kind.is_file() {
            std::fs::copy(&from, &to)?;
            copy_owner(&stat, &to)?;
        } else if kind.is_fifo() || kind.is_char_device() || kind.is_block_device() {
            let kind = rustix::fs::FileType::from_raw_mode(stat.mode());
            let mode = Mode::from_raw_mode(stat.mode() & 0o7777);
            rustix::fs::mknodat(CWD, &to, kind, mode, stat.rdev())?;
            copy_owner(&stat, &to)?;
        }
    }
    Ok(())
}

fn copy_owner(stat: &std::fs::Metadata, to: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    std::os::unix::fs::chown(to, Some(stat.uid()), Some(stat.gid()))?;
    std::fs::set_permissions(to, stat.permissions())
}
