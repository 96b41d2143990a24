//! Writing small files so that a power cut leaves the old one or the new one, never a mixture.
//!
//! Does one effect: bytes onto disk. Decides nothing about their content. Used by [`crate::store`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes `bytes` to `folder/name` by way of a file in `aside`, which is on the same file system.
pub(crate) fn write(aside: &Path, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = aside.join(format!("{name}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, folder.join(name))?;
    sync_folder(folder)
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
