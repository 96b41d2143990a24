//! Images that come with the disk: archives in `/boot/images`, imported once.
//!
//! It is how a device gets its first agents with no network, from a laptop or at the factory. Importing
//! runs nothing: what runs is said by a signed document, which names images by their digest. One archive
//! at a time, in the background. Next: `life.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clock::write_aside;
use crate::data::DEVICE;
use crate::tell::{Level, announce, tell};

/// Where archives are looked for.
pub const FOLDER: &str = "/boot/images";
/// Which have been imported, one a line.
const RECORD: &str = "seeded";
/// More than a boot partition holds in earnest.
const MOST: usize = 64;

/// The archives that are still to be imported, first one first.
#[derive(Debug, Default)]
pub struct Seeds {
    waiting: Vec<Seed>,
    record: PathBuf,
}

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seed {
    path: PathBuf,
    name: String,
    /// What tells it from another of its name.
    mark: String,
}

impl Seeds {
    /// What is there and was not imported before.
    pub fn look() -> Self {
        Self::look_in(Path::new(FOLDER), &Path::new(DEVICE).join(RECORD))
    }

    fn look_in(folder: &Path, record: &Path) -> Self {
        let known = fs::read_to_string(record).unwrap_or_default();
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut waiting: Vec<Seed> = entries
            .filter_map(|entry| seed(&entry.path()))
            .filter(|seed| !known.lines().any(|line| line == seed.mark))
            .collect();
        waiting.sort_by(|a, b| a.name.cmp(&b.name));
        waiting.truncate(MOST);
        Self { waiting, record: record.to_owned() }
    }

    /// The command that imports the next.
    pub fn next(&self) -> Option<Command> {
        let seed = self.waiting.first()?;
        tell(Level::Info, format!("importing {}", seed.path.display()));
        let mut command = Command::new("/usr/bin/skerry");
        command.args(["image", "import", "--quiet", "--name", &seed.name]).arg(&seed.path);
        Some(command)
    }

    /// The one that was next has ended. One that failed is tried again at the next boot.
    pub fn ended(&mut self, well: bool) {
        if self.waiting.is_empty() {
            return;
        }
        let seed = self.waiting.remove(0);
        if !well {
            announce(format!("{} could not be imported; see the log", seed.path.display()));
            return;
        }
        let mut known = fs::read_to_string(&self.record).unwrap_or_default();
        known.push_str(&seed.mark);
        known.push('\n');
        match write_aside(&self.record, known.as_bytes()) {
            Ok(()) => announce(format!("imported the image {}", seed.name)),
            Err(error) => tell(Level::Error, error),
        }
    }
}

fn seed(path: &Path) -> Option<Seed> {
    let name = path.file_name()?.to_str()?.strip_suffix(".tar")?.to_owned();
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mark = format!("{name} {} {}", metadata.len(), metadata.mtime());
    (!name.is_empty()).then(|| Seed { path: path.to_owned(), name, mark })
}

#[cfg(test)]
mod tests;
