//! The parts of an image by name, whether they lie in a folder, in a tar file, or came by stream.
//!
//! Reads, spools and bounds; understands nothing of images. A tar file is indexed once and read in
//! place. A stream is written to disk once, each part hashed on its way. [`super::oci`] and
//! [`super::docker`] ask for parts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use skerry_core::ids::Digest;
use tar::Archive;

use super::{ImportError, ImportOptions, Source, stem};
use crate::archive::{Kind, Member, Members, printable};
use crate::decode::{Capped, Compression, Decoder};
use crate::hash::Hash;
use crate::store::io_at;

const MEMBERS_MAX: u64 = 20_000;
const LINKS_MAX: usize = 8;
const BUFFER: usize = 256 << 10;

/// The parts of one source.
pub(super) struct Parts {
    place: Place,
    shown: String,
    stem: Option<String>,
}

enum Place {
    Folder(PathBuf),
    File { file: File, members: BTreeMap<String, Found<Section>> },
    Spool { members: RefCell<BTreeMap<String, Found<Spooled>>> },
}

/// A member that is there, or that is another name for one.
#[derive(Clone)]
enum Found<T> {
    Here(T),
    Link(String),
}

#[derive(Clone)]
struct Section {
    start: u64,
    size: u64,
}

#[derive(Clone)]
struct Spooled {
    path: PathBuf,
    size: u64,
    digest: Digest,
}

/// One part, opened.
pub(super) struct Part<'a> {
    pub(super) size: u64,
    /// Its digest, when the bytes were hashed already and cannot have changed since.
    pub(super) known: Option<Digest>,
    pub(super) reader: Box<dyn Read + 'a>,
}

impl Parts {
    pub(super) fn open(
        source: Source,
        workspace: &Path,
        options: &ImportOptions,
    ) -> Result<Self, ImportError> {
        let path = match source {
            Source::Reader(reader) => {
                let shown = "the stream".to_owned();
                let place = spool(reader, &shown, workspace, options.spool_bytes)?;
                return Ok(Self { place, shown, stem: None });
            }
            Source::Path(path) => path,
        };
        let shown = path.display().to_string();
        let real = path.canonicalize().map_err(read_error("find", &shown))?;
        let stem = stem(&real);
        if real.is_dir() {
            return Ok(Self { place: Place::Folder(real), shown, stem });
        }
        let file = open_regular(&real).map_err(read_error("open", &shown))?;
        let mut first = [0; 4];
        let read = file.read_at(&mut first, 0).map_err(read_error("read", &shown))?;
        let place = match Compression::of(first.get(..read).unwrap_or_default()) {
            Compression::None => index(file, &shown)?,
            _ => spool(Box::new(file), &shown, workspace, options.spool_bytes)?,
        };
        Ok(Self { place, shown, stem })
    }

    /// What to call the source in a message.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The name that the source's own path suggests.
    pub(super) fn stem(&self) -> Option<&str> {
        self.stem.as_deref()
    }

    pub(super) fn has(&self, name: &str) -> Result<bool, ImportError> {
        Ok(self.part(name)?.is_some())
    }

    /// Opens a part that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Part<'_>, ImportError> {
        self.part(name)?.ok_or_else(|| ImportError::Missing { part: name.to_owned() })
    }

    /// A whole small part.
    pub(super) fn read(&self, name: &str, max: u64) -> Result<Vec<u8>, ImportError> {
        let part = self.need(name)?;
        if part.size > max {
            return Err(ImportError::Limit { part: name.to_owned(), what: "bytes", max });
        }
        let mut bytes = Vec::new();
        part.reader.take(max).read_to_end(&mut bytes).map_err(read_error("read", name))?;
        Ok(bytes)
    }

    /// Frees what was spooled of a part that is not needed again.
    pub(super) fn release(&self, name: &str) {
        if let Place::Spool { members } = &self.place
            && let Some(Found::Here(spooled)) = members.borrow_mut().remove(name)
        {
            let _ = std::fs::remove_file(spooled.path);
        }
    }

    fn part(&self, name: &str) -> Result<Option<Part<'_>>, ImportError> {
        match &self.place {
            Place::Folder(folder) => in_folder(folder, name),
            Place::File { file, members } => Ok(follow(members, name).map(|section| Part {
                size: section.size,
                known: None,
                reader: Box::new(InFile { file, at: section.start, left: section.size }),
            })),
            Place::Spool { members } => {
                let Some(spooled) = follow(&members.borrow(), name) else { return Ok(None) };
                let file = File::open(&spooled.path).map_err(io_at("open", &spooled.path))?;
                Ok(Some(Part {
                    size: spooled.size,
                    known: Some(spooled.digest),
                    reader: Box::new(file),
                }))
            }
        }
    }
}

fn read_error(operation: &'static str, what: &str) -> impl FnOnce(io::Error) -> ImportError {
    let what = what.to_owned();
    move |source| ImportError::Read { operation, what, source }
}

/// Opens a regular file; a pipe or a device would block or have effects.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
}

fn in_folder(folder: &Path, name: &str) -> Result<Option<Part<'static>>, ImportError> {
    let Some(name) = relative(name.as_bytes()) else { return Ok(None) };
    match open_regular(&folder.join(&name)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ImportError::Read { operation: "open", what: name, source }),
        Ok(file) => {
            let size = file.metadata().map_err(read_error("look at", &name))?.len();
            Ok(Some(Part { size, known: None, reader: Box::new(file.take(size)) }))
        }
    }
}

