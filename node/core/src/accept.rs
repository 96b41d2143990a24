//! Acceptance: whether a verified document is the next one for this node.
//!
//! Decides by version and digest only: older is refused, the same is unchanged, the same version
//! with another content is refused, newer is accepted. [`Accepted`] can be made here alone, so that
//! the planner cannot be given anything that skipped this.

use crate::document::Document;
use crate::ids::Digest;

/// Proof that a document was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<T> {
    content: T,
    digest: Digest,
}

impl<T> Accepted<T> {
    /// What was accepted.
    pub fn get(&self) -> &T {
        &self.content
    }

    /// The digest of the bytes it was read from.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// What becomes of a verified document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next.
    Next(Box<Accepted<Document>>),
    /// It is the one that is in force.
    Unchanged,
}

#[cfg(test)]
impl<T> Accepted<T> {
    /// Something accepted without a proof, for the tests of this crate alone.
    pub(crate) fn for_tests(content: T) -> Self {
        Self { content, digest: Digest::of(b"") }
    }
}
