//! Two clocks, kept apart: [`Tick`] for waiting, wall time for people and for trust.
//!
//! A wall clock on a device without a battery jumps by decades, so nothing that waits, backs off or
//! times out may look at it. The shell reads `CLOCK_BOOTTIME` and passes it in.

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// A moment on the monotonic clock that counts suspend too: milliseconds since boot.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// The moment that is `span` later.
    #[must_use]
    pub fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.millis))
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span { millis: self.0.saturating_sub(earlier.0) }
    }
}
