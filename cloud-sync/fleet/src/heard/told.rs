//! What the reports of a node named of its audit log: heads, old and new, and whether they fit together.
//!
//! Decides which heads are kept, and when one cannot follow those before it. A log only grows: one that names
//! a lower entry than before, or another with the same number, was deleted, written anew or put back. That is
//! never forgotten while the node has the same key. Next: [`crate::audit`], which holds a log against it.

use serde::{Deserialize, Serialize};
use skerry_core::audit::Head;

/// The most heads that are kept of a node.
pub const HEADS_MAX: usize = 32;

/// What was told of a node's audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The newest head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audit: Option<Head>,
    /// Some of those before it, oldest first: the farther back, the fewer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heads: Vec<Head>,
    /// The first that did not fit.
    #[serde(default, rename = "auditBreak", skip_serializing_if = "Option::is_none")]
    broken: Option<Break>,
}

/// Two heads of a log that cannot both be true of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Break {
    /// What was told before.
    pub before: Head,
    /// What was told then.
    pub then: Head,
    /// When, in milliseconds since 1970 by the node's own clock.
    pub at_ms: i64,
}

impl std::fmt::Display for Break {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { before, then, .. } = self;
        if before.seq == then.seq {
            write!(
                f,
                "it reported entry {} with two hashes: its audit log was written anew",
                then.seq
            )
        } else {
            write!(
                f,
                "it reported entry {} of its audit log, and later entry {}: the log was deleted or written anew, \
                 or the disk came back from a backup",
                before.seq, then.seq
            )
        }
    }
}

impl Told {
    /// With the head that the next report names.
    pub fn next(&self, head: Option<Head>, at_ms: i64) -> Self {
        let mut next = self.clone();
        let Some(head) = head.filter(|head| self.audit != Some(*head)) else { return next };
        match self.audit {
            Some(before) if head.seq <= before.seq => {
                // Beside those of another log none of the old ones says anything.
                next.heads.clear();
                next.broken = next.broken.or(Some(Break { before, then: head, at_ms }));
            }
            Some(before) => {
                next.heads.push(before);
                thin(&mut next.heads, head.seq);
            }
            None => {}
        }
        next.audit = Some(head);
        next
    }

    /// The heads that were told of the log as it is now, oldest first.
    pub fn heads(&self) -> impl Iterator<Item = Head> {
        self.heads.iter().copied().chain(self.audit)
    }

    /// The newest head.
    pub fn newest(&self) -> Option<Head> {
        self.audit
    }

    /// What did not fit, if anything did not.
    pub fn broken(&self) -> Option<Break> {
        self.broken
    }
}

/// Drops heads until few enough are left: each time the one whose neighbours are the closest, seen from the
/// newest. The oldest stays.
fn thin(heads: &mut Vec<Head>, newest: u64) {
    while heads.len() >= HEADS_MAX {
        let gaps = heads.windows(3).enumerate().filter_map(|(at, three)| match three {
            [left, middle, right] => {
                let age = u128::from(newest.saturating_sub(middle.seq)) + 1;
                let gap = u128::from(right.seq.saturating_sub(left.seq));
                Some((gap * u128::from(u32::MAX) / age, at + 1))
            }
            _ => None,
        });
        let Some((_, at)) = gaps.min() else { return };
        heads.remove(at);
    }
}

#[cfg(test)]
mod tests;
