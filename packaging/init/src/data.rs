//! The data partition: looked at, repaired, mounted, and grown to the size of its partition.
//!
//! There is no other place for state: when this one cannot be used, nothing is started on another. It
//! never makes a file system anew, since that would be to throw away what somebody may still save.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::block::{self, Partition};
use crate::modules::Loader;
use crate::tell::{Level, announce, tell};
use crate::trouble::{Doing, Trouble, invalid};

/// Where the whole partition is.
pub const PLACE: &str = "/data";
/// The part of it that is ours: name, clock, the last good configuration.
pub const DEVICE: &str = "/data/device";
/// The node's part, and where the node sees it.
const SKERRY: &str = "/data/skerry";
const STATE: &str = "/var/lib/skerry";

const OPTIONS: &str = "data=ordered,errors=remount-ro";

/// What an ext4 says of itself in its superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// The kernel met an error in it.
    pub has_errors: bool,
    /// Bytes.
    pub size: u64,
    /// Bytes of one block.
    pub block: u64,
}

impl Superblock {
    /// Reads the 1,024 bytes at offset 1,024; nothing if that is no ext4.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize, width: usize| {
            let field = bytes.get(at..at + width)?;
            Some(field.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
        };
        if number(0x38, 2)? != 0xef53 {
            return None;
        }
        let block = 1024_u64.checked_shl(u32::try_from(number(0x18, 4)?).ok()?)?;
        // The upper half counts only where the 64bit feature is on.
        let upper = if number(0x60, 4)? & 0x80 == 0 { 0 } else { number(0x150, 4)? };
        let blocks = upper << 32 | number(0x4, 4)?;
        Some(Self {
            has_errors: number(0x3a, 2)? & 2 != 0,
            size: blocks.checked_mul(block)?,
            block,
        })
    }
}

/// Mounts it, repairing what it must, and lets the node see its part.
///
/// # Errors
/// It cannot be mounted, even after a repair.
pub fn mount_data(sys: &Path, data: &Partition, loader: &mut Loader) -> Result<(), Trouble> {
    loader.load("fs-ext4");
    let node = data.node();
    let before = superblock(&node)?;
    if before.is_none_or(|found| found.has_errors) {
        announce(format!("{} is marked as damaged; checking it", data.device));
        check(&node);
    }
    if let Err(error) = try_mount(&node) {
        announce(format!("{error}; checking it"));
        check(&node);
        try_mount(&node)?;
    }
    if let Err(error) = fill(sys, data) {
        // The device works on with what it has.
        tell(Level::Error, error);
    }
    for (place, mode) in [(DEVICE, 0o700), (SKERRY, 0o755)] {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(mode).create(place).doing("make", place)?;
    }
    let none = None::<&str>;
    mount(Some(SKERRY), STATE, none, MsFlags::MS_BIND, none).doing("mount", STATE)
}

fn try_mount(node: &Path) -> Result<(), Trouble> {
    let flags = MsFlags::MS_NOATIME | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some(node), PLACE, Some("ext4"), flags, Some(OPTIONS)).doing("mount", node.display())
}

fn superblock(node: &Path) -> Result<Option<Superblock>, Trouble> {
    let mut bytes = [0; 1024];
    let file = File::open(node).doing("open", node.display())?;
    file.read_exact_at(&mut bytes, 1024).doing("read", node.display())?;
    Ok(Superblock::parse(&bytes))
}

/// Repairs what is safe to repair; then all that can be, since nobody is there to be asked. After a
/// superblock had to be taken from its copy, a second turn finds what the first could not see.
fn check(node: &Path) {
    for how in ["-p", "-y", "-y", "-y"] {
        let mut command = Command::new("/sbin/e2fsck");
        command.args(["-f", how]).arg(node).stdin(Stdio::null());
        match command.output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                said.lines().for_each(|line| tell(Level::Warning, format!("e2fsck: {line}")));
                // 1: errors corrected. 2: corrected, and it was mounted, which it is not.
                if output.status.code().is_some_and(|code| code < 4) {
                    return;
                }
            }
            Err(error) => return tell(Level::Error, format!("e2fsck: {error}")),
        }
    }
}

/// Whether the kernel met an error in it, and lets nothing be written any more.
pub fn is_read_only() -> bool {
    statvfs(PLACE).is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY))
}

#[allow(unsafe_code, missing_docs, reason = "the macro makes an unsafe function")]
mod call {
    nix::ioctl_write_ptr!(resize, b'f', 16, u64);
}

/// Grows the file system to its partition's size, while it is mounted.
fn fill(sys: &Path, data: &Partition) -> Result<(), Trouble> {
    let Some(found) = superblock(&data.node())? else {
        return Err(invalid("grow", &data.device, "it is no ext4"));
    };
    let room = block::sectors(sys, &data.device).unwrap_or_default() * crate::gpt::SECTOR;
    // A last group of less than this would hold little but its own tables.
    if room < found.size + (8 << 20) {
        return Ok(());
    }
    let blocks = room / found.block;
    let place = File::open(PLACE).doing("open", PLACE)?;
    // SAFETY: the kernel reads one u64, which outlives the call.
    #[allow(unsafe_code, reason = "an ioctl without a safe wrapper")]
    unsafe { call::resize(place.as_raw_fd(), &raw const blocks) }.doing("grow", PLACE)?;
    tell(Level::Info, format!("{} now holds {} MiB", data.device, room >> 20));
    Ok(())
}

#[cfg(test)]
mod tests;
