//! Project quotas, by the kernel's own numbers: C libraries have no names for all of them.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;

/// The limit of a project in blocks of 1024 bytes (0 is none), and what it holds.
#[derive(Debug, Clone, Copy)]
pub struct ProjectQuota {
    /// The limit.
    pub block_limit: u64,
    /// What it holds.
    pub used_bytes: u64,
}

/// The kernel's `struct if_dqblk`.
#[repr(C)]
#[derive(Default)]
struct Block {
    hard_limit: u64,
    soft_limit: u64,
    used_bytes: u64,
    others: [u64; 5],
    valid: u32,
}

/// The kernel's `struct fsxattr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    others: [u32; 3],
}

/// The same on every processor that we build for; libc has it not for all of them.
const QUOTACTL_FD: libc::c_long = 443;

const GET_QUOTA: u32 = 0x80_0007;
const SET_QUOTA: u32 = 0x80_0008;
const GET_STATE: u32 = 0x5805;
const OF_PROJECTS: u32 = 2;
const LIMITS_ONLY: u32 = 1;
const ENFORCED: u16 = 1 << 5;

/// By the open folder where the kernel can, else by the name of its device.
#[allow(unsafe_code)]
fn call<T>(
    folder: BorrowedFd<'_>,
    special: Option<&CStr>,
    command: u32,
    project: u32,
    data: &mut T,
) -> io::Result<()> {
    let command = command << 8 | OF_PROJECTS;
    let fd = folder.as_raw_fd();
    let data = std::ptr::from_mut(data);
    // SAFETY: each command reads or writes one structure of the size of `T`, which outlives the call.
    let done = unsafe { libc::syscall(QUOTACTL_FD, fd, command, project, data) };
    if done == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    let (Some(libc::ENOSYS), Some(special)) = (error.raw_os_error(), special) else {
        return Err(error);
    };
    let special = special.as_ptr();
    // SAFETY: as above; the name outlives the call too.
    let done = unsafe { libc::syscall(libc::SYS_quotactl, command, special, project, data) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the file system counts projects and keeps them to their limits.
pub fn enforces_project_quotas(folder: BorrowedFd<'_>, special: Option<&CStr>) -> bool {
    // The kernel's `struct fs_quota_stat` is 80 bytes: a version, then flags.
    let mut state = [0_u16; 64];
    let asked = call(folder, special, GET_STATE, 0, &mut state);
    let [_, flags, ..] = state;
    asked.is_ok() && flags & ENFORCED != 0
}

/// What a project holds and may hold.
pub fn project_quota(
    folder: BorrowedFd<'_>,
    special: Option<&CStr>,
    project: u32,
) -> io::Result<ProjectQuota> {
    let mut block = Block::default();
    call(folder, special, GET_QUOTA, project, &mut block)?;
    Ok(ProjectQuota { block_limit: block.hard_limit, used_bytes: block.used_bytes })
}

/// Sets what a project may hold.
pub fn set_project_quota(
    folder: BorrowedFd<'_>,
    special: Option<&CStr>,
    project: u32,
    quota: ProjectQuota,
) -> io::Result<()> {
    let mut block = Block { hard_limit: quota.block_limit, valid: LIMITS_ONLY, ..Block::default() };
    call(folder, special, SET_QUOTA, project, &mut block)
}

/// Makes a file, or a folder and what will be made in it, part of a project.
#[allow(unsafe_code)]
pub fn join_project(file: BorrowedFd<'_>, project: u32, inherit: bool) -> io::Result<()> {
    const GET: u32 = 0x801c_581f;
    const SET: u32 = 0x401c_5820;
    const INHERIT: u32 = 0x200;
    let mut attributes = Attributes::default();
    let fd = file.as_raw_fd();
    // SAFETY: the kernel writes one structure of this size, which outlives the call.
    let done = unsafe { libc::ioctl(fd, GET as _, &raw mut attributes) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.project = project;
    attributes.flags |= if inherit { INHERIT } else { 0 };
    // SAFETY: the kernel reads one structure of this size, which outlives the call.
    let done = unsafe { libc::ioctl(fd, SET as _, &raw const attributes) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
