//! The disk under the state: how much room it has, whether it can be written, and the reserve.
//!
//! The reserve is a file of a mebibyte that holds room for the rows that matter most, and is given up
//! when nothing else is left. It decides nothing: [`super::healing`] does.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, StatVfsMountFlags, fallocate, statvfs};

/// How large the reserve is.
const RESERVE: u64 = 1 << 20;
/// So much must be free before the reserve is taken again.
const ROOM: u64 = 4 * RESERVE;
/// Less than this is full: not even a small row fits for sure.
const NOTHING: u64 = 64 << 10;

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has no room.
    Full,
    /// It cannot be written.
    ReadOnly,
    /// It fails, or is kept from the node.
    Broken,
}

impl Fault {
    /// What an error of the file system says of the disk; nothing, if it is about what is on it.
    pub fn of(error: &io::Error) -> Option<Self> {
        use rustix::io::Errno;
        use std::io::ErrorKind as K;
        let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
        match error.kind() {
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Some(Self::Full),
            K::ReadOnlyFilesystem => Some(Self::ReadOnly),
            K::PermissionDenied | K::OutOfMemory | K::StaleNetworkFileHandle => Some(Self::Broken),
            _ if is(Errno::IO) || is(Errno::MFILE) || is(Errno::NFILE) || is(Errno::NODEV) => {
                Some(Self::Broken)
            }
            // The database passes on a copy that has lost the number.
            _ if error.to_string().contains("code: 5,") => Some(Self::Broken),
            _ => None,
        }
    }
}

/// Room, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Free.
    pub free: u64,
    /// Of all.
    pub all: u64,
    /// It is mounted read-only.
    pub read_only: bool,
}

impl Room {
    /// What the kernel says of the file system that a folder is on.
    pub fn of(folder: &Path) -> Option<Self> {
        let stat = statvfs(folder).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        let read_only = stat.f_flag.contains(StatVfsMountFlags::RDONLY);
        Some(Self { free: bytes(stat.f_bavail), all: bytes(stat.f_blocks), read_only })
    }

    /// What is wrong, as far as numbers tell.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self { read_only: true, .. } => Some(Fault::ReadOnly),
            Self { free, .. } if *free < NOTHING => Some(Fault::Full),
            Self { .. } => None,
        }
    }
}

/// The reserve of one folder.
#[derive(Debug)]
pub struct Reserve(PathBuf);

impl Reserve {
    /// The reserve in a folder, whether or not it is there.
    pub fn of(folder: &Path) -> Self {
        Self(folder.join("reserve"))
    }

    /// Gives the room back; `false` if there was none to give.
    pub fn give_up(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }

    /// Whether it is there, whole.
    pub fn is_kept(&self) -> bool {
        fs::metadata(&self.0).is_ok_and(|file| file.len() == RESERVE)
    }

    /// Takes the room, if it is not held and there is enough beside it; `true` if it is held then.
    pub fn take(&self) -> bool {
        if self.is_kept() {
            return true;
        }
        let folder = self.0.parent().unwrap_or(&self.0);
        if !Room::of(folder).is_some_and(|room| !room.read_only && room.free >= ROOM) {
            return false;
        }
        let taken = File::create(&self.0).and_then(|file| {
            fallocate(&file, FallocateFlags::empty(), 0, RESERVE).map_err(io::Error::from)
        });
        if taken.is_err() {
            // What cannot be reserved is no reason to do without the node.
            let _ = fs::remove_file(&self.0);
        }
        taken.is_ok()
    }

    /// Whether this file system can hold room back at all; one that cannot has no reserve to miss.
    pub fn is_missed(&self) -> bool {
        !self.is_kept()
            && Room::of(self.0.parent().unwrap_or(&self.0)).is_some_and(|r| r.free < ROOM)
    }
}
