//! Files that survive a power cut: written aside, flushed, renamed, and the folder flushed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The name of a file that is being written; no key of a config or secret begins like this.
const ASIDE: &str = "..new";

/// Makes a folder for this user alone, with those above it.
///
/// # Errors
/// The file system refuses.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file for this user alone, whole or not at all.
///
/// # Errors
/// The file system refuses; what was there before is untouched.
pub fn write(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let aside = folder.join(ASIDE);
    let written = write_aside(&aside, content).and_then(|()| fs::rename(&aside, folder.join(name)));
    if written.is_err() {
        // Half a file is of no use, and takes space that may be what is missing.
        let _ = fs::remove_file(&aside);
    }
    written?;
    flush_folder(folder)
}

fn write_aside(aside: &Path, content: &[u8]) -> io::Result<()> {
    // One that a power cut left behind may have other permissions.
    match fs::remove_file(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(aside)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes sure that what was made or removed in a folder stays so.
///
/// # Errors
/// The file system refuses.
pub fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Reads at most `max` bytes; none if there is no such file.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max {
        let why = format!("has more than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(Some(content))
}

/// The names in a folder that are of some kind, in order; none if there is no such folder.
///
/// # Errors
/// It cannot be read.
pub fn names<T: std::str::FromStr + Ord>(folder: &Path) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    names.sort();
    Ok(names)
}
