//! Unpacks one layer's tar stream into a folder for overlayfs.
//!
//! Does what the stream says, member by member, inside the folder and nowhere else: every path is
//! resolved by `tree::Tree`, which cannot leave it. Whiteouts become what overlayfs understands.
//! Never trusts an order, a size or a count. [`crate::import`] checks the digest of what was read.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use tar::Archive;

use crate::archive::{ArchiveError, Kind, Member, Members, Meta, printable};
use crate::store::witness::{Witness, Witnesses};
use tree::Tree;

mod metadata;
mod tree;
mod whiteout;

/// The bounds of one layer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the uncompressed tar stream.
    pub bytes: u64,
    /// Entries, extension headers included.
    pub entries: u64,
    /// Device nodes.
    pub devices: u64,
    /// Parts of one path.
    pub depth: usize,
    /// Bytes of the paths of all folders, which are held in memory until the end.
    pub folder_names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 30, entries: 500_000, devices: 1024, depth: 128, folder_names: 16 << 20 }
    }
}

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stream itself is wrong.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A path would leave the layer.
    #[error("'{path}' leads out of the layer ({why}); the image is malformed or hostile")]
    Escape {
        /// The path as written.
        path: String,
        /// How.
        why: &'static str,
    },
    /// A bound was hit.
    #[error("'{path}' takes the layer over its bound of {max} {what}")]
    Limit {
        /// The member.
        path: String,
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// The kernel refused.
    #[error("cannot {operation} '{path}': {source}")]
    Kernel {
        /// What was tried.
        operation: &'static str,
        /// The member.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The stream ends inside a file.
    #[error("'{path}' ends after {got} of {size} bytes")]
    Truncated {
        /// The member.
        path: String,
        /// Its length by its header.
        size: u64,
        /// What was there.
        got: u64,
    },
}

/// What was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Members, whiteouts included.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// By what it is seen to be whole.
    pub(crate) witnesses: Vec<Witness>,
}

const COPY_BUFFER: usize = 128 << 10;

struct Unpacker<'l> {
    tree: Tree,
    limits: &'l Limits,
    done: Unpacked,
    seen: Witnesses,
    devices: u64,
    folder_names: usize,
    folder_times: BTreeMap<Vec<u8>, (i64, u32)>,
    buffer: Vec<u8>,
}

/// Unpacks the tar stream `source` into the empty folder `target`.
///
/// Nothing is made durable here; the caller syncs the file system once for all layers.
///
/// # Errors
/// When the stream is damaged, hostile or over a bound, or the kernel refuses. What was unpacked
/// until then stays, for the caller to remove.
pub fn unpack(source: impl Read, target: &Path, limits: &Limits) -> Result<Unpacked, UnpackError> {
    let tree = Tree::open(target, limits.depth)?;
    let mut unpacker = Unpacker {
        tree,
        limits,
        done: Unpacked::default(),
        seen: Witnesses::default(),
        devices: 0,
        folder_names: 0,
        folder_times: BTreeMap::new(),
        buffer: vec![0; COPY_BUFFER],
    };
    let mut archive = Archive::new(source);
    let mut members = Members::new(&mut archive, limits.entries)?;
    while let Some(mut member) = members.next_member()? {
        unpacker.member(&mut member)?;
    }
    unpacker.set_folder_times()?;
    let witnesses = unpacker.seen.that_are_in(target);
    Ok(Unpacked { witnesses, ..unpacker.done })
}

