//! The shell's clocks: the only place of this crate that asks what time it is.

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use skerry_core::time::Tick;

/// No clock that shows less than this is right: this version was not made before it. Set at build
/// time from `SOURCE_DATE_EPOCH` (seconds since 1970) where that is given.
const MADE_NO_EARLIER: i64 = 1_793_000_000;

/// Now, on the clock that counts suspend and never jumps.
pub fn tick() -> Tick {
    let time = clock_gettime(ClockId::Boottime);
    let millis = time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000);
    Tick(u64::try_from(millis).unwrap_or_default())
}

/// Now, by the device's own clock, which may be wrong: milliseconds since 1970.
pub fn wall_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The boot in which [`tick`] counts.
///
/// # Errors
/// The kernel does not say.
pub fn boot() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// What both clocks show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The device's own clock, which may be wrong, and may be set.
    pub wall: Timestamp,
    /// The clock that counts suspend and never jumps.
    pub tick: Tick,
}

impl Moment {
    /// How far apart both are, in milliseconds: the same until somebody sets the clock.
    pub fn offset(&self) -> i64 {
        let tick = i64::try_from(self.tick.0).unwrap_or(i64::MAX);
        self.wall.as_millisecond().saturating_sub(tick)
    }
}

/// Now, by both clocks.
pub fn moment() -> Moment {
    Moment { wall: Timestamp::now(), tick: tick() }
}

/// When this program was made, or a little before.
pub fn built() -> Timestamp {
    let built = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse::<i64>().ok());
    let seconds = built.unwrap_or(MADE_NO_EARLIER);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