/// The member that a name leads to, over a few links.
fn follow<T: Clone>(members: &BTreeMap<String, Found<T>>, name: &str) -> Option<T> {
    let mut name = relative(name.as_bytes())?;
    for _ in 0..LINKS_MAX {
        match members.get(&name)? {
            Found::Here(found) => return Some(found.clone()),
            Found::Link(next) => name.clone_from(next),
        }
    }
    None
}

/// A path as the key of a member: no `.`, no leading slash; `None` for `..` and what is no text.
fn relative(path: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let parts = text.split('/').filter(|part| !part.is_empty() && *part != ".");
    let clean: Vec<_> = parts.collect();
    (!clean.contains(&"..")).then(|| clean.join("/"))
}

/// Where a link in a member's folder leads, by its text alone.
fn link_target(member: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = member.split('/').collect();
    parts.pop();
    for part in link.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

/// What a member other than a file adds to the index.
fn link_of<R: Read, T>(member: &Member<'_, R>, name: &str) -> Option<Found<T>> {
    let link = std::str::from_utf8(&member.meta.link).ok()?;
    match member.meta.kind {
        Kind::Symlink => link_target(name, link).map(Found::Link),
        Kind::HardLink => relative(link.as_bytes()).map(Found::Link),
        _ => None,
    }
}

/// Finds the members of a tar file, without reading what is in them.
fn index(mut file: File, shown: &str) -> Result<Place, ImportError> {
    let wrong = |source| ImportError::Archive { what: shown.to_owned(), source };
    file.rewind().map_err(read_error("read", shown))?;
    let length = file.metadata().map_err(read_error("look at", shown))?.len();
    let mut archive = Archive::new(file);
    let mut members = BTreeMap::new();
    {
        let mut walk = Members::seeking(&mut archive, MEMBERS_MAX).map_err(wrong)?;
        while let Some(member) = walk.next_member().map_err(wrong)? {
            let Some(name) = relative(&member.meta.path) else { continue };
            if member.meta.kind == Kind::File {
                let section = Section { start: member.position(), size: member.meta.size };
                if section.start.saturating_add(section.size) > length {
                    return Err(ImportError::Missing { part: format!("the end of {name}") });
                }
                members.insert(name, Found::Here(section));
            } else if let Some(link) = link_of(&member, &name) {
                members.insert(name, link);
            }
        }
    }
    Ok(Place::File { file: archive.into_inner(), members })
}

/// Writes the members of a stream to disk.
fn spool(
    source: Box<dyn Read>,
    shown: &str,
    workspace: &Path,
    max: u64,
) -> Result<Place, ImportError> {
    let decoder = Decoder::new(BufReader::with_capacity(BUFFER, source))
        .map_err(read_error("read", shown))?;
    let mut capped = Capped::new(decoder, max);
    let result = spool_members(&mut capped, shown, workspace).and_then(|members| {
        // What writes into a pipe should not be killed for the padding behind the archive's end.
        let rest = io::copy(&mut capped, &mut io::sink());
        rest.map(|_| members).map_err(read_error("read", shown))
    });
    if capped.exceeded() {
        return Err(ImportError::Limit { part: shown.to_owned(), what: "bytes", max });
    }
    let members = result?;
    Ok(Place::Spool { members: RefCell::new(members) })
}

fn spool_members(
    stream: impl Read,
    shown: &str,
    workspace: &Path,
) -> Result<BTreeMap<String, Found<Spooled>>, ImportError> {
    let wrong = |source| ImportError::Archive { what: shown.to_owned(), source };
    let mut archive = Archive::new(stream);
    let mut walk = Members::new(&mut archive, MEMBERS_MAX).map_err(wrong)?;
    let mut members = BTreeMap::new();
    let mut buffer = vec![0; BUFFER];
    let mut count = 0_u64;
    while let Some(mut member) = walk.next_member().map_err(wrong)? {
        let Some(name) = relative(&member.meta.path) else { continue };
        if member.meta.kind == Kind::File {
            let path = workspace.join(format!("part-{count}"));
            count += 1;
            let spooled = spool_one(&mut member, &path, &mut buffer)?;
            members.insert(name, Found::Here(spooled));
        } else if let Some(link) = link_of(&member, &name) {
            members.insert(name, link);
        }
    }
    Ok(members)
}

fn spool_one<R: Read>(
    member: &mut Member<'_, R>,
    path: &Path,
    buffer: &mut [u8],
) -> Result<Spooled, ImportError> {
    let shown = printable(&member.meta.path);
    let size = member.meta.size;
    let mut file = File::create(path).map_err(io_at("make", path))?;
    let mut hash = Hash::sized(size);
    let mut got = 0;
    loop {
        let read = match member.read(buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(read_error("read", &shown)(e)),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        hash.update(bytes).map_err(read_error("hash", &shown))?;
        file.write_all(bytes).map_err(io_at("write", path))?;
        got += read as u64;
    }
    if got != size {
        return Err(ImportError::Size { part: shown, expected: size, got });
    }
    let digest = hash.finish().map_err(read_error("hash", &shown))?;
    Ok(Spooled { path: path.to_owned(), size, digest })
}

/// A part of a file, read in place.
struct InFile<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for InFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..want) else { return Ok(0) };
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}
