//! Finds partitions by their GPT names, in what the kernel shows below `/sys`.
//!
//! Reads only. A name is looked for on one disk once that is known: two disks may carry the image.

use std::fs;
use std::path::{Path, PathBuf};

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its device's name, such as `vda4`.
    pub device: String,
    /// The disk's, such as `vda`.
    pub disk: String,
    /// Its number in the table, from 1.
    pub number: u32,
}

impl Partition {
    /// Its device node.
    pub fn node(&self) -> PathBuf {
        Path::new("/dev").join(&self.device)
    }

    /// Its disk's device node.
    pub fn disk_node(&self) -> PathBuf {
        Path::new("/dev").join(&self.disk)
    }
}

/// The partition of that name; only on `disk`, if one is given.
pub fn find(sys: &Path, name: &str, disk: Option<&str>) -> Option<Partition> {
    let found = all(sys, name).into_iter();
    let mut found = found.filter(|partition| disk.is_none_or(|disk| partition.disk == disk));
    found.next()
}

/// The partitions of that name on all disks.
pub fn all(sys: &Path, name: &str) -> Vec<Partition> {
    let entries = fs::read_dir(sys.join("class/block")).into_iter().flatten().flatten();
    let mut found: Vec<Partition> =
        entries.filter_map(|entry| partition(&entry.path(), name)).collect();
    found.sort_by(|a, b| a.device.cmp(&b.device));
    found
}

/// The disk of a mounted file system, by the number of its device.
pub fn disk_of(sys: &Path, major: u64, minor: u64) -> Option<String> {
    let place = fs::canonicalize(sys.join(format!("dev/block/{major}:{minor}"))).ok()?;
    Some(place.parent()?.file_name()?.to_str()?.to_owned())
}

/// Its number of 512-byte sectors.
pub fn sectors(sys: &Path, device: &str) -> Option<u64> {
    number(&sys.join("class/block").join(device).join("size"))
}

/// The smallest unit that the disk writes.
pub fn block_size(sys: &Path, disk: &str) -> Option<u64> {
    number(&sys.join("class/block").join(disk).join("queue/logical_block_size"))
}

fn partition(place: &Path, name: &str) -> Option<Partition> {
    let uevent = fs::read_to_string(place.join("uevent")).ok()?;
    let field =
        |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    if field("PARTNAME")? != name {
        return None;
    }
    let real = fs::canonicalize(place).ok()?;
    Some(Partition {
        device: field("DEVNAME")?.to_owned(),
        disk: real.parent()?.file_name()?.to_str()?.to_owned(),
        number: field("PARTN")?.parse().ok()?,
    })
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
#[path = "block/tests.rs"]
mod tests;
