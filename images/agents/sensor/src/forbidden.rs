//! Tries what an agent may not do, and tells what the kernel said.
//!
//! `mount` needs a capability; `unshare` of a user namespace needs none, so that only a seccomp filter
//! can refuse it. `ptrace` of itself is told too: filters differ in whether they allow it.

use std::ffi::{c_char, c_int, c_long, c_ulong, c_void};
use std::io;
use std::ptr::null;

use crate::json::Object;
use crate::kernel::status_field;

const PTRACE_TRACEME: c_int = 0;
const CLONE_NEWUSER: c_int = 0x1000_0000;

#[allow(unsafe_code)]
// SAFETY: all are in every C library on Linux, with these types.
unsafe extern "C" {
    fn mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    fn ptrace(request: c_int, ...) -> c_long;
    fn unshare(flags: c_int) -> c_int;
}

/// What came of each call, as a JSON line; 0 means that it was allowed.
pub(crate) fn report() -> String {
    let status = |key| status_field(key).and_then(|v| v.parse().ok());
    Object::new()
        .text("event", "forbidden")
        .number("mount_errno", try_mount())
        .number("ptrace_errno", try_ptrace())
        .number("unshare_errno", try_unshare())
        .number_or_null("seccomp_mode", status("Seccomp:"))
        .number_or_null("no_new_privs", status("NoNewPrivs:"))
        .finish()
}

fn errno(failed: bool) -> u64 {
    let code = io::Error::last_os_error().raw_os_error().unwrap_or_default();
    if failed { u64::try_from(code).unwrap_or_default() } else { 0 }
}

#[allow(unsafe_code)]
fn try_mount() -> u64 {
    let (kind, target) = (c"tmpfs", c"/nowhere");
    // SAFETY: all pointers are null or C strings that outlive the call. The target does not exist,
    // so that nothing is mounted even where it is allowed.
    let failed = unsafe { mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, null()) } != 0;
    errno(failed)
}

#[allow(unsafe_code)]
fn try_ptrace() -> u64 {
    let none = null::<c_void>();
    // SAFETY: this request takes no memory of ours.
    let failed = unsafe { ptrace(PTRACE_TRACEME, 0, none, none) } == -1;
    errno(failed)
}

#[allow(unsafe_code)]
fn try_unshare() -> u64 {
    // SAFETY: takes no memory; the process exits soon after.
    let failed = unsafe { unshare(CLONE_NEWUSER) } != 0;
    errno(failed)
}
