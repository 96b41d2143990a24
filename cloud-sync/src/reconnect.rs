//! When to try the broker again: decides the pause after each failed attempt.
//!
//! Pure: the jitter is passed in. Pauses grow exponentially and are drawn from their whole range, so
//! that a fleet cut off at once does not come back at once. A connection that broke soon after it was
//! made counts as a failure too, or two clients of one name would throw each other out without pause.
//! Next: [`crate::session`], which waits.

use std::time::Duration;

/// The pauses between attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

/// A connection that held this many times the shortest pause is taken for a good one.
const STABLE_FACTOR: u32 = 10;
/// The first pause is drawn from up to this many times the shortest one.
const FIRST_FACTOR: u32 = 4;

impl Backoff {
    /// Pauses of `min` to `max`; a `max` below `min` is taken as `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), failures: 0 }
    }

    /// How many attempts have failed since the last good connection.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure, and says how long to pause. `jitter` is a fair draw from 0.0 to 1.0.
    pub fn failed(&mut self, jitter: f64) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let ceiling = self.min.saturating_mul(FIRST_FACTOR).saturating_mul(factor).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
        self.min + ceiling.saturating_sub(self.min).mul_f64(jitter)
    }

    /// Says that a connection held for so long before it broke.
    pub fn held(&mut self, how_long: Duration) {
        if how_long >= self.min.saturating_mul(STABLE_FACTOR) {
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests;
