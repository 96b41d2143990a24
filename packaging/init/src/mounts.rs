//! Mounts what every Linux program expects, in the initramfs and in the root.
//!
//! Knows no partition; see `data.rs` and `initramfs.rs` for those.

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use crate::trouble::{Doing, Trouble};

const SAFE: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
const SAFEST: MsFlags = SAFE.union(MsFlags::MS_NOEXEC);

/// Type, place, flags, options.
type Row = (&'static str, &'static str, MsFlags, &'static str);

/// What the initramfs makes, and hands over to the root.
pub const EARLY: [Row; 3] = [
    ("devtmpfs", "/dev", MsFlags::MS_NOSUID, "mode=0755"),
    ("proc", "/proc", SAFEST, ""),
    ("sysfs", "/sys", SAFEST, ""),
];

/// What the root needs besides. Folders in RAM have a limit, so that a log can't use it up.
pub const ROOT: [Row; 5] = [
    (
        "devpts",
        "/dev/pts",
        MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
        "mode=0620,gid=5,ptmxmode=0666",
    ),
    ("tmpfs", "/dev/shm", SAFEST, "mode=1777,size=10%"),
    ("tmpfs", "/run", SAFE, "mode=0755,size=20%"),
    ("tmpfs", "/tmp", SAFE, "mode=1777,size=20%"),
    ("cgroup2", "/sys/fs/cgroup", SAFEST, "nsdelegate,memory_recursiveprot"),
];

/// Mounts one row; a place where such a thing is mounted already is as good.
///
/// # Errors
/// The kernel refuses.
pub fn mount_row((kind, place, flags, options): Row) -> Result<(), Trouble> {
    let _ = fs::create_dir_all(place);
    match mount(Some(kind), place, Some(kind), flags, Some(options)) {
        Ok(()) | Err(nix::Error::EBUSY) => Ok(()),
        Err(error) => Err(error).doing("mount", place),
    }
}

/// Mounts a device read-only.
///
/// # Errors
/// The kernel refuses: no such file system on it, or no driver for it.
pub fn mount_read_only(node: &Path, place: &str, kind: &str, options: &str) -> Result<(), Trouble> {
    let flags = SAFEST | MsFlags::MS_RDONLY;
    let flags = if kind == "squashfs" { MsFlags::MS_RDONLY | MsFlags::MS_NODEV } else { flags };
    mount(Some(node), place, Some(kind), flags, Some(options)).doing("mount", node.display())
}

/// Moves a mount to another place.
///
/// # Errors
/// The kernel refuses.
pub fn shift(from: &str, to: &str) -> Result<(), Trouble> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>).doing("move", from)
}
