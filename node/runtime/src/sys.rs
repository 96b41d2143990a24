//! The few system calls that no safe wrapper offers. All unsafe code of this crate is here and below.
//!
//! Each function does one call and decides nothing. For single-threaded processes only, except
//! [`send_signal`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;

mod mounts;
mod quotas;
mod runtimes;

pub use mounts::{MountChange, change_mount, map_mount, restrict_mount, set_read_only};
pub use quotas::{
    ProjectQuota, enforces_project_quotas, join_project, project_quota, set_project_quota,
};
pub use runtimes::{execute, leave_keyring};

/// Which side of a fork one is on.
pub enum Forked {
    /// The parent; the number of the child.
    Parent(i32),
    /// The child.
    Child,
}

/// Forks; with `cgroup`, the child begins life in that version 2 control group. That avoids moving
/// a process, which is slow.
#[allow(unsafe_code)]
pub fn fork(cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    let mut args = CloneArgs { exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
    if let Some(fd) = cgroup {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = fd.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child has its own copy of all memory, as after fork. Callers
    // have one thread, so no lock can be held by a thread that the copy lacks.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of_val(&args)) };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(i32::try_from(pid).map_err(io::Error::other)?)),
    }
}

/// The kernel's `struct clone_args` (clone3(2)), which libc has not for every target.
#[derive(Default)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Closes every descriptor from `first` upwards. Nothing in this process may own one of them.
#[allow(unsafe_code)]
pub fn close_from(first: u32) {
    // SAFETY: called before anything was opened, so no owner is left with a closed descriptor.
    // A kernel before 5.9 lacks the call; then what the parent left open stays open.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Makes every descriptor from `first` upwards close when a program is started.
#[allow(unsafe_code)]
pub fn close_from_on_exec(first: u32) {
    // SAFETY: changes a flag only.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Sends a signal by its number, real-time signals included.
#[allow(unsafe_code)]
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open as long as it is borrowed; a null info is allowed.
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives a program about to start what it expects: no signal blocked, none ignored. Ignored ones
/// come from Rust's runtime and from whoever started the node, such as a shell's background job.
#[allow(unsafe_code)]
pub fn restore_signals() {
    // The kernel's sigaction is smaller than this on every architecture; zero is the default.
    let default = [0_u64; 32];
    let none = [0_u64; 2];
    let size = KERNEL_SIGSET;
    let nothing = std::ptr::null_mut::<u64>();
    for signal in 1..=64 {
        // SAFETY: reads `default` only. By system call, as libraries refuse the signals they use
        // themselves; SIGKILL and SIGSTOP are refused by the kernel, which is harmless.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nothing, size) };
    }
    // SAFETY: reads `none` only.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, none.as_ptr(), nothing, size);
    }
}

/// Blocks every signal that can be, so that they wait for [`next_signal`].
#[allow(unsafe_code)]
pub fn block_signals() {
    let all = [u64::MAX; 2];
    let nothing = std::ptr::null_mut::<u64>();
    // SAFETY: reads `all` only.
    unsafe {
        let (how, all) = (libc::SIG_SETMASK, all.as_ptr());
        libc::syscall(libc::SYS_rt_sigprocmask, how, all, nothing, KERNEL_SIGSET);
    }
}

/// Waits for a signal that is blocked, real-time signals included.
#[allow(unsafe_code)]
pub fn next_signal() -> io::Result<i32> {
    let all = [u64::MAX; 2];
    let nothing = std::ptr::null_mut::<u64>();
    // SAFETY: reads `all` only; without a time it waits for ever, and tells nothing more.
    let signal = unsafe {
        let all = all.as_ptr();
        libc::syscall(libc::SYS_rt_sigtimedwait, all, nothing, nothing, KERNEL_SIGSET)
    };
    if signal > 0 {
        i32::try_from(signal).map_err(io::Error::other)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sends a signal to a child that has not been collected.
#[allow(unsafe_code)]
pub fn kill(child: i32, signal: i32) {
    // SAFETY: takes numbers only. That it ended meanwhile is as good.
    unsafe { libc::syscall(libc::SYS_kill, child, signal) };
}

/// Closes every descriptor but the standard ones and these. Nothing in this process may use others.
#[allow(unsafe_code)]
pub fn close_others(keep: &[std::os::fd::RawFd]) {
    let mut keep = keep.to_vec();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep.into_iter().chain([i32::MAX]) {
        if first < fd {
            // SAFETY: whatever owned one of these belongs to code that is never returned to.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = fd.saturating_add(1);
    }
}

/// Names the host, in the calling process's namespace.
#[allow(unsafe_code)]
pub fn set_host_name(name: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel copies as many bytes as there are.
    let done = unsafe { libc::sethostname(name.as_ptr().cast(), name.len() as _) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// 64 signals; MIPS, which this crate does not support, has 128.
const KERNEL_SIGSET: usize = 8;

/// Brings the loopback interface up in the calling process's network namespace.
#[allow(unsafe_code)]
pub fn raise_loopback() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket: OwnedFd =
        socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all fields are plain numbers and characters, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which outlives the call.
    let done = unsafe {
        libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends the process at once, without the clean-up that belongs to the parent it was forked from.
#[allow(unsafe_code)]
pub fn exit_now(code: i32) -> ! {
    // SAFETY: never returns, and runs nothing of this process.
    unsafe { libc::_exit(code) }
}

/// Uses a descriptor of which only the number is known.
#[allow(unsafe_code)]
pub fn with_borrowed<T>(fd: std::os::fd::RawFd, using: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
    // SAFETY: the number was taken from an owned descriptor that is never closed before this
    // process starts a program or ends.
    using(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Takes over a descriptor that was handed on through exec, or just made, under this number.
#[allow(unsafe_code)]
pub fn adopt(fd: std::os::fd::RawFd) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: called once per number, by the only owner that it has.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Gives the calling process a mount namespace of its own.
pub fn unshare_mounts() -> io::Result<()> {
    unshare(rustix::thread::UnshareFlags::NEWNS)
}

/// Gives the calling process namespaces of its own.
#[allow(unsafe_code)]
pub fn unshare(namespaces: rustix::thread::UnshareFlags) -> io::Result<()> {
    // SAFETY: the process has one thread and shares no file system state with another.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// Puts a system call filter in force for the calling process.
#[allow(unsafe_code)]
pub fn install_filter(program: &[seccompiler::sock_filter]) -> io::Result<()> {
    /// The kernel's `struct sock_fprog`.
    #[repr(C)]
    struct Program {
        length: u16,
        code: *const seccompiler::sock_filter,
    }
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = Program { length, code: program.as_ptr() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the structure and the code outlive the call, which copies them.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The part of the kernel's `bpf_attr` that loads a program; the rest is zero.
#[repr(C)]
struct LoadProgram {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    rest: [u64; 12],
}

/// The part of the kernel's `bpf_attr` that attaches a program.
#[repr(C)]
struct AttachProgram {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    rest: [u64; 12],
}

/// Loads a program that decides about devices.
#[allow(unsafe_code)]
pub fn load_device_filter(code: &[[u8; 8]]) -> io::Result<OwnedFd> {
    const PROG_LOAD: libc::c_int = 5;
    const CGROUP_DEVICE: u32 = 15;
    let arguments = LoadProgram {
        kind: CGROUP_DEVICE,
        instructions: u32::try_from(code.len()).map_err(io::Error::other)?,
        code: code.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        rest: [0; 12],
    };
    // SAFETY: the structure and what it points to outlive the call, which copies them.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const arguments, size_of::<LoadProgram>())
    };
    match i32::try_from(fd) {
        Ok(fd) if fd >= 0 => Ok(adopt(fd)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Attaches it to a version 2 control group.
#[allow(unsafe_code)]
pub fn attach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    const PROG_ATTACH: libc::c_int = 8;
    const CGROUP_DEVICE: u32 = 6;
    let arguments = AttachProgram {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: CGROUP_DEVICE,
        flags: 0,
        rest: [0; 12],
    };
    // SAFETY: the structure outlives the call, which copies it.
    let done = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const arguments, size_of::<AttachProgram>())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives back the mapped code and constants of this program. What is needed again is mapped again,
/// from the page cache; what only the start needed no longer counts as used.
#[allow(unsafe_code)]
pub fn forget_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    // The mapping from the file's beginning holds constants; other read-only ones may hold what the
    // start has written, and are left alone.
    let unwritten = |line: &&str| line.contains(" r-xp ") || line.contains(" r--p 00000000 ");
    for line in maps.lines().filter(unwritten).filter(|line| line.contains('/')) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let parse = |text| usize::from_str_radix(text, 16).ok();
        let Some((Some(start), Some(end))) = range.map(|(start, end)| (parse(start), parse(end)))
        else {
            continue;
        };
        let start = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: these are mapped from a file and were never written to, so that dropping their
        // pages loses nothing: the kernel reads them again when they are used.
        unsafe { libc::madvise(start, end - start as usize, libc::MADV_DONTNEED) };
    }
}
