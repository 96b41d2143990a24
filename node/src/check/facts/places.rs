//! A folder that the node would use: whether it can be written, what it is on, what is left there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What is so of one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it is to be.
    pub path: PathBuf,
    /// The part of it that is there: itself, or a folder above.
    pub nearest: PathBuf,
    /// What came of writing, syncing, renaming and removing a small file there.
    pub written: Result<(), Refused>,
    /// The kind of file system, as the kernel calls it.
    pub kind: String,
    /// Free and all bytes, for root.
    pub bytes: Option<(u64, u64)>,
    /// Free and all inodes; none where the file system has no fixed number.
    pub inodes: Option<(u64, u64)>,
}

/// Why a file could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was tried.
    pub operation: &'static str,
    /// The error number.
    pub errno: i32,
}

impl Folder {
    /// Looks at a folder, and writes to it or to the one above that is there.
    pub fn look(path: &Path) -> Self {
        let nearest = nearest(path);
        let mounts = super::read("/proc/self/mountinfo");
        let real = nearest.canonicalize().unwrap_or_else(|_| nearest.clone());
        let space = rustix::fs::statvfs(&nearest).ok();
        Self {
            path: path.to_owned(),
            written: write(&nearest),
            kind: kind_of(&mounts, &real).unwrap_or_else(|| "unknown".to_owned()),
            bytes: space.as_ref().map(|s| (s.f_bavail * s.f_frsize, s.f_blocks * s.f_frsize)),
            inodes: space.filter(|s| s.f_files > 0).map(|s| (s.f_ffree, s.f_files)),
            nearest,
        }
    }
}

/// The lowest folder that is there on the way to a path.
pub fn nearest(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|way| way.is_dir());
    found.map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// As the node writes what matters: aside, synced, renamed, the folder synced.
fn write(folder: &Path) -> Result<(), Refused> {
    let aside = folder.join(format!(".skerry-check-{}", std::process::id()));
    let named = aside.with_extension("renamed");
    let refused = |operation| {
        move |error: io::Error| Refused {
            operation,
            errno: error.raw_os_error().unwrap_or_default(),
        }
    };
    let done = (|| {
        let mut file = File::create(&aside).map_err(refused("make a file in"))?;
        file.write_all(&[0; 4096]).map_err(refused("write to a file in"))?;
        file.sync_all().map_err(refused("sync a file in"))?;
        fs::rename(&aside, &named).map_err(refused("rename a file in"))?;
        File::open(folder).and_then(|f| f.sync_all()).map_err(refused("sync"))
    })();
    for path in [aside, named] {
        // One of them is there; after a failure, perhaps none.
        let _ = fs::remove_file(path);
    }
    done
}

/// The kind of the file system that a path is on, from `/proc/self/mountinfo`.
pub fn kind_of(mountinfo: &str, path: &Path) -> Option<String> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.replace("\\040", " ");
        Some((point, after.split(' ').next()?))
    });
    // Of those that the path is below the deepest counts, and of the equally deep the last.
    let below = mounts.filter(|(point, _)| path.starts_with(point));
    below.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}
