//! Files that virtual devices have as disks.
//!
//! Made and checked on the host with mke2fs, e2fsck and qemu-img, as a person would. A disk outlives
//! the machine it was in: that is what power cuts are about.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{need_tool, run};

/// A file in raw format with one ext4 file system, or with a whole flashed image.
#[derive(Debug, Clone)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// An empty ext4 file system of so many MiB.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn blank(path: &Path, mebibytes: u32) -> Self {
        need_tool("mke2fs", "e2fsprogs");
        let mut command = Command::new("mke2fs");
        command.args(["-q", "-F", "-t", "ext4"]).arg(path).arg(format!("{mebibytes}m"));
        let _ = run(&mut command).ok();
        Self { path: path.to_owned() }
    }

    /// As [`Disk::blank`], with quotas for projects.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn with_quotas(path: &Path, mebibytes: u32) -> Self {
        need_tool("mke2fs", "e2fsprogs");
        let mut command = Command::new("mke2fs");
        command.args(["-q", "-F", "-t", "ext4", "-O", "project,quota", "-E", "quotatype=prjquota"]);
        let _ = run(command.arg(path).arg(format!("{mebibytes}m"))).ok();
        Self { path: path.to_owned() }
    }

    /// A read-only file system with what a folder holds, owned by root.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn of_folder(path: &Path, folder: &Path) -> Self {
        need_tool("mke2fs", "e2fsprogs");
        let _ = fs::remove_file(path);
        let used = Command::new("du").args(["-sk", "--apparent-size"]).arg(folder).output();
        let used = String::from_utf8(used.expect("du runs").stdout).expect("du prints text");
        let used: u64 =
            used.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a size");
        let mut command = Command::new("mke2fs");
        command.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E"]);
        command.arg("root_owner=0:0").arg("-d").arg(folder).arg(path);
        let _ = run(command.arg(format!("{}k", used * 5 / 4 + 4096))).ok();
        Self { path: path.to_owned() }
    }

    /// A copy of a file that becomes a disk; holes stay holes.
    ///
    /// # Panics
    /// When it can't be copied.
    #[must_use]
    pub fn copy_of(original: &Path, path: &Path) -> Self {
        let mut command = Command::new("cp");
        let _ = run(command.arg("--sparse=always").arg(original).arg(path)).ok();
        Self { path: path.to_owned() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads bytes of it, as a person with a disk editor would.
    ///
    /// # Panics
    /// When it is shorter.
    #[must_use]
    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let file = File::open(&self.path).expect("opening a disk");
        file.read_exact_at(&mut bytes, offset).expect("reading a disk");
        bytes
    }

    /// Writes bytes to it, wherever that is.
    ///
    /// # Panics
    /// When the host refuses.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(&self.path).expect("opening a disk");
        file.write_all_at(bytes, offset).expect("writing a disk");
    }

    /// Writes a file onto the boot partition of a flashed image.
    ///
    /// # Panics
    /// When that fails.
    pub fn boot_file(&self, name: &str, content: &[u8]) {
        super::image::write(self, name, content);
    }

    /// Where a partition of a flashed image begins, and how long it is.
    ///
    /// # Panics
    /// When it has none of that name.
    #[must_use]
    pub fn partition(&self, name: &str) -> (u64, u64) {
        self.find(name).unwrap_or_else(|| panic!("{} has no {name}", self.path.display()))
    }

    /// Checks the file system that holds the state, as it would be after its next mount: the journal
    /// is replayed on a copy, and nothing else is repaired there. What is wrong is the error.
    ///
    /// # Errors
    /// The file system has an error beyond what its journal cures.
    ///
    /// # Panics
    /// When e2fsck can't be run.
    pub fn check(&self) -> Result<(), String> {
        need_tool("e2fsck", "e2fsprogs");
        let offset = self.data_offset();
        let copy = Self::copy_of(&self.path, &self.path.with_extension("fsck"));
        let place = format!("{}?offset={offset}", copy.path.display());
        let replay = run(Command::new("e2fsck").args(["-E", "journal_only", "-y"]).arg(&place));
        let look = run(Command::new("e2fsck").args(["-f", "-n"]).arg(&place));
        let _ = fs::remove_file(&copy.path);
        if look.status.success() { Ok(()) } else { Err(format!("{replay}\n{look}")) }
    }

    /// Where the file system for the state begins: on a flashed image, its last partition.
    fn data_offset(&self) -> u64 {
        self.find("skerry-data").map_or(0, |(start, _)| start)
    }

    fn find(&self, name: &str) -> Option<(u64, u64)> {
        need_tool("sfdisk", "fdisk");
        let table = run(Command::new("sfdisk").arg("-J").arg(&self.path));
        if !table.status.success() {
            return None;
        }
        let table = table.json();
        let mut all = table["partitiontable"]["partitions"].as_array()?.iter();
        let found = all.find(|partition| partition["name"] == name)?;
        Some((found["start"].as_u64()? * 512, found["size"].as_u64()? * 512))
    }
}