impl Unpacker<'_> {
    fn member<R: Read>(&mut self, member: &mut Member<'_, R>) -> Result<(), UnpackError> {
        let path = clean(&member.meta.path, self.limits.depth)?;
        self.done.entries += 1;
        let Some((parent, name)) = split(&path) else {
            return self.root(&member.meta);
        };
        if let Some(hidden) = name.strip_prefix(whiteout::PREFIX) {
            return whiteout::apply(&mut self.tree, parent, hidden, &path);
        }
        match member.meta.kind {
            Kind::File => self.file(&path, parent, name, member),
            Kind::Folder => self.folder(&path, parent, name, &member.meta),
            Kind::Symlink => self.symlink(&path, parent, name, &member.meta),
            Kind::HardLink => self.hard_link(&path, parent, name, &member.meta.link),
            Kind::CharDevice => {
                self.node(&path, parent, name, &member.meta, FileType::CharacterDevice)
            }
            Kind::BlockDevice => {
                self.node(&path, parent, name, &member.meta, FileType::BlockDevice)
            }
            Kind::Fifo => self.node(&path, parent, name, &member.meta, FileType::Fifo),
        }
    }

    fn root(&mut self, meta: &Meta) -> Result<(), UnpackError> {
        if meta.kind != Kind::Folder {
            return Err(UnpackError::Escape {
                path: printable(&meta.path),
                why: "it names the root, and is no folder",
            });
        }
        let root = self.tree.root()?;
        metadata::set(&root, meta, &meta.path)?;
        self.remember_time(&[], meta.mtime)
    }

    fn file<R: Read>(
        &mut self,
        path: &[u8],
        parent: &[u8],
        name: &[u8],
        member: &mut Member<'_, R>,
    ) -> Result<(), UnpackError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.tree.make(path, parent, name, "create", |parent| {
            fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
        })?;
        let mut file = std::fs::File::from(file);
        let size = member.meta.size;
        let got = self.copy(path, member, &mut file)?;
        if got != size {
            return Err(UnpackError::Truncated { path: printable(path), size, got });
        }
        self.done.bytes += size;
        self.seen.see(path, size);
        metadata::set(&file, &member.meta, path)?;
        metadata::set_time(&file, member.meta.mtime).map_err(refused("set the time of", path))
    }

    fn copy(
        &mut self,
        path: &[u8],
        from: &mut impl Read,
        to: &mut impl Write,
    ) -> Result<u64, UnpackError> {
        let mut total = 0;
        loop {
            let read = match from.read(&mut self.buffer) {
                Ok(0) => return Ok(total),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(ArchiveError::Read(e).into()),
            };
            let bytes = self.buffer.get(..read).unwrap_or_default();
            to.write_all(bytes).map_err(|source| UnpackError::Kernel {
                operation: "write",
                path: printable(path),
                source,
            })?;
            total += read as u64;
        }
    }

    fn folder(
        &mut self,
        path: &[u8],
        parent: &[u8],
        name: &[u8],
        meta: &Meta,
    ) -> Result<(), UnpackError> {
        self.tree.make_folder(path, parent, name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = self.tree.folder(parent)?;
        let folder =
            fs::openat(&parent, name, flags, Mode::empty()).map_err(refused("open", path))?;
        metadata::set(&folder, meta, path)?;
        self.remember_time(path, meta.mtime)
    }

    fn symlink(
        &mut self,
        path: &[u8],
        parent: &[u8],
        name: &[u8],
        meta: &Meta,
    ) -> Result<(), UnpackError> {
        self.tree.make(path, parent, name, "link", |parent| {
            fs::symlinkat(meta.link.as_slice(), parent, name)
        })?;
        let parent = self.tree.folder(parent)?;
        metadata::set_at(&parent, name, meta, path)
    }

    fn hard_link(
        &mut self,
        path: &[u8],
        parent: &[u8],
        name: &[u8],
        link: &[u8],
    ) -> Result<(), UnpackError> {
        let target = clean(link, self.limits.depth)?;
        let (target_parent, target_name) = split(&target).ok_or_else(|| UnpackError::Escape {
            path: printable(path),
            why: "it is a hard link to the root",
        })?;
        let from = self.tree.existing(target_parent)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let found = fs::statat(&from, target_name, flags).map_err(refused("link to", &target))?;
        let to = self.tree.folder(parent)?;
        let same = |s: &fs::Stat| (s.st_dev, s.st_ino) == (found.st_dev, found.st_ino);
        if fs::statat(&to, name, flags).is_ok_and(|there| same(&there)) {
            return Ok(());
        }
        self.tree.make(path, parent, name, "hard link", |parent| {
            fs::linkat(&from, target_name, parent, name, AtFlags::empty())
        })
    }

    fn node(
        &mut self,
        path: &[u8],
        parent: &[u8],
        name: &[u8],
        meta: &Meta,
        kind: FileType,
    ) -> Result<(), UnpackError> {
        self.devices += 1;
        if self.devices > self.limits.devices {
            let (what, max) = ("device nodes and pipes", self.limits.devices);
            return Err(UnpackError::Limit { path: printable(path), what, max });
        }
        let device = fs::makedev(meta.device.0, meta.device.1);
        self.tree.make(path, parent, name, "make the device", |parent| {
            fs::mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, device)
        })?;
        let parent = self.tree.folder(parent)?;
        metadata::set_at(&parent, name, meta, path)?;
        fs::chmodat(&parent, name, Mode::from_raw_mode(meta.mode), AtFlags::empty())
            .map_err(refused("set the mode of", path))
    }

    fn remember_time(&mut self, path: &[u8], time: (i64, u32)) -> Result<(), UnpackError> {
        self.folder_names += path.len();
        if self.folder_names > self.limits.folder_names {
            let (what, max) = ("bytes of folder names", self.limits.folder_names as u64);
            return Err(UnpackError::Limit { path: printable(path), what, max });
        }
        self.folder_times.insert(path.to_vec(), time);
        Ok(())
    }

    /// Folders get their times last, since making their children changes them. One that was
    /// replaced by something else meanwhile is passed over.
    fn set_folder_times(&mut self) -> Result<(), UnpackError> {
        for (path, time) in std::mem::take(&mut self.folder_times) {
            let Some((parent, name)) = split(&path) else {
                let root = self.tree.root()?;
                metadata::set_time(&root, time).map_err(refused("set the time of", b"/"))?;
                continue;
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(parent) = self.tree.existing(parent) else { continue };
            if let Ok(folder) = fs::openat(&parent, name, flags, Mode::empty()) {
                metadata::set_time(&folder, time).map_err(refused("set the time of", &path))?;
            }
        }
        Ok(())
    }
}

/// Makes an error of what the kernel said.
fn refused(operation: &'static str, path: &[u8]) -> impl Fn(Errno) -> UnpackError + use<> {
    let path = printable(path);
    move |errno| UnpackError::Kernel { operation, path: path.clone(), source: errno.into() }
}

/// A path relative to the layer's root, without `.`, doubled or trailing slashes; empty is the root.
/// A leading slash is the layer's root. `..` is refused: no builder writes it.
fn clean(path: &[u8], depth: usize) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::with_capacity(path.len());
    let mut parts = 0;
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => {
                let path = printable(path);
                return Err(UnpackError::Escape { path, why: "it holds '..'" });
            }
            part if part.contains(&0) => {
                let path = printable(path);
                return Err(UnpackError::Escape { path, why: "it holds a zero byte" });
            }
            part => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(part);
                parts += 1;
            }
        }
    }
    if parts > depth {
        let path = printable(path);
        return Err(UnpackError::Limit { path, what: "folders one in another", max: depth as u64 });
    }
    Ok(out)
}

/// The parent and the name of a clean path; `None` for the root.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => Some((path.get(..slash)?, path.get(slash + 1..)?)),
        None => Some((b"", path)),
    }
}

#[cfg(test)]
mod tests;
