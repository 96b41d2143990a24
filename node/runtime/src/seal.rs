//! Keeps containers from writing to this program's file.
//!
//! A container can have a process of ours execute `/proc/self/exe`, by its image's program or by a
//! script, and could then open the file for writing through that process (CVE-2019-5736). So whatever
//! enters a container runs from a mount of its own, which nobody can see, and which is read-only: what
//! opens the file through a process opens it through that mount. It is the same file still, so that
//! all monitors share its pages. That a file which is executed cannot be written does not help: some
//! kernels have no such rule (6.11), and nobody runs it for ever.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, open, statvfs};
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::sys;

const OWN: &str = "/proc/self/exe";

/// Whether this program runs from a read-only place.
pub(crate) fn is_sealed() -> io::Result<bool> {
    Ok(statvfs(OWN)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Executes this program again through such a mount, unless it runs from one, or from a read-only
/// place, already. Call it before anything is done that must not be done twice.
///
/// # Errors
/// The kernel refuses.
pub fn seal() -> io::Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, OWN, flags)?;
    sys::set_read_only(mount.as_fd(), false)?;
    let path = format!("/proc/self/fd/{}", mount.as_raw_fd());
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let args = std::env::args_os().map(|arg| CString::new(arg.as_bytes()));
    let args = args.collect::<Result<Vec<_>, _>>().map_err(io::Error::from)?;
    Err(sys::execute(file.as_fd(), &args))
}
