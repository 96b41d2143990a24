//! The wall clock: set forward when it is certainly behind, and never set back.
//!
//! A device without a battery wakes in 1970. The image's build time and the time last saved on the data
//! partition are lower bounds. A clock that is ahead, even in 2040, is left alone: only a signed time or
//! NTP may judge it.

use std::fs;
use std::io::Write;
use std::path::Path;

use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use crate::tell::{Level, tell};
use crate::trouble::{Doing, Trouble};

/// Where the image says when it was built.
pub const BUILT: &str = "/usr/lib/skerry/built";
/// A saved time may be so many seconds after the image's: ten years.
const BELIEVED: i64 = 10 * 366 * 86_400;

/// Sets the clock to at least `floor`, in seconds since 1970.
pub fn set_forward(floor: i64, whose: &str) {
    let now = now();
    if now >= floor {
        return;
    }
    match clock_settime(ClockId::Realtime, Timespec { tv_sec: floor, tv_nsec: 0 }) {
        Ok(()) => {
            tell(Level::Info, format!("the clock was at {now}; set forward to {floor}, {whose}"));
        }
        Err(error) => tell(Level::Warning, format!("the clock cannot be set forward: {error}")),
    }
}

/// In 64 bits on every processor; nix has 32 where C had.
fn now() -> i64 {
    clock_gettime(ClockId::Realtime).tv_sec
}

/// A time that was saved, or that the image was built at.
pub fn read(path: &Path) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The time that was saved, if it can be believed: a clock that once was wrong by decades must not make
/// itself true for ever.
pub fn saved(path: &Path, built: i64) -> Option<i64> {
    read(path).filter(|saved| *saved <= built.saturating_add(BELIEVED))
}

/// Saves the time for the next boot: aside, then renamed. A clock that lost power forgets years.
///
/// # Errors
/// The file cannot be written.
pub fn save(path: &Path) -> Result<(), Trouble> {
    write_aside(path, format!("{}\n", now()).as_bytes())
}

/// Replaces a small file whole, so that a power cut leaves the old one or the new one.
///
/// # Errors
/// The file or its folder cannot be written.
pub fn write_aside(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let aside = path.with_extension("new");
    let write = || {
        let mut file = fs::File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    };
    write().doing("write", path.display())
}

#[cfg(test)]
#[path = "clock/tests.rs"]
mod tests;
