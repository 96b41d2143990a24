//! Writes a folder as one gzip layer, the same bytes each time.
//!
//! Sorted entries, owner 0, one time for all; contents, modes, links and the attributes that a layer
//! may carry are kept. What cannot be in a layer is refused rather than left out.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder, write::GzEncoder};
use skerry_core::ids::Digest;
use tar::{Builder, EntryType, Header};

use super::{PackError, io_at};
use crate::hash::{Hash, HashingWriter};

const DEPTH_MAX: usize = 128;
const ENTRIES_MAX: usize = 500_000;
const XATTR_MAX: usize = 64 << 10;
const LINK_FIELD: usize = 100;

/// A layer that was written.
pub(super) struct Written {
    pub(super) digest: Digest,
    pub(super) diff_id: Digest,
    pub(super) size: u64,
}

type Blob = HashingWriter<BufWriter<File>>;
type Tar = Builder<HashingWriter<GzEncoder<Blob>>>;

/// Writes the layer of `folder` to `target`.
pub(super) fn write(folder: &Path, target: &Path, time: u64) -> Result<Written, PackError> {
    let failed = || io_at("write", target);
    let file = BufWriter::with_capacity(128 << 10, File::create(target).map_err(failed())?);
    let blob = HashingWriter::new(file, Hash::here());
    let gzip = GzBuilder::new().mtime(0).write(blob, Compression::new(6));
    let mut layer = Layer {
        tar: Builder::new(HashingWriter::new(gzip, Hash::sized(u64::MAX))),
        root: folder,
        time,
        entries: 0,
        linked: BTreeMap::new(),
    };
    layer.folder(Path::new(""), 0)?;
    let diff = layer.tar.into_inner().map_err(failed())?;
    let (gzip, _, diff_id) = diff.finish().map_err(failed())?;
    let blob = gzip.finish().map_err(failed())?;
    let (file, size, digest) = blob.finish().map_err(failed())?;
    let file = file.into_inner().map_err(|e| failed()(e.into_error()))?;
    file.sync_all().map_err(failed())?;
    Ok(Written { digest, diff_id, size })
}

struct Layer<'a> {
    tar: Tar,
    root: &'a Path,
    time: u64,
    entries: usize,
    /// Files with several names, by device and inode: the first name.
    linked: BTreeMap<(u64, u64), PathBuf>,
}

impl Layer<'_> {
    fn folder(&mut self, inside: &Path, depth: usize) -> Result<(), PackError> {
        let full = self.root.join(inside);
        if depth > DEPTH_MAX {
            let what = "folders one in another";
            return Err(PackError::Limit { path: full, what, max: DEPTH_MAX });
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&full).map_err(io_at("read", &full))? {
            names.push(entry.map_err(io_at("read", &full))?.file_name());
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                let path = self.root.to_owned();
                return Err(PackError::Limit { path, what: "files", max: ENTRIES_MAX });
            }
        }
        names.sort();
        for name in names {
            let inside = inside.join(&name);
            if name.as_bytes().starts_with(b".wh.") {
                let what = "named like a whiteout, which would hide a file instead of being one";
                return Err(PackError::Unpackable { path: self.root.join(inside), what });
            }
            self.entry(&inside, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, inside: &Path, depth: usize) -> Result<(), PackError> {
        let full = self.root.join(inside);
        let meta = fs::symlink_metadata(&full).map_err(io_at("look at", &full))?;
        let kind = meta.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(&full).map_err(io_at("read", &full))?;
            let target = target.as_os_str().as_bytes();
            return self.link(inside, &full, &meta, EntryType::Symlink, target);
        }
        if kind.is_dir() {
            self.attributes(&full)?;
            let mut header = self.header(EntryType::Directory, &meta, 0);
            let added = self.tar.append_data(&mut header, inside, io::empty());
            added.map_err(io_at("pack", &full))?;
            return self.folder(inside, depth + 1);
        }
        if !kind.is_file() {
            let what = "a device, pipe or socket";
            return Err(PackError::Unpackable { path: full, what });
        }
        if meta.nlink() > 1 {
            let key = (meta.dev(), meta.ino());
            if let Some(first) = self.linked.get(&key).cloned() {
                let target = first.as_os_str().as_bytes();
                return self.link(inside, &full, &meta, EntryType::Link, target);
            }
            self.linked.insert(key, inside.to_owned());
        }
        self.file(inside, &full)
    }

    fn file(&mut self, inside: &Path, full: &Path) -> Result<(), PackError> {
        let file = File::open(full).map_err(io_at("open", full))?;
        let meta = file.metadata().map_err(io_at("look at", full))?;
        self.attributes(full)?;
        let size = meta.len();
        let mut header = self.header(EntryType::Regular, &meta, size);
        let mut content = file.take(size);
        let added = self.tar.append_data(&mut header, inside, &mut content);
        added.map_err(io_at("pack", full))?;
        if content.limit() > 0 {
            let source = io::Error::new(io::ErrorKind::UnexpectedEof, "it shrank meanwhile");
            return Err(PackError::Io { operation: "pack", path: full.to_owned(), source });
        }
        Ok(())
    }

    fn link(
        &mut self,
        inside: &Path,
        full: &Path,
        meta: &Metadata,
        kind: EntryType,
        target: &[u8],
    ) -> Result<(), PackError> {
        let mut header = self.header(kind, meta, 0);
        let result = if target.len() < LINK_FIELD {
            header.set_link_name_literal(target)
        } else {
            self.records(&[(b"linkpath".to_vec(), target.to_vec())])
        };
        result.map_err(io_at("pack", full))?;
        let added = self.tar.append_data(&mut header, inside, io::empty());
        added.map_err(io_at("pack", full))
    }

    fn header(&self, kind: EntryType, meta: &Metadata, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(meta.mode() & 0o7777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.time);
        header.set_size(size);
        header
    }

    /// Writes the extended attributes that a layer may carry.
    fn attributes(&mut self, full: &Path) -> Result<(), PackError> {
        let mut list = vec![0_u8; XATTR_MAX];
        let length = match rustix::fs::llistxattr(full, list.as_mut_slice()) {
            Err(rustix::io::Errno::NOTSUP) => return Ok(()),
            result => result.map_err(|e| io_at("read the attributes of", full)(e.into()))?,
        };
        list.truncate(length);
        let mut names: Vec<&[u8]> = list.split(|b| *b == 0).collect();
        names.retain(|n| *n == b"security.capability" || n.starts_with(b"user."));
        names.sort_unstable();
        let mut records = Vec::new();
        for name in names {
            let mut value = vec![0_u8; XATTR_MAX];
            let length = rustix::fs::lgetxattr(full, name, value.as_mut_slice())
                .map_err(|e| io_at("read the attributes of", full)(e.into()))?;
            value.truncate(length);
            records.push(([b"SCHILY.xattr.", name].concat(), value));
        }
        self.records(&records).map_err(io_at("pack", full))
    }

    /// Writes PAX records for the entry that follows.
    fn records(&mut self, records: &[(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + digits(rest);
            length = rest + digits(length);
            write!(bytes, "{length} ")?;
            bytes.extend_from_slice(key);
            bytes.push(b'=');
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_mtime(self.time);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, "PaxHeaders/0", bytes.as_slice())
    }
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}
