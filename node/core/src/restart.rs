//! When an agent that ended runs again: policy, back-off, giving up.
//!
//! Decides, from a restart policy and the failures in a row so far, whether and when. The jitter is
//! an argument. Facts about past runs live in [`crate::memory`].

use crate::agent::{Backoff, Restart};
use crate::units::Span;

/// What follows the end of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this wait.
    Again(Span),
    /// It is done, as its policy wants.
    Done,
    /// It failed as often in a row as its policy allows.
    GiveUp,
}

/// Decides what follows an end.
///
/// `failures` counts the short or failed runs in a row, this one included; `jitter` is a random
/// number, of which a tenth of the wait at most is added, so that a thousand nodes that lost the
/// same server do not come back in one instant.
pub fn decide(
    policy: Restart,
    backoff: Backoff,
    success: bool,
    failures: u32,
    jitter: u16,
) -> Verdict {
    match policy {
        Restart::Never => Verdict::Done,
        Restart::OnFailure(_) if success => Verdict::Done,
        Restart::OnFailure(Some(most)) if failures > most => Verdict::GiveUp,
        Restart::Always | Restart::UnlessStopped | Restart::OnFailure(_) => {
            Verdict::Again(wait(backoff, failures, jitter))
        }
    }
}

fn wait(backoff: Backoff, failures: u32, jitter: u16) -> Span {
    let doublings = failures.saturating_sub(1).min(32);
    let base = backoff.initial.millis.saturating_mul(1 << doublings).min(backoff.max.millis);
    let extra = base / 10 * u64::from(jitter) / u64::from(u16::MAX);
    Span { millis: base + extra }
}

#[cfg(test)]
mod tests;
