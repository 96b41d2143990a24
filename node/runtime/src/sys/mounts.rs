//! Changing mounts that are not attached yet: restrictions, and the ids that are seen through them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;
use rustix::mount::MountPropagationFlags;

use crate::launch::Propagation;

/// How a mount that is not attached yet is restricted; devices and set-user-id programs never have
/// an effect in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct MountChange {
    /// With what is mounted below it.
    pub recursive: bool,
    /// It cannot be written to.
    pub read_only: bool,
    /// Programs in it cannot be started.
    pub no_exec: bool,
    /// Whether mounts are seen on the other side.
    pub propagation: Propagation,
}

/// Restricts a mount that is not attached yet.
pub fn change_mount(mount: BorrowedFd<'_>, change: MountChange) -> io::Result<()> {
    let mut attributes = libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID;
    if change.read_only {
        attributes |= libc::MOUNT_ATTR_RDONLY;
    }
    if change.no_exec {
        attributes |= libc::MOUNT_ATTR_NOEXEC;
    }
    let propagation = match change.propagation {
        Propagation::RPrivate => MountPropagationFlags::PRIVATE,
        Propagation::RSlave => MountPropagationFlags::DOWNSTREAM,
        Propagation::RShared => MountPropagationFlags::SHARED,
    };
    let attributes = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: u64::from(propagation.bits()),
        userns_fd: 0,
    };
    set_mount_attributes(mount, change.recursive, &attributes)
}

/// Gives a mount these attributes, and those below it if `recursive`.
pub fn restrict_mount(mount: BorrowedFd<'_>, set: u64, recursive: bool) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    set_mount_attributes(mount, recursive, &attributes)
}

/// Makes a mount read-only, and those below it if `recursive`.
pub fn set_read_only(mount: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    restrict_mount(mount, libc::MOUNT_ATTR_RDONLY, recursive)
}

#[allow(unsafe_code)]
fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attributes: &libc::mount_attr,
) -> io::Result<()> {
    let (fd, here) = (mount.as_raw_fd(), c"".as_ptr());
    let below = if recursive { libc::AT_RECURSIVE } else { 0 };
    let (flags, size) = (libc::AT_EMPTY_PATH | below, size_of::<libc::mount_attr>());
    // SAFETY: the structure and the empty path outlive the call, which only reads them.
    let done = unsafe {
        libc::syscall(libc::SYS_mount_setattr, fd, here, flags, &raw const *attributes, size)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Shows the owners of files through the ids of a user namespace.
pub fn map_mount(
    mount: BorrowedFd<'_>,
    recursive: bool,
    namespace: BorrowedFd<'_>,
) -> io::Result<()> {
    let namespace = u64::from(namespace.as_raw_fd().unsigned_abs());
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: namespace,
    };
    set_mount_attributes(mount, recursive, &attributes)
}
