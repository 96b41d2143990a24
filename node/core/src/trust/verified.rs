//! Proof in the type: a value that passed the verifier.
//!
//! Decides nothing. Only the `trust` module can make a [`Verified`], so a forgotten check does not
//! compile. Next: [`crate::bundle`], which hands them out.

use jiff::Timestamp;
use serde::Serialize;

use super::{Freshness, KeyId};
use crate::ids::Digest;

/// A value that was signed as the trusted root demands, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    proof: Proof,
}

/// What was checked, for reports and for the rules of acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The path that the document was signed under.
    pub path: String,
    /// The digest of the document's bytes.
    pub digest: Digest,
    /// The version of the root whose keys were used.
    pub root_version: u64,
    /// The version of the timestamp.
    pub timestamp_version: u64,
    /// The version of the snapshot.
    pub snapshot_version: u64,
    /// The version of the targets that list the document.
    pub targets_version: u64,
    /// When those targets end.
    pub targets_expires: Timestamp,
    /// The keys that signed those targets.
    pub signed_by: Vec<KeyId>,
    /// All keys that may sign those targets now.
    #[serde(skip)]
    pub holders: Vec<KeyId>,
    /// Whether the clock could prove that nothing had expired.
    pub freshness: Freshness,
}

impl<T> Verified<T> {
    pub(super) fn new(value: T, proof: Proof) -> Self {
        Self { value, proof }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The evidence.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The value and the evidence, apart: from here on the type proves nothing.
    pub fn into_parts(self) -> (T, Proof) {
        (self.value, self.proof)
    }
}

impl Verified<Vec<u8>> {
    /// The parsed form of the verified bytes, as verified as they are. A plain function pointer,
    /// since a closure could bring in a value that nobody signed.
    ///
    /// # Errors
    /// Whatever `parse` says.
    pub fn parse<U, E>(&self, parse: fn(&[u8]) -> Result<U, E>) -> Result<Verified<U>, E> {
        Ok(Verified { value: parse(&self.value)?, proof: self.proof.clone() })
    }
}
