//! The one verifier: what is signed, by whom, how many of them, and whether it is still current.
//!
//! Decides, by the client workflow of The Update Framework (specification 1.0, section 5), whether
//! a file may be believed. It must never read a clock, a file or a socket, and it must never look
//! at the meaning of a document: that is for those who are handed a [`Verified`]. Only ed25519 is
//! spoken, and every signature goes through one function, `PublicKey::verify`.
//!
//! Read on in [`set`] (the workflow), then `envelope` (signatures and thresholds), then
//! [`crate::bundle`], which carries all files of one decision in one message.

use std::fmt;

use serde::{Deserialize, Serialize};

mod canonical;
pub mod catalogue;
pub mod client;
mod delegation;
pub mod detached;
pub mod enrolment;
mod envelope;
mod error;
pub mod floor;
mod keys;
pub mod metadata;
pub mod repositories;
pub mod search;
pub mod set;
pub mod sign;
pub mod signed_time;
mod strict;
mod verified;

pub use catalogue::Catalogue;
pub use envelope::KeysFault;
pub(crate) use error::cut;
pub use error::{DelegationFault, TrustError};
pub use floor::{Clock, Freshness, Now};
pub use keys::{KeyError, KeyId, OtherKey, PublicKey, ReadOther};
pub use repositories::{Repositories, Repository, Roots, RootsError};
pub use set::TrustedSet;
pub use verified::{Proof, Verified};

/// The four top-level roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Says which keys hold which role.
    Root,
    /// Says which snapshot is the newest.
    Timestamp,
    /// Says which versions of the targets files belong together.
    Snapshot,
    /// Says which documents are genuine.
    Targets,
}

impl Role {
    /// The role's name, as in the `_type` of its metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The most bytes and files that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Newer roots in one update.
    pub roots: usize,
    /// Delegated roles asked in one search.
    pub delegations: usize,
    /// Bytes of one root file.
    pub root: usize,
    /// Bytes of the timestamp file.
    pub timestamp: usize,
    /// Bytes of the snapshot file, where the timestamp names no length.
    pub snapshot: usize,
    /// Bytes of a targets file, where the snapshot names no length.
    pub targets: usize,
}

impl Limits {
    /// The limits of TUF's reference client.
    pub const DEFAULT: Self = Self {
        roots: 256,
        delegations: 32,
        root: 512_000,
        timestamp: 16_384,
        snapshot: 2_000_000,
        targets: 5_000_000,
    };

    /// The most bytes of a file of this role.
    pub fn bytes(&self, role: Role) -> usize {
        match role {
            Role::Root => self.root,
            Role::Timestamp => self.timestamp,
            Role::Snapshot => self.snapshot,
            Role::Targets => self.targets,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a node keeps between updates: the files it trusts, byte for byte as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustStore {
    /// The trusted root. The first one is installed with the node.
    pub root: String,
    /// The newest timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The newest snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The newest targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<String>,
}

impl TrustStore {
    /// A node that knows nothing yet but its first root.
    pub fn new(root: String) -> Self {
        Self { root, timestamp: None, snapshot: None, targets: None }
    }
}

#[cfg(test)]
pub(crate) mod tests;
