//! The way down: the node first, then everything else, then the disks.
//!
//! It has a deadline at every step: a process or a disk that hangs must not keep a device from
//! restarting. Nothing is lost when it is cut short; a power cut is the harder case.

use std::path::Path;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, sync};

use crate::clock;
use crate::data::{DEVICE, PLACE};
use crate::tell::{Level, announce, tell};
use crate::timeline::now;
use crate::watchdog::Watchdog;

/// The node says farewell to its broker in this time.
const NODE: Duration = Duration::from_secs(10);
/// Agents' last chance.
const REST: Duration = Duration::from_secs(10);
const KILLED: Duration = Duration::from_secs(5);

/// Where a person's signal leads; none for other signals.
pub fn mode_of(signal: Signal) -> Option<RebootMode> {
    match signal {
        Signal::SIGTERM | Signal::SIGINT => Some(RebootMode::RB_AUTOBOOT),
        Signal::SIGUSR1 => Some(RebootMode::RB_HALT_SYSTEM),
        Signal::SIGUSR2 => Some(RebootMode::RB_POWER_OFF),
        _ => None,
    }
}

/// Ends everything, and the kernel with it.
pub fn end(mode: RebootMode, node: Option<i32>, mut watchdog: Option<Watchdog>) -> ! {
    announce(if mode == RebootMode::RB_AUTOBOOT { "restarting" } else { "going down" });
    if let Some(pid) = node {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        reap_until(NODE, &mut watchdog, |gone| gone == Some(pid));
        tell(Level::Info, "the node has ended; now everything else");
    }
    let everybody = Pid::from_raw(-1);
    for (signal, patience) in [(Signal::SIGTERM, REST), (Signal::SIGKILL, KILLED)] {
        let _ = kill(everybody, signal);
        // `None`: no child is left.
        reap_until(patience, &mut watchdog, |gone| gone.is_none());
    }
    tell(Level::Info, "everything has ended; now the disks");
    if Path::new(DEVICE).is_dir() {
        let _ = clock::save(&Path::new(DEVICE).join("clock"));
    }
    unmount();
    if let Some(watchdog) = watchdog.take_if(|_| mode != RebootMode::RB_AUTOBOOT) {
        watchdog.disarm();
    }
    let _ = reboot(mode);
    loop {
        std::thread::park();
    }
}

/// Reaps until `done` says so of what ended, or the time is over.
fn reap_until(
    patience: Duration,
    watchdog: &mut Option<Watchdog>,
    done: impl Fn(Option<i32>) -> bool,
) {
    let deadline = now() + patience;
    while now() < deadline {
        if let Some(watchdog) = watchdog.as_mut() {
            watchdog.feed(now());
        }
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(20)),
            Ok(status) if done(status.pid().map(Pid::as_raw)) => return,
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// A disk that is still busy is made read-only, which is as safe.
fn unmount() {
    sync();
    let none = None::<&str>;
    for place in ["/var/lib/skerry", PLACE, "/boot"] {
        if umount2(place, MntFlags::empty()).is_err() {
            let only_read = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            match mount(none, place, none, only_read, none) {
                // Not mounted at all.
                Ok(()) | Err(nix::Error::EINVAL) => {}
                Err(error) => tell(Level::Warning, format!("{place} is in use: {error}")),
            }
        }
    }
    sync();
}
