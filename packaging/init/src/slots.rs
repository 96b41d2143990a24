//! What the boot loader keeps of the slots, and the one thing that is told it from here: that a slot is
//! damaged. A slot that has proven itself is not counted, so the loader would choose it for ever.
//!
//! Never makes a slot one that may be booted. `grubenv` is written in place: its variables lie within one
//! sector, which a disk writes whole or not at all.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::block;
use crate::boot::SYS;
use crate::modules::Loader;
use crate::tell::announce;
use crate::trouble::{Doing, Trouble, invalid};

const BOOT: &str = "/boot";
const FILE: &str = "/boot/EFI/skerry/grubenv";
const HEAD: &str = "# GRUB Environment Block\n";
const SIZE: usize = 1024;
/// What the loader takes where it has no file.
const DEFAULT: &str = "ORDER=a b\na_OK=1\na_TRY=0\nb_OK=1\nb_TRY=0\n";

/// Tells the loader on that disk to pass the slot over. Says what came of it.
pub fn give_up(disk: &str, slot: &str, loader: &mut Loader) {
    match try_give_up(disk, slot, loader) {
        Ok(true) => announce(format!("slot {slot} is damaged; it is given up")),
        Ok(false) => announce(format!("slot {slot} is damaged, and no other may be booted")),
        Err(error) => announce(error),
    }
}

fn try_give_up(disk: &str, slot: &str, loader: &mut Loader) -> Result<bool, Trouble> {
    for module in ["fs-vfat", "nls_cp437", "nls_ascii"] {
        loader.load(module);
    }
    let name = "skerry-boot";
    let found = block::find(Path::new(SYS), name, Some(disk))
        .ok_or_else(|| invalid("find the partition", name, "the slot's disk has none"))?;
    let _ = fs::create_dir_all(BOOT);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(&found.node()), BOOT, Some("vfat"), flags, Some("umask=0077,utf8"))
        .doing("mount", found.device)?;
    let done = write_down(slot);
    let _ = umount2(BOOT, MntFlags::empty());
    done
}

fn write_down(slot: &str) -> Result<bool, Trouble> {
    let mut before = Vec::new();
    let read =
        File::open(FILE).and_then(|file| file.take(SIZE as u64 + 1).read_to_end(&mut before));
    if read.is_err() {
        before.clear();
    }
    let Some(after) = without(&before, slot) else { return Ok(false) };
    let mut file =
        File::options().write(true).create(true).truncate(false).open(FILE).doing("open", FILE)?;
    file.write_all(&after).and_then(|()| file.sync_all()).doing("write", FILE)?;
    Ok(true)
}

/// The loader's file with a slot that must not be booted any more. Nothing when that is so already, or
/// when no other slot may be booted: the loader would come back to this one, and might as well be right.
fn without(before: &[u8], slot: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(before).ok().filter(|text| text.len() == SIZE);
    let text = text.and_then(|text| text.strip_prefix(HEAD)).unwrap_or(DEFAULT);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let value =
        |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let other = if slot == "a" { "b" } else { "a" };
    let usable = value(&format!("{other}_OK")) == Some("1")
        || value(&format!("{other}_TRY")).is_some_and(|left| ["1", "2", "3"].contains(&left));
    let (ok, left) = (format!("{slot}_OK"), format!("{slot}_TRY"));
    let is_given_up = value(&ok) == Some("0") && value(&left) == Some("0");
    if !usable || is_given_up {
        return None;
    }
    let mut after = HEAD.to_owned();
    for line in lines {
        let name = line.split_once('=').map_or(line, |(name, _)| name);
        if name != ok && name != left {
            after.push_str(line);
            after.push('\n');
        }
    }
    after.push_str(&format!("{ok}=0\n{left}=0\n"));
    let mut after = after.into_bytes();
    if after.len() > SIZE {
        return None;
    }
    after.resize(SIZE, b'#');
    Some(after)
}

#[cfg(test)]
#[path = "slots/tests.rs"]
mod tests;
