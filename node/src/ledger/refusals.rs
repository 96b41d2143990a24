//! What was refused: the last of it for people, and how much of it is worth a write.
//!
//! Pure: the time is an argument. Whoever may publish at the broker can send garbage for ever, so a few
//! refusals in a row are written, then one an hour, and the others are counted. [`crate::inbox`] does both.

use skerry_core::report::{REFUSED_MAX, RefusedDocument};
use skerry_core::time::Tick;

/// The rules that a document with all its signatures can break: nobody without the keys makes many of those.
pub const DOCUMENT: &str = "document";
pub const RESOURCES: &str = "resources";

/// So many refusals in a row are written.
const BURST: u64 = 16;
/// And so many, where the owner's own documents are among them.
const BURST_SIGNED: u64 = 64;
/// After them, one in this time.
const PACE: u64 = 3_600_000;

/// The last refusals, and the budget of those that are written.
#[derive(Default)]
pub struct Refusals {
    /// Newest last, each with its rule; that of a process before this one is not known.
    list: Vec<(RefusedDocument, &'static str)>,
    /// When the budget is whole again.
    whole_at: u64,
    unwritten: u64,
}

impl Refusals {
    /// As they were kept.
    pub fn new(kept: Vec<RefusedDocument>) -> Self {
        let list = kept.into_iter().map(|refused| (refused, "")).collect();
        Self { list, ..Self::default() }
    }

    /// What there is to tell of them.
    pub fn list(&self) -> Vec<RefusedDocument> {
        self.list.iter().map(|(refused, _)| refused.clone()).collect()
    }

    /// Takes one; whether it is worth a write. The same bytes under the same rule are only counted.
    pub fn take(&mut self, refused: RefusedDocument, rule: &'static str, now: Tick) -> bool {
        let known = self
            .list
            .iter_mut()
            .find(|(known, by)| known.digest == refused.digest && (by.is_empty() || *by == rule));
        if let Some((known, by)) = known {
            known.count = known.count.saturating_add(1);
            *by = rule;
            return false;
        }
        self.list.push((refused, rule));
        let surplus = self.list.len().saturating_sub(REFUSED_MAX);
        self.list.drain(..surplus);
        let whole_at = self.whole_at.max(now.0).saturating_add(PACE);
        let burst = if [DOCUMENT, RESOURCES].contains(&rule) { BURST_SIGNED } else { BURST };
        let worth = whole_at.saturating_sub(now.0) <= burst * PACE;
        if worth {
            self.whole_at = whole_at;
        } else {
            self.unwritten = self.unwritten.saturating_add(1);
        }
        worth
    }

    /// How many were not written since this was asked last.
    pub fn take_unwritten(&mut self) -> u64 {
        std::mem::take(&mut self.unwritten)
    }
}

#[cfg(test)]
mod tests;
