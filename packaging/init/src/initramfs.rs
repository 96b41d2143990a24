//! The first half: in the initramfs, from the kernel's hands to the slot's root.
//!
//! Loads what the disk's way needs, waits for the slot's partition, and becomes the slot's own init. It
//! decides nothing about slots: the boot loader did, and named it on the kernel's command line. When it
//! fails it says why, and restarts the device, so that the boot loader may choose again.

use std::convert::Infallible;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};
use std::os::fd::AsFd;

use crate::block::{self, Partition};
use crate::modules::{self, Loader};
use crate::mounts;
use crate::tell::{Level, announce, tell};
use crate::timeline::{self, Timeline};
use crate::trouble::{Doing, Trouble, invalid};
use crate::uevent::Uevents;

const SYS: &str = "/sys";
const NEW_ROOT: &str = "/root";
/// A disk on USB may take this long to appear.
const DISK_DEADLINE: Duration = Duration::from_secs(30);
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
    let slot = slot(&command_line);
    let uevents = Uevents::open()?;
    let mut loader = Loader::new();
    let root = await_partition(&format!("skerry-{slot}"), &uevents, &mut loader)?;
    timeline.mark("slot");
    loader.load("fs-squashfs");
    let _ = fs::create_dir_all(NEW_ROOT);
    mounts::mount_read_only(&root.node(), NEW_ROOT, "squashfs", "")?;
    tell(Level::Info, format!("slot {slot} is {}", root.device));
    timeline.mark("root");
    switch(&timeline)
}

/// The slot that the boot loader chose.
fn slot(command_line: &str) -> &str {
    let named = command_line.split_whitespace().find_map(|word| word.strip_prefix("skerry.slot="));
    named.filter(|slot| !slot.is_empty()).unwrap_or("a")
}

/// Loads one driver after another until the partition is there: a probe of a controller that the root
/// is not on can take a second, and is better had after the node's start.
fn await_partition(
    name: &str,
    uevents: &Uevents,
    loader: &mut Loader,
) -> Result<Partition, Trouble> {
    let deadline = timeline::now() + DISK_DEADLINE;
    let mut devices = modules::devices(Path::new(SYS));
    loop {
        // Drained first: what happens after the look wakes the poll.
        while let Some(event) = uevents.next() {
            if let Some(alias) = event.modalias.filter(|_| event.action == "add") {
                loader.load(&alias);
            }
        }
        let found = block::find(Path::new(SYS), name, None);
        if let Some(found) = found.filter(|found| found.node().exists()) {
            return Ok(found);
        }
        if let Some(alias) = devices.next() {
            loader.load(&alias);
            continue;
        }
        let left = deadline.saturating_sub(timeline::now());
        if left.is_zero() {
            return Err(invalid("find the partition", name, "no disk with it appeared"));
        }
        let mut waiting = [PollFd::new(uevents.as_fd(), PollFlags::POLLIN)];
        // The device node of a partition may come a moment after its event.
        let wait = left.min(Duration::from_secs(1));
        let _ = poll(&mut waiting, PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO));
    }
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
