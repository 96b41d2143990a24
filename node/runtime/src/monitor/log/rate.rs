//! How much of an agent's output is kept over time: a bucket that fills at a rate.
//!
//! Pure: the time is an argument. Whole lines are kept or dropped; what was dropped is counted, and
//! told in the log when there has been no word of it for a while.

use std::time::{Duration, Instant};

/// So many seconds of output may come at once.
const BURST: u64 = 10;

/// At most one word about dropping in this time.
const BETWEEN: Duration = Duration::from_secs(10);

/// A rate, and how much of it is left now.
pub struct Bucket {
    rate: u64,
    /// In billionths of a byte, so that short times are not lost; below zero after a long line.
    level: i128,
    filled_at: Instant,
    told_at: Option<Instant>,
    /// Since it was last told.
    untold: u64,
    /// All in all.
    pub dropped: u64,
}

const UNIT: i128 = 1_000_000_000;

impl Bucket {
    /// Full at first.
    pub fn new(rate: u64, now: Instant) -> Self {
        let level = i128::from(rate.saturating_mul(BURST)) * UNIT;
        Self { rate, level, filled_at: now, told_at: None, untold: 0, dropped: 0 }
    }

    /// Whether a line that begins now is kept.
    pub fn admits(&mut self, now: Instant) -> bool {
        let nanos = now.saturating_duration_since(self.filled_at).as_nanos();
        self.filled_at = now;
        let added = i128::try_from(nanos).unwrap_or(i128::MAX).saturating_mul(self.rate.into());
        let most = i128::from(self.rate.saturating_mul(BURST)) * UNIT;
        self.level = self.level.saturating_add(added).min(most);
        self.level > 0
    }

    /// Takes what is kept out of the bucket.
    pub fn take(&mut self, bytes: usize) {
        self.level = self.level.saturating_sub(bytes as i128 * UNIT);
    }

    /// Counts what is not kept.
    pub fn drop(&mut self, bytes: usize, now: Instant) {
        // The first word comes when it is known how much there is to tell.
        self.told_at.get_or_insert(now);
        self.dropped += bytes as u64;
        self.untold += bytes as u64;
    }

    /// What was dropped since it was last told, if it is time to tell; `last` says that there will
    /// be no other time.
    pub fn untold(&mut self, now: Instant, last: bool) -> Option<u64> {
        let due = self.told_at.is_none_or(|at| now.saturating_duration_since(at) >= BETWEEN);
        if self.untold == 0 || !(due || last) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests;
