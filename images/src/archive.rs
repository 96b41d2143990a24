//! Reads a tar stream member by member, with a bound on everything that the stream decides.
//!
//! Decides what a member's header, its GNU long names and its PAX records mean together. Never writes
//! a file and never looks at a path's meaning: [`crate::unpack`] does that for layers, and
//! [`crate::import`] for whole images.

use std::io::{self, Read, Seek};

use tar::{Archive, Entries, Entry, EntryType, Header};

/// The longest path or link target.
pub const PATH_MAX: usize = 4096;
/// The largest block of PAX records or long name.
pub const EXTENSION_MAX: u64 = 1 << 20;
const XATTR: &[u8] = b"SCHILY.xattr.";

/// Why a tar stream cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream ended early, or is no tar.
    #[error("reading the tar stream: {0}")]
    Read(#[source] io::Error),
    /// A field of a header makes no sense.
    #[error("'{path}' in the tar stream has a wrong {field}")]
    Field {
        /// The member.
        path: String,
        /// What is wrong.
        field: &'static str,
    },
    /// The stream holds something that is not understood.
    #[error("'{path}' in the tar stream is {what}, which is not supported")]
    Unsupported {
        /// The member.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// The stream holds more than allowed.
    #[error("the tar stream holds more than {max} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: u64,
    },
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// Another name of an earlier member.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A folder.
    Folder,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// What a tar stream says of one member.
#[derive(Debug, Clone)]
pub struct Meta {
    /// Its path as written.
    pub path: Vec<u8>,
    /// Where a link points.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of content.
    pub size: u64,
}

/// One member: what is said of it, and its content.
pub struct Member<'a, R: Read> {
    /// What the stream says.
    pub meta: Meta,
    entry: Entry<'a, R>,
}

impl<R: Read> Member<'_, R> {
    /// Where the content begins in the stream.
    pub fn position(&self) -> u64 {
        self.entry.raw_file_position()
    }
}

impl<R: Read> Read for Member<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.entry.read(buffer)
    }
}

/// The members of a tar stream, one after another.
pub struct Members<'a, R: Read> {
    entries: Entries<'a, R>,
    seen: u64,
    max: u64,
}

/// What the extension headers before a member said.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a, R: Read> Members<'a, R> {
    /// Walks `archive`, through at most `max` headers.
    ///
    /// # Errors
    /// When the archive was read from before.
    pub fn new(archive: &'a mut Archive<R>, max: u64) -> Result<Self, ArchiveError> {
        let entries = archive.entries().map_err(ArchiveError::Read)?.raw(true);
        Ok(Self { entries, seen: 0, max })
    }

    /// Walks `archive` by seeking over contents that nobody reads.
    ///
    /// # Errors
    /// When the archive was read from before.
    pub fn seeking(archive: &'a mut Archive<R>, max: u64) -> Result<Self, ArchiveError>
    where
        R: Seek,
    {
        let entries = archive.entries_with_seek().map_err(ArchiveError::Read)?.raw(true);
        Ok(Self { entries, seen: 0, max })
    }

    /// The next member, `None` at the end.
    ///
    /// # Errors
    /// When the stream is damaged or over a bound.
    pub fn next_member(&mut self) -> Result<Option<Member<'a, R>>, ArchiveError> {
        let mut extensions = Extensions::default();
        loop {
            let Some(entry) = self.entries.next() else { return Ok(None) };
            let mut entry = entry.map_err(ArchiveError::Read)?;
            self.seen += 1;
            if self.seen > self.max {
                return Err(ArchiveError::Limit { what: "entries", max: self.max });
            }
            match entry.header().entry_type() {
                EntryType::GNULongName => extensions.path = Some(text_block(&mut entry)?),
                EntryType::GNULongLink => extensions.link = Some(text_block(&mut entry)?),
                EntryType::XHeader => extensions.read_pax(&block(&mut entry)?)?,
                EntryType::XGlobalHeader => drop(block(&mut entry)?),
                kind => {
                    let meta = meta(entry.header(), kind, extensions)?;
                    return Ok(Some(Member { meta, entry }));
                }
            }
        }
    }
}

fn block<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, ArchiveError> {
    if entry.size() > EXTENSION_MAX {
        return Err(ArchiveError::Limit { what: "bytes in one header", max: EXTENSION_MAX });
    }
    let mut bytes = Vec::new();
    entry.take(EXTENSION_MAX).read_to_end(&mut bytes).map_err(ArchiveError::Read)?;
    Ok(bytes)
}

fn text_block<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = block(entry)?;
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    Ok(bytes)
}

