//! The mark that everything is stopped: it outlives the node process, and not the machine's restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the mark is.
#[derive(Debug, Clone)]
pub struct Mark(PathBuf);

impl Mark {
    /// The mark of a node with this run folder.
    pub fn below(run_dir: &Path) -> Self {
        Self(run_dir.join("down"))
    }

    /// Whether everything is to stay stopped.
    pub fn is_set(&self) -> bool {
        self.0.exists()
    }

    /// Everything is to stay stopped.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn set(&self) -> io::Result<()> {
        fs::write(&self.0, b"")
    }

    /// Everything runs again.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether somebody would start the node's process again if it ended: systemd, or whoever says so
/// by `SKERRY_SUPERVISED`, as the services and the init that come with Skerry do.
pub fn is_supervised() -> bool {
    ["NOTIFY_SOCKET", "SKERRY_SUPERVISED"].iter().any(|name| std::env::var_os(name).is_some())
}
