//! The first half: in the initramfs, from the kernel's hands to the slot's root.
//!
//! Loads what the disk's way needs, waits for the slot's partition, and becomes the slot's own init. It
//! decides nothing about slots: the boot loader did, and named it on the kernel's command line. When it
//! fails it says why, and restarts the device, so that the boot loader may choose again; of a slot that
//! is damaged it tells the loader (`slots.rs`), which would choose it for ever.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};
use std::os::fd::AsFd;

use crate::block::{self, Partition};
use crate::modules::{self, Loader};
use crate::tell::{Level, announce, tell};
use crate::timeline::{self, Timeline};
use crate::trouble::{Doing, Trouble, invalid};
use crate::uevent::Uevents;
use crate::{grow, mounts, slots};

const SYS: &str = "/sys";
const NEW_ROOT: &str = "/root";
/// A disk on USB may take this long to appear.
const DISK_DEADLINE: Duration = Duration::from_secs(30);
/// How long the disk that the boot loader came from is waited for when another one has the slot.
const OTHER_DISK: Duration = Duration::from_secs(10);
/// What every boot reads. Read here, where a damaged slot can still be given up.
const NEEDED: [&str; 2] = ["sbin/init", "usr/bin/skerry"];
const REBOOT_AFTER: Duration = Duration::from_secs(10);

/// Never returns: it becomes the next init, or restarts the device.
pub fn run() -> ExitCode {
    let error = match story() {
        Ok(never) => match never {},
        Err(error) => error,
    };
    announce(format!("{error}"));
    announce(format!("no root; restarting in {} s", REBOOT_AFTER.as_secs()));
    std::thread::sleep(REBOOT_AFTER);
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    loop {
        std::thread::park();
    }
}

fn story() -> Result<Infallible, Trouble> {
    for row in mounts::EARLY {
        mounts::mount_row(row)?;
    }
    let mut timeline = Timeline::default();
    timeline.mark("initramfs");
    let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let slot = word(&command_line, "skerry.slot=").unwrap_or("a");
    let data = word(&command_line, "skerry.data=");
    let uevents = Uevents::open()?;
    let mut loader = Loader::new();
    let root = await_partition(&format!("skerry-{slot}"), data, &uevents, &mut loader)?;
    timeline.mark("slot");
    if let Err(error) = mount_root(&root, &mut loader) {
        slots::give_up(&root.disk, slot, &mut loader);
        return Err(error);
    }
    tell(Level::Info, format!("slot {slot} is {}", root.device));
    timeline.mark("root");
    switch(&timeline)
}

/// What the boot loader says of something on the kernel's command line.
fn word<'a>(command_line: &'a str, key: &str) -> Option<&'a str> {
    let named = command_line.split_whitespace().find_map(|word| word.strip_prefix(key));
    named.filter(|value| !value.is_empty())
}

/// Mounts the slot, and sees that what must be read can be.
fn mount_root(root: &Partition, loader: &mut Loader) -> Result<(), Trouble> {
    loader.load("fs-squashfs");
    let _ = fs::create_dir_all(NEW_ROOT);
    mounts::mount_read_only(&root.node(), NEW_ROOT, "squashfs", "")?;
    for file in NEEDED {
        let path = Path::new(NEW_ROOT).join(file);
        File::open(&path)
            .and_then(|mut open| io::copy(&mut open, &mut io::sink()))
            .doing("read", path.display())?;
    }
    Ok(())
}

/// Loads one driver after another until the partition is there: a probe of a controller that the root
/// is not on can take a second, and is better had after the node's start. Where several disks have such a
/// partition, that of the disk whose data partition the boot loader has named.
fn await_partition(
    name: &str,
    data: Option<&str>,
    uevents: &Uevents,
    loader: &mut Loader,
) -> Result<Partition, Trouble> {
    let mut deadline = timeline::now() + DISK_DEADLINE;
    let mut another = None;
    let mut devices = modules::devices(Path::new(SYS));
    loop {
        // Drained first: what happens after the look wakes the poll.
        while let Some(event) = uevents.next() {
            if let Some(alias) = event.modalias.filter(|_| event.action == "add") {
                loader.load(&alias);
            }
        }
        let mut found = block::all(Path::new(SYS), name);
        found.retain(|found| found.node().exists());
        if let Some(right) = found.iter().find(|found| is_ours(found, data)) {
            return Ok(right.clone());
        }
        if another.is_none() && !found.is_empty() {
            deadline = timeline::now() + OTHER_DISK;
        }
        another = found.into_iter().next();
        if let Some(alias) = devices.next() {
            loader.load(&alias);
            continue;
        }
        let left = deadline.saturating_sub(timeline::now());
        if let Some(another) = another.take_if(|_| left.is_zero()) {
            announce(format!(
                "the disk of the boot loader did not appear; going on with {}",
                another.disk
            ));
            return Ok(another);
        }
        if left.is_zero() {
            return Err(invalid("find the partition", name, "no disk with it appeared"));
        }
        let mut waiting = [PollFd::new(uevents.as_fd(), PollFlags::POLLIN)];
        // The device node of a partition may come a moment after its event.
        let wait = left.min(Duration::from_secs(1));
        let _ = poll(&mut waiting, PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO));
    }
}

/// Whether a slot is on the disk that the boot loader came from, as far as can be told.
fn is_ours(slot: &Partition, data: Option<&str>) -> bool {
    let Some(named) = data else { return true };
    let sibling = block::find(Path::new(SYS), "skerry-data", Some(&slot.disk));
    let id = sibling.and_then(|sibling| grow::id(Path::new(SYS), &sibling));
    id.is_none_or(|id| id.eq_ignore_ascii_case(named))
}

/// Frees the initramfs, makes the slot's root `/`, and becomes its init.
fn switch(timeline: &Timeline) -> Result<Infallible, Trouble> {
    for (_, place, _, _) in mounts::EARLY {
        mounts::shift(place, &format!("{NEW_ROOT}{place}"))?;
    }
    for entry in fs::read_dir("/").into_iter().flatten().flatten() {
        let path = entry.path();
        let kept = mounts::EARLY.iter().any(|row| path == Path::new(row.1));
        if !kept && path != Path::new(NEW_ROOT) {
            // It is RAM that would never be used again.
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
    }
    std::env::set_current_dir(NEW_ROOT).doing("enter", NEW_ROOT)?;
    mounts::shift(".", "/")?;
    nix::unistd::chroot(".").doing("make a root of", NEW_ROOT)?;
    std::env::set_current_dir("/").doing("enter", "/")?;
    let error = Command::new("/sbin/init")
        .arg("root")
        .env_clear()
        .env(timeline::VARIABLE, timeline.handed_over())
        .exec();
    Err(error).doing("become", "/sbin/init")
}

#[cfg(test)]
#[path = "initramfs/tests.rs"]
mod tests;
