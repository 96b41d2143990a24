//! The files of the audit log: `N.log`, N being the number of the first entry in it, and `begin`, the node's
//! signed word about the entries that made room.
//!
//! It writes lines and knows where each file ends; a line that is not whole is cut off. It signs nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use skerry_core::audit::{Head, Kind, made_room};
use skerry_core::ids::Digest;
use skerry_core::trust::PublicKey;
use skerry_core::trust::detached::DetachedError;

use super::AuditError;
use crate::durable;

/// The most bytes of one file.
const SEGMENT_MAX: u64 = 128 << 10;
/// So many files are kept.
const SEGMENTS: usize = 8;
const BEGIN: &str = "begin";
const BEGIN_MAX: u64 = 4096;

/// The files, and where the chain stands.
pub struct Segments {
    folder: PathBuf,
    /// The first entry of each file, oldest first.
    firsts: Vec<u64>,
    file: Option<File>,
    length: u64,
    head: Head,
    unsynced: bool,
    /// Bytes that were cut off when the log was opened.
    pub cut: u64,
    /// The version of the program that wrote last, as far as the newest file tells.
    pub version: Option<String>,
}

impl Segments {
    /// Opens the folder, and cuts off what is no whole entry.
    ///
    /// # Errors
    /// The file system refused.
    pub fn open(folder: &Path, key: &PublicKey) -> Result<Self, AuditError> {
        durable::private_folder(folder).map_err(io("create", folder))?;
        let mut firsts: Vec<u64> = durable::names::<Name>(folder)
            .map_err(io("list", folder))?
            .into_iter()
            .map(|name| name.0)
            .collect();
        firsts.sort_unstable();
        let mut segments = Self {
            folder: folder.to_owned(),
            firsts,
            file: None,
            length: 0,
            head: Head::start(),
            unsynced: false,
            cut: 0,
            version: None,
        };
        // A file without a whole entry was just being made when the power went.
        while let Some(first) = segments.firsts.last().copied() {
            if segments.resume(first)? {
                break;
            }
            let path = segments.path(first);
            fs::remove_file(&path).map_err(io("remove", &path))?;
            segments.firsts.pop();
        }
        // What was said to have made room and is there still.
        let gone = segments.beginning()?.and_then(|word| made_room(&word, key));
        while segments.firsts.get(1).zip(gone).is_some_and(|(next, gone)| *next <= gone + 1) {
            segments.drop_oldest()?;
        }
        Ok(segments)
    }

