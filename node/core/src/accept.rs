//! Acceptance: whether a verified document is the next one for this node.
//!
//! Decides by audience, version and digest: older is refused, the same is unchanged, the same version with
//! another content is refused, newer is accepted if all its images are genuine. [`Accepted`] can be made
//! here alone, and from [`Genuine`] alone, so that the planner cannot be given anything that skipped this.
//! Comes after [`crate::trust`] and [`crate::genuine`].

use serde::{Deserialize, Serialize};

use crate::bundle::{Address, Delivery};
use crate::document::{Document, DocumentError};
use crate::genuine::{Genuine, NotGenuine};
use crate::ids::Digest;
use crate::trust::{KeyId, Proof, Verified};

/// Proof that a document was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<T> {
    content: T,
    digest: Digest,
    signed_by: Vec<KeyId>,
}

impl Accepted<Document> {
    fn new(genuine: Genuine, proof: &Proof) -> Self {
        let (digest, signed_by) = (proof.digest, proof.signed_by.clone());
        Self { content: genuine.into_document(), digest, signed_by }
    }
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

    /// The keys that signed it.
    pub fn signed_by(&self) -> &[KeyId] {
        &self.signed_by
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

/// Why a verified document is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is signed, and still not a document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It names another audience than the path it was signed under.
    #[error("the document names {named}, but was signed as {signed}")]
    Audience {
        /// What stands in the document.
        named: Address,
        /// The path that was signed.
        signed: String,
    },
    /// An image that may not run anywhere.
    #[error(transparent)]
    NotGenuine(#[from] NotGenuine),
    /// Versions never go back.
    #[error("version {offered} is older than version {current}, which is in force")]
    Older {
        /// The version that was refused.
        offered: u64,
        /// The version in force.
        current: u64,
    },
    /// One version, two contents.
    #[error(
        "version {version} is in force with digest {current}; another document with the same version has digest {offered}"
    )]
    SameVersion {
        /// The version of both.
        version: u64,
        /// The digest in force.
        current: Digest,
        /// The digest that was refused.
        offered: Digest,
    },
}

/// Decides about a delivered document.
///
/// # Errors
/// The rule that refused it. Nothing changes then.
pub fn judge(current: Option<&Accepted<Document>>, offered: &Delivery) -> Result<Verdict, Refusal> {
    let proof = offered.document.proof();
    if current.is_some_and(|c| c.digest == proof.digest) {
        return Ok(Verdict::Unchanged);
    }
    let content = Document::parse(offered.document.value())?;
    if content.audience.path() != proof.path {
        let (named, signed) = (content.audience, proof.path.clone());
        return Err(Refusal::Audience { named, signed });
    }
    if let Some(current) = current
        && binds(current, proof)
    {
        newer(current.content.version, current.digest, content.version, proof.digest)?;
    }
    let genuine = Genuine::check(content, &offered.catalogue)?;
    Ok(Verdict::Next(Box::new(Accepted::new(genuine, proof))))
}

/// Whether the version in force still counts. Whoever signed it may have been a thief, who chose the highest
/// version there is; when a key that signed it has lost its say, the versions begin anew.
fn binds(current: &Accepted<Document>, proof: &Proof) -> bool {
    current.signed_by.iter().all(|key| proof.holders.contains(key))
}

fn newer(current: u64, digest: Digest, offered: u64, other: Digest) -> Result<(), Refusal> {
    match offered.cmp(&current) {
        std::cmp::Ordering::Greater => Ok(()),
        std::cmp::Ordering::Less => Err(Refusal::Older { offered, current }),
        std::cmp::Ordering::Equal => {
            Err(Refusal::SameVersion { version: offered, current: digest, offered: other })
        }
    }
}

/// An accepted document as the node's own ledger keeps it, to be read back after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The document's bytes as they were verified.
    pub document: String,
    /// Their digest.
    pub digest: Digest,
    /// The keys that had signed for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<KeyId>,
}

impl Ledger {
    /// The record of a document that was just accepted.
    pub fn of(accepted: &Accepted<Document>, verified: &Verified<Vec<u8>>) -> Option<Self> {
        let document = String::from_utf8(verified.value().clone()).ok()?;
        (Digest::of(document.as_bytes()) == accepted.digest).then(|| Self {
            document,
            digest: accepted.digest,
            signed_by: accepted.signed_by.clone(),
        })
    }

    /// The document again. It was verified and accepted before it was written; that it is still the
    /// same is checked by its digest.
    ///
    /// # Errors
    /// The record is not what was written.
    pub fn read(&self) -> Result<Accepted<Document>, Refusal> {
        let (digest, content) =
            (Digest::of(self.document.as_bytes()), Document::parse(self.document.as_bytes())?);
        if digest != self.digest {
            let (version, current) = (content.version, self.digest);
            return Err(Refusal::SameVersion { version, current, offered: digest });
        }
        Ok(Accepted { content, digest, signed_by: self.signed_by.clone() })
    }
}

#[cfg(test)]
impl<T> Accepted<T> {
    /// Something accepted without a proof, for the tests of this crate alone.
    pub(crate) fn for_tests(content: T) -> Self {
        Self { content, digest: Digest::of(b""), signed_by: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
