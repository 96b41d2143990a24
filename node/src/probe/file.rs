//! A file in an agent's file system: that it is there, and how old it is.
//!
//! The path is resolved inside the agent's root, whatever links it has. A file's time is by the wall
//! clock, which may jump by years on a device without a battery; so that is believed only at the
//! first look. From then on a file is as old as the time since its change was seen, by a clock that
//! never jumps, and a change is never older than the look before it.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, openat2};
use skerry_core::agent::FileProbe;
use skerry_core::health::Check;
use skerry_core::ids::AgentName;
use skerry_core::time::Tick;
use skerry_core::units::Span;
use tokio::sync::Semaphore;

use super::{Subject, inside};
use crate::clock;

/// So many files are remembered; beyond that the memory begins anew.
const FILES_MAX: usize = 4096;

/// What a change of a file shows by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// What is known of a file's age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    stamp: Stamp,
    pid: i32,
    /// When it was looked at last.
    looked: Tick,
    /// How old it was then, in milliseconds.
    age_ms: u64,
}

/// What is known of the ages of all files.
#[derive(Debug, Clone, Default)]
pub(super) struct Ages(Arc<Mutex<BTreeMap<(AgentName, Check), Seen>>>);

pub(super) async fn look(
    probe: &FileProbe,
    subject: &Subject,
    threads: &Arc<Semaphore>,
    ages: &Ages,
) -> Result<(), String> {
    let (pid, path) = (subject.pid, probe.path.clone());
    // Some file systems let a look hang.
    let stamp = inside::aside(threads, move || stamp(pid, &path)).await??;
    let Some(most) = probe.max_age else { return Ok(()) };
    let age = ages.update(subject, stamp, clock::tick(), clock::wall_ms());
    if age <= most {
        return Ok(());
    }
    Err(format!("'{}' is {age} old; at most {most} is allowed", probe.path))
}

fn stamp(pid: i32, path: &str) -> Result<Stamp, String> {
    let root = File::open(format!("/proc/{pid}/root"))
        .map_err(|error| format!("the agent's files are gone: {error}"))?;
    let fail = |errno: rustix::io::Errno| format!("'{path}': {}", std::io::Error::from(errno));
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file: OwnedFd =
        openat2(&root, Path::new(path), flags, Mode::empty(), resolve).map_err(fail)?;
    let found = fstat(&file).map_err(fail)?;
    Ok(Stamp {
        inode: found.st_ino,
        seconds: found.st_mtime,
        nanoseconds: i64::try_from(found.st_mtime_nsec).unwrap_or_default(),
    })
}

impl Ages {
    fn update(&self, subject: &Subject, stamp: Stamp, now: Tick, wall_ms: i64) -> Span {
        let key = (subject.agent.clone(), subject.check);
        // Nobody panics while holding it.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(&key).copied().filter(|seen| seen.pid == subject.pid);
        let age_ms = age(before.as_ref(), stamp, now, wall_ms);
        if all.len() >= FILES_MAX && before.is_none() {
            all.clear();
        }
        all.insert(key, Seen { stamp, pid: subject.pid, looked: now, age_ms });
        Span { millis: age_ms }
    }
}

fn age(before: Option<&Seen>, stamp: Stamp, now: Tick, wall_ms: i64) -> u64 {
    let changed_ms =
        stamp.seconds.saturating_mul(1000).saturating_add(stamp.nanoseconds / 1_000_000);
    // A change in the future is one before the clock was set back.
    let by_wall = u64::try_from(wall_ms.saturating_sub(changed_ms)).unwrap_or_default();
    match before {
        None => by_wall,
        Some(seen) if seen.stamp == stamp => {
            seen.age_ms.saturating_add(now.since(seen.looked).millis)
        }
        Some(seen) => by_wall.min(now.since(seen.looked).millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: i64 = 365 * 86_400_000;

    fn stamp(seconds: i64) -> Stamp {
        Stamp { inode: 1, seconds, nanoseconds: 0 }
    }

    fn seen(seconds: i64, looked: u64, age_ms: u64) -> Seen {
        Seen { stamp: stamp(seconds), pid: 1, looked: Tick(looked), age_ms }
    }

    #[test]
    fn the_first_look_believes_the_clock() {
        assert_eq!(age(None, stamp(100), Tick(0), 130_000), 30_000);
        assert_eq!(age(None, stamp(100), Tick(0), 0), 0, "a change in the future is fresh");
    }

    #[test]
    fn afterwards_a_clock_that_jumps_ages_nothing_and_renews_nothing() {
        let before = seen(100, 1_000, 5_000);
        for wall in [105_000, 105_000 + YEAR_MS, 0] {
            assert_eq!(age(Some(&before), stamp(100), Tick(11_000), wall), 15_000);
            let changed = age(Some(&before), stamp(101), Tick(11_000), wall);
            assert!(changed <= 10_000, "no older than the look before: {changed}");
        }
        assert_eq!(age(Some(&before), stamp(200), Tick(11_000), 203_000), 3_000);
    }
}