    /// The last entry.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Takes up a file where its last whole entry ends; false if there is none.
    fn resume(&mut self, first: u64) -> Result<bool, AuditError> {
        let path = self.path(first);
        let mut file = self.make(&path)?;
        let mut content = Vec::new();
        (&mut file).take(2 * SEGMENT_MAX).read_to_end(&mut content).map_err(io("read", &path))?;
        let total = file.metadata().map_err(io("read", &path))?.len();
        let (mut at, mut whole, mut last) = (0, 0, None);
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            at += line.len() as u64;
            // What is damaged before a whole entry stays where it is: whoever verifies the log is told.
            let Some((head, entry)) = line.strip_suffix(b"\n").and_then(Head::of) else { continue };
            if matches!(entry.event.kind, Kind::Began | Kind::Updated) {
                self.version = entry.event.detail;
            }
            (whole, last) = (at, Some(head));
        }
        self.cut += total - whole;
        let Some(head) = last else { return Ok(false) };
        if whole < total {
            file.set_len(whole).map_err(io("cut", &path))?;
            file.sync_data().map_err(io("sync", &path))?;
        }
        file.seek(SeekFrom::Start(whole)).map_err(io("read", &path))?;
        (self.file, self.length, self.head) = (Some(file), whole, head);
        Ok(true)
    }

    /// Appends a line. `sign` makes the word about what makes room for it.
    ///
    /// # Errors
    /// Nothing was appended.
    pub fn append(
        &mut self,
        mut line: Vec<u8>,
        head: Head,
        sign: impl Fn(Head) -> Result<String, DetachedError>,
    ) -> Result<(), AuditError> {
        line.push(b'\n');
        let size = line.len() as u64;
        if self.file.is_none() || self.length + size > SEGMENT_MAX {
            self.turn(head.seq, sign)?;
        }
        let (length, path) = (self.length, self.path(self.firsts.last().copied().unwrap_or(1)));
        let Some(file) = &mut self.file else { return Err(AuditError::Closed) };
        if let Err(source) = file.write_all(&line) {
            // Half a line would be in the way of the next one.
            let undone = file.set_len(length).and_then(|()| file.seek(SeekFrom::Start(length)));
            if undone.is_err() {
                self.file = None;
            }
            return Err(io("write", &path)(source));
        }
        self.length += size;
        self.head = head;
        self.unsynced = true;
        Ok(())
    }

    /// Begins a file, and drops the oldest where there are too many.
    fn turn(
        &mut self,
        first: u64,
        sign: impl Fn(Head) -> Result<String, DetachedError>,
    ) -> Result<(), AuditError> {
        self.sync()?;
        if self.firsts.len() >= SEGMENTS
            && let Some(last) = self.last_of_oldest()?
        {
            // Said before it is done: after a power cut in between it is done by the next process.
            let word = sign(last)?;
            durable::write(&self.folder, BEGIN, word.as_bytes())
                .map_err(io("write", &self.folder.join(BEGIN)))?;
        }
        let path = self.path(first);
        self.file = Some(self.make(&path)?);
        self.length = 0;
        if self.firsts.last() != Some(&first) {
            self.firsts.push(first);
        }
        while self.firsts.len() > SEGMENTS {
            self.drop_oldest()?;
        }
        durable::flush_folder(&self.folder).map_err(io("sync", &self.folder))
    }

    pub(super) fn last_of_oldest(&self) -> Result<Option<Head>, AuditError> {
        let Some(oldest) = self.firsts.first() else { return Ok(None) };
        let path = self.path(*oldest);
        let content = read(&path, 2 * SEGMENT_MAX)?;
        let last = content.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        Ok(last.and_then(Head::of).map(|(head, _)| head))
    }

    fn drop_oldest(&mut self) -> Result<(), AuditError> {
        let oldest = self.firsts.remove(0);
        let path = self.path(oldest);
        fs::remove_file(&path).map_err(io("remove", &path))
    }

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// The file system refused.
    pub fn sync(&mut self) -> Result<(), AuditError> {
        if let (true, Some(file)) = (self.unsynced, &self.file) {
            file.sync_data().map_err(io("sync", &self.folder))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// The signed word about what made room, if anything did.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn beginning(&self) -> Result<Option<String>, AuditError> {
        let path = self.folder.join(BEGIN);
        let word = durable::read(&path, BEGIN_MAX).map_err(io("read", &path))?;
        Ok(word.and_then(|word| String::from_utf8(word).ok()))
    }

    /// The digest of the last document that was accepted, as far as the files tell.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn accepted(&self) -> Result<Option<Digest>, AuditError> {
        for first in self.firsts.iter().rev() {
            let content = read(&self.path(*first), 2 * SEGMENT_MAX)?;
            let mut entries = content.rsplit(|byte| *byte == b'\n').filter_map(Head::of);
            if let Some((_, entry)) = entries.find(|(_, entry)| entry.event.kind == Kind::Accepted)
            {
                return Ok(entry.event.digest);
            }
        }
        Ok(None)
    }

    /// Appends all entries to an export.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read_into(&self, export: &mut Vec<u8>) -> Result<(), AuditError> {
        for first in &self.firsts {
            export.extend(read(&self.path(*first), 2 * SEGMENT_MAX)?);
        }
        Ok(())
    }

    fn path(&self, first: u64) -> PathBuf {
        self.folder.join(Name(first).to_string())
    }

    fn make(&self, path: &Path) -> Result<File, AuditError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(path).map_err(io("open", path))
    }
}

/// The name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name(u64);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.log", self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.strip_suffix(".log").and_then(|number| number.parse().ok()).map(Self).ok_or(())
    }
}

fn read(path: &Path, max: u64) -> Result<Vec<u8>, AuditError> {
    Ok(durable::read(path, max).map_err(io("read", path))?.unwrap_or_default())
}

fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuditError {
    let path = path.to_owned();
    move |source| AuditError::Io { operation, path, source }
}
