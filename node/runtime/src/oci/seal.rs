//! Keeps containers from writing to this program's file.
//!
//! A container can have this process execute `/proc/self/exe`, and could then open the file for
//! writing (CVE-2019-5736). So it runs from a mount of its own, which nobody can see, and which is
//! read-only: what opens the file through a process opens it through that mount.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, OFlags, StatVfsMountFlags};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::{Result, system};
use crate::sys;

const OWN: &str = "/proc/self/exe";

/// Executes this program again through such a mount, unless it runs from one, or from a read-only
/// place, already.
pub fn seal() -> Result<()> {
    let place = rustix::fs::statvfs(OWN).map_err(system("cannot look at this program"))?;
    if place.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let failed = "cannot protect this program's file from the container";
    let mount = open_tree(CWD, OWN, flags).map_err(system(failed))?;
    sys::set_read_only(mount.as_fd(), false).map_err(system(failed))?;
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&mount));
    let read = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, read, rustix::fs::Mode::empty()).map_err(system(failed))?;
    let args = std::env::args_os().map(|arg| CString::new(arg.as_bytes()));
    let args: std::result::Result<Vec<_>, _> = args.collect();
    let args = args.map_err(|error| system(failed)(std::io::Error::from(error)))?;
    Err(system(failed)(sys::execute(file.as_fd(), &args)))
}
