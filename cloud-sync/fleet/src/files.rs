//! Reads and writes the workspace's files: bounded reads; writes that power loss cannot halve.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The most bytes of any file that is read.
const FILE_MAX: u64 = 16 << 20;

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {source}")]
pub struct FileError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

fn fail(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { operation, path, source }
}

/// The bytes of a file of at most 16 MiB.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fail("read", path))?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(fail("read", path))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(fail("read", path)(io::Error::other("it is larger than 16 MiB")));
    }
    Ok(bytes)
}

/// The text of a file of at most 16 MiB.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read(path)?)
        .map_err(|_| fail("read", path)(io::Error::other("it is not UTF-8 text")))
}

/// The text of a file, or nothing if it does not exist.
///
/// # Errors
/// As [`read_text`].
pub fn read_if_there(path: &Path) -> Result<Option<String>, FileError> {
    match read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone.
    Owner,
    /// Everybody.
    All,
}

/// Writes a file as a whole, or not at all, and durably.
///
/// # Errors
/// The file system refused.
pub fn write(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), FileError> {
    let aside = path.with_added_extension("new");
    let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
    // One that an earlier run left behind could have other permissions.
    drop(fs::remove_file(&aside));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(&aside).map_err(fail("create", &aside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail("write", &aside))?;
    rename(&aside, path)
}

/// Moves a file within its folder, in the place of what has that name, durably.
///
/// # Errors
/// The file system refused.
pub fn rename(from: &Path, path: &Path) -> Result<(), FileError> {
    fs::rename(from, path).map_err(fail("write", path))?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail("write", path))
}

/// Removes a file; one that is not there is removed already.
///
/// # Errors
/// The file system refused.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fail("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes a folder, and those above it.
///
/// # Errors
/// The file system refused.
pub fn make_folder(path: &Path, readers: Readers) -> Result<(), FileError> {
    let mode = if readers == Readers::Owner { 0o700 } else { 0o755 };
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(fail("create", path))
}

/// The names of a folder's files, sorted; none if there is no folder.
///
/// # Errors
/// The folder cannot be read.
pub fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail("read", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail("read", folder))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Held while a workspace is changed; let go when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Lock(#[expect(dead_code, reason = "kept open for the lock on it")] File);

/// Takes the lock, waiting for whoever has it.
///
/// # Errors
/// The file system refused.
pub fn lock(path: &Path) -> Result<Lock, FileError> {
    let mut options = OpenOptions::new();
    let file =
        options.write(true).create(true).truncate(false).open(path).map_err(fail("lock", path))?;
    file.lock().map_err(fail("lock", path))?;
    Ok(Lock(file))
}
