//! A folder of files that are replaced as a whole, or not at all.
//!
//! Does the keeping that the client asks for: write aside, flush, rename. Names come percent-encoded, and
//! cannot leave the folder.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use skerry_core::trust::client::Change;

/// The folder.
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// This folder, which need not be there yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// A file's bytes, one more than `max` at most; nothing when there is none.
    pub fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let file = match File::open(self.folder.join(name)) {
            Ok(file) => file,
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(why).with_context(|| format!("reading {name}")),
        };
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Makes these bytes the file's.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut aside = tempfile::NamedTempFile::new_in(&self.folder)?;
        aside.write_all(bytes)?;
        aside.as_file().sync_all()?;
        aside.persist(self.folder.join(name)).with_context(|| format!("keeping {name}"))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// Does what the client asks for.
    pub fn apply(&self, change: &Change) -> Result<()> {
        match change {
            Change::Keep { file, bytes } => self.keep(file, bytes),
            Change::Drop { file } => match fs::remove_file(self.folder.join(file)) {
                Err(why) if why.kind() != ErrorKind::NotFound => {
                    Err(why).with_context(|| format!("dropping {file}"))
                }
                _ => Ok(()),
            },
        }
    }
}
