//! System calls of `oci.rs` alone: keys, and this program's own file.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// Takes a fresh session keyring, so that nothing of the caller's keys is within reach. A kernel
/// without keys has none to reach.
#[allow(unsafe_code)]
pub fn leave_keyring() {
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name is allowed, and asks for an anonymous keyring.
    unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, anonymous) };
}

/// Executes an open file in the place of this process; returns only the reason why not.
#[allow(unsafe_code)]
pub fn execute(file: BorrowedFd<'_>, args: &[std::ffi::CString]) -> io::Error {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    let mut pointers: Vec<_> = args.iter().map(|arg| arg.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let (fd, flags) = (file.as_raw_fd(), libc::AT_EMPTY_PATH);
    // SAFETY: arguments and environment are arrays that end in null and outlive the call; the
    // process has one thread, so nothing changes them meanwhile.
    unsafe {
        libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), pointers.as_ptr(), environ, flags);
    }
    io::Error::last_os_error()
}