impl Extensions {
    /// Reads records of the form `LENGTH KEY=VALUE\n`, by length, since values may be binary.
    fn read_pax(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        let wrong = || ArchiveError::Field { path: String::new(), field: "PAX record" };
        while !bytes.is_empty() {
            let space = bytes.iter().take(20).position(|b| *b == b' ').ok_or_else(wrong)?;
            let length = bytes.get(..space).and_then(decimal).ok_or_else(wrong)?;
            let length = usize::try_from(length).map_err(|_| wrong())?;
            let record = bytes.get(space + 1..length).ok_or_else(wrong)?;
            let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(wrong)?;
            let (key, value) = record.split_at_checked(equals).ok_or_else(wrong)?;
            self.take_record(key, value.get(1..).unwrap_or_default())?;
            bytes = bytes.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn take_record(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        let wrong = |field| ArchiveError::Field { path: String::new(), field };
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value).ok_or_else(|| wrong("PAX size"))?),
            b"uid" => self.uid = Some(decimal(value).ok_or_else(|| wrong("PAX uid"))?),
            b"gid" => self.gid = Some(decimal(value).ok_or_else(|| wrong("PAX gid"))?),
            b"mtime" => self.mtime = Some(pax_time(value).ok_or_else(|| wrong("PAX mtime"))?),
            key if key.starts_with(b"GNU.sparse.") => {
                let path = self.path.as_deref().map(printable).unwrap_or_default();
                return Err(ArchiveError::Unsupported { path, what: "a sparse file" });
            }
            key => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn meta(header: &Header, kind: EntryType, more: Extensions) -> Result<Meta, ArchiveError> {
    let path = more.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let link = more.link.or_else(|| header.link_name_bytes().map(|l| l.into_owned()));
    let shown = || printable(&path);
    let wrong = |field| ArchiveError::Field { path: shown(), field };
    let kind = kind_of(kind, &path)
        .ok_or_else(|| ArchiveError::Unsupported { path: shown(), what: "of an unknown kind" })?;
    let size = header.entry_size().map_err(|_| wrong("size"))?;
    if more.size.is_some_and(|said| said != size) {
        return Err(wrong("size: header and PAX record differ"));
    }
    if path.len() > PATH_MAX || link.as_ref().is_some_and(|l| l.len() > PATH_MAX) {
        return Err(ArchiveError::Limit { what: "bytes in one path", max: PATH_MAX as u64 });
    }
    let old = header.as_old();
    let id = |pax: Option<u64>, field: &[u8], header: io::Result<u64>, name| {
        let id = pax.or_else(|| number(field, header));
        id.and_then(|id| u32::try_from(id).ok()).ok_or_else(|| wrong(name))
    };
    let seconds = || header.mtime().ok().and_then(|s| i64::try_from(s).ok()).map(|s| (s, 0));
    Ok(Meta {
        kind,
        mode: number(&old.mode, header.mode()).ok_or_else(|| wrong("mode"))? & 0o7777,
        uid: id(more.uid, &old.uid, header.uid(), "owner")?,
        gid: id(more.gid, &old.gid, header.gid(), "group")?,
        mtime: more.mtime.or_else(seconds).unwrap_or((0, 0)),
        device: device(header, kind).ok_or_else(|| wrong("device number"))?,
        xattrs: more.xattrs,
        size,
        link: link.unwrap_or_default(),
        path,
    })
}

/// A number of a header; a field that was left blank is 0, as for other tools.
fn number<T: Default>(field: &[u8], parsed: io::Result<T>) -> Option<T> {
    let is_blank = field.iter().all(|b| [0, b' '].contains(b));
    if is_blank { Some(T::default()) } else { parsed.ok() }
}

fn device(header: &Header, kind: Kind) -> Option<(u32, u32)> {
    if !matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
        return Some((0, 0));
    }
    let major = header.device_major().ok()??;
    let minor = header.device_minor().ok()??;
    (major < 1 << 12 && minor < 1 << 20).then_some((major, minor))
}

fn kind_of(kind: EntryType, path: &[u8]) -> Option<Kind> {
    Some(match kind {
        EntryType::Regular if path.ends_with(b"/") => Kind::Folder,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Link => Kind::HardLink,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Directory => Kind::Folder,
        EntryType::Char => Kind::CharDevice,
        EntryType::Block => Kind::BlockDevice,
        EntryType::Fifo => Kind::Fifo,
        _ => return None,
    })
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// A time such as `-1.25`, rounded down to the nanosecond.
fn pax_time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = i64::try_from(decimal(whole.as_bytes())?).ok()?;
    let places: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanos = u32::try_from(decimal(places.as_bytes())?).ok()?;
    match (negative, nanos) {
        (false, _) => Some((whole, nanos)),
        (true, 0) => Some((-whole, 0)),
        (true, _) => Some((-whole - 1, 1_000_000_000 - nanos)),
    }
}

/// A path for people, shortened.
pub(crate) fn printable(path: &[u8]) -> String {
    String::from_utf8_lossy(path.get(..path.len().min(200)).unwrap_or_default())
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

#[cfg(test)]
mod tests;
