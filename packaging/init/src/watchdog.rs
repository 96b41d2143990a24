//! The hardware watchdog: armed once pid 1 has come to rest, and fed for as long as it turns.
//!
//! A device whose kernel or pid 1 hangs restarts by itself. On the way down it stays armed for a restart,
//! and is let go for a power-off.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::tell::{Level, tell};

const PLACES: [&str; 2] = ["/dev/watchdog0", "/dev/watchdog"];
/// What is asked for; the device may have its own mind.
const SECONDS: i32 = 60;

#[allow(unsafe_code, missing_docs, reason = "the macro makes an unsafe function")]
mod call {
    nix::ioctl_readwrite!(set_timeout, b'W', 6, i32);
}

/// An armed watchdog.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    every: Duration,
    due: Duration,
}

impl Watchdog {
    /// Arms it, if there is one.
    pub fn arm(now: Duration) -> Option<Self> {
        let (place, device) = PLACES
            .iter()
            .find_map(|place| Some((place, File::options().write(true).open(place).ok()?)))?;
        let mut seconds = SECONDS;
        // SAFETY: the kernel reads and writes one int, which outlives the call.
        #[allow(unsafe_code, reason = "an ioctl without a safe wrapper")]
        let set = unsafe { call::set_timeout(device.as_raw_fd(), &raw mut seconds) };
        if set.is_err() {
            // One that can't be set may be short: feed it often.
            seconds = 15;
        }
        tell(Level::Info, format!("{place} restarts the device if pid 1 hangs for {seconds} s"));
        let every = Duration::from_secs(u64::from(seconds.unsigned_abs())) / 4;
        Some(Self { device, every: every.max(Duration::from_secs(1)), due: now })
    }

    /// When it wants to be fed.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// Feeds it if it is time.
    pub fn feed(&mut self, now: Duration) {
        if now >= self.due {
            let _ = self.device.write_all(b"\0");
            self.due = now + self.every;
        }
    }

    /// Lets it go: a device that is off must not be woken.
    pub fn disarm(mut self) {
        let _ = self.device.write_all(b"V");
    }
}
