//! Host ids that stand for a container's own: a user namespace, and mounts that are seen through it.
//!
//! libcontainer makes the container's user namespace; the one made here, with the same ids, lends
//! them to mounts: files keep their owners on disk, and the container sees them as its own. Refuses
//! where the kernel cannot, and never changes an owner on disk.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::thread::UnshareFlags;

use crate::launch::UserNamespace;
use crate::sys::{self, Forked};

/// Ids of a container, and a user namespace that has them.
pub struct Ids {
    range: UserNamespace,
    namespace: OwnedFd,
}

impl Ids {
    /// Makes a user namespace with these ids.
    pub fn new(range: UserNamespace) -> io::Result<Self> {
        let (ready, left) = pipe_with(PipeFlags::CLOEXEC)?;
        match sys::fork(None)? {
            Forked::Child => {
                drop(ready);
                let word = sys::unshare(UnshareFlags::NEWUSER).map_or(b'n', |()| b'y');
                let _ = rustix::io::write(&left, &[word]);
                loop {
                    std::thread::park();
                }
            }
            Forked::Parent(child) => {
                drop(left);
                let namespace = Self::take(child, range, &ready);
                if let Some(pid) = Pid::from_raw(child) {
                    let _ = kill_process(pid, Signal::KILL);
                    let _ = waitpid(Some(pid), WaitOptions::empty());
                }
                Ok(Self { range, namespace: namespace? })
            }
        }
    }

    fn take(child: i32, range: UserNamespace, ready: &OwnedFd) -> io::Result<OwnedFd> {
        let mut word = [0_u8; 1];
        if rustix::io::read(ready, &mut word)? != 1 || word != *b"y" {
            return Err(io::Error::other("user namespaces are off in this kernel"));
        }
        let UserNamespace { uid_start, gid_start, count } = range;
        for (file, start) in [("uid_map", uid_start), ("gid_map", gid_start)] {
            std::fs::write(format!("/proc/{child}/{file}"), format!("0 {start} {count}"))?;
        }
        Ok(File::open(format!("/proc/{child}/ns/user"))?.into())
    }

    /// Lends the ids to a mount that is not attached yet, and to all below it.
    pub fn lend(&self, mount: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
        use std::os::fd::AsFd;
        sys::map_mount(mount, recursive, self.namespace.as_fd()).map_err(|error| {
            match error.raw_os_error() {
                Some(nix::libc::EINVAL) => io::Error::other(
                    "this kernel cannot map ids on its file system; use another, or leave \
                     user_namespace out",
                ),
                _ => error,
            }
        })
    }

    /// The host's ids for a user and a group of the container.
    pub fn on_host(&self, uid: u32, gid: u32) -> (u32, u32) {
        // Those that the container has not are nobody's.
        let of = |start: u32, id: u32| start + id.min(self.range.count - 1);
        (of(self.range.uid_start, uid), of(self.range.gid_start, gid))
    }
}
