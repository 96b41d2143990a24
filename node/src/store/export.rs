//! Exports: the rows that matter, written a second time beside the database, by turns into two
//! files, each with a generation and a checksum.
//!
//! The database cannot prove that it lost nothing (a torn page or snapshot can leave it silently
//! empty); these files can. [`newest`] decides which of the two is whole and newer.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use skerry_core::ids::Digest;

use super::{Row, StoreError};

const NAMES: [&str; 2] = ["export-a.json", "export-b.json"];
const BYTES_MAX: u64 = 64 << 20;

/// The rows that matter, as of one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Counts the commits of rows that matter.
    pub generation: u64,
    /// Keys (with their space's prefix) and values.
    pub rows: Vec<Row>,
}

/// Writes an export over the older of the two files.
///
/// # Errors
/// The file system refused; the newer file is untouched.
pub fn write(folder: &Path, export: &Export) -> Result<(), StoreError> {
    let name = NAMES[usize::from(export.generation.is_multiple_of(2))];
    let (path, aside) = (folder.join(name), folder.join(format!("{name}.new")));
    let fail = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { operation, path, source }
    };
    // Numbers, bytes and lists always serialise.
    let body = serde_json::to_vec(export).unwrap_or_default();
    let mut file = File::create(&aside).map_err(fail("create", &aside))?;
    let head = format!("{}\n", Digest::of(&body));
    file.write_all(head.as_bytes())
        .and_then(|()| file.write_all(&body))
        .and_then(|()| file.sync_all())
        .map_err(fail("write", &aside))?;
    fs::rename(&aside, &path).map_err(fail("rename", &aside))?;
    sync_folder(folder).map_err(fail("sync", folder))
}

/// The newest export that is whole, if there is one.
pub fn newest(folder: &Path) -> Option<Export> {
    NAMES.iter().filter_map(|name| read(&folder.join(name))).max_by_key(|e| e.generation)
}

fn read(path: &PathBuf) -> Option<Export> {
    let mut content = Vec::new();
    File::open(path).ok()?.take(BYTES_MAX).read_to_end(&mut content).ok()?;
    let at = content.iter().position(|byte| *byte == b'\n')?;
    let (head, body) = content.split_at(at);
    let body = body.get(1..)?;
    let whole = std::str::from_utf8(head).ok()?.parse::<Digest>().ok()? == Digest::of(body);
    if whole { serde_json::from_slice(body).ok() } else { None }
}

/// Makes names in a folder survive a power cut.
///
/// # Errors
/// The file system refused.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
