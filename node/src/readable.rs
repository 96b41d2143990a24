//! Waiting until a descriptor that this process owns can be read: pidfds and inotify.
//!
//! The one place of this crate with an unsafe call.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Watches a descriptor.
///
/// # Errors
/// The kernel refuses, or the event loop has ended.
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` gives the same open descriptor for as long as it lives, and it lives as
    // long as the `AsyncFd` that takes it.
    #[allow(unsafe_code)]
    let watched = unsafe { AsyncFd::register(fd) };
    watched.map_err(io::Error::from)
}
