//! The catalogue: what the images repository vouches for, at one moment.
//!
//! Decides whether an image is genuine: a target of the images repository lists its digest, and all files
//! that vouch for the target are current. It must never say what runs where; that is the director's, and
//! [`crate::genuine`] brings both together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::cut;
use super::search::{Found, Search};
use super::{Clock, Role, TrustError, TrustedSet};
use crate::ids::Digest;

/// The verified files of the images repository. Made in this module alone, from files that passed.
#[derive(Debug)]
pub struct Catalogue {
    set: TrustedSet,
    delegated: BTreeMap<String, String>,
    clock: Clock,
}

/// What the signer of an image says of it, in `custom` of its target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageNotes {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The digest of its bill of materials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Digest>,
    /// The digest of the statement about how it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Digest>,
}

/// The path under which an image is signed.
pub fn image_path(digest: &Digest) -> String {
    format!("images/sha256/{}", digest.hex())
}

impl Catalogue {
    /// The catalogue that a set holds. `delegated` are the files of delegated roles, which are verified
    /// when they are needed.
    ///
    /// # Errors
    /// A file that vouches for the list is missing, not the one its parent lists, or has expired.
    pub fn new(
        set: TrustedSet,
        delegated: BTreeMap<String, String>,
        clock: Clock,
    ) -> Result<Self, TrustError> {
        set.current_targets(clock)?;
        Ok(Self { set, delegated, clock })
    }

    /// The version of the list.
    pub fn version(&self) -> u64 {
        self.set.targets().map(|targets| targets.version).unwrap_or_default()
    }

    /// Whether an image is genuine.
    ///
    /// # Errors
    /// No target lists it, or one that speaks of another image.
    pub fn check(&self, image: &Digest) -> Result<(), TrustError> {
        let missing = Role::Targets;
        let held = self.set.held_targets().ok_or(TrustError::OutOfOrder { missing })?;
        let mut search = Search::within(&self.set, held, &image_path(image), self.clock)?;
        search.follow(&self.set, &self.delegated, self.clock)?;
        lists(&search.finish(&self.set)?, image)
    }
}

/// The path is for people and delegations; what counts is the hash that was listed.
fn lists(found: &Found, image: &Digest) -> Result<(), TrustError> {
    let listed = found.meta().hashes.get("sha256");
    let actual = image.hex();
    match listed {
        Some(listed) if *listed == actual => Ok(()),
        Some(listed) => Err(TrustError::Hash {
            file: cut(&image_path(image)),
            parent: Role::Targets,
            algorithm: "sha256",
            listed: cut(listed),
            actual,
        }),
        None => {
            Err(TrustError::NoKnownHash { file: cut(&image_path(image)), parent: Role::Targets })
        }
    }
}

#[cfg(test)]
mod tests;
