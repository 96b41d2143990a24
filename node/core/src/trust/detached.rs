//! A text with one signature: what nodes send up.
//!
//! Decides whether a report was written by the node whose key is known. The signature covers a
//! prefix of its own, so that it can never be taken for a signature over a TUF file, and the other
//! way round. It says nothing about freshness: the text must carry its own counter.

use serde::{Deserialize, Serialize};

use super::sign::{Signer, SignerError};
use super::{KeyId, PublicKey};

/// The most bytes of an envelope.
pub const ENVELOPE_MAX: usize = 1 << 20;

const DOMAIN: &[u8] = b"skerry-report-v1\0";

/// Why a text was not sealed or not opened.
#[derive(Debug, thiserror::Error)]
pub enum DetachedError {
    /// More bytes than are looked at.
    #[error("a signed text of {actual} bytes is more than the {limit} allowed")]
    TooLarge {
        /// The most allowed.
        limit: usize,
        /// What came.
        actual: usize,
    },
    /// Not an envelope.
    #[error("not a signed text: {source}")]
    Malformed {
        /// What the parser or writer says.
        source: serde_json::Error,
    },
    /// Signed with another key than the one expected.
    #[error("signed with key {found}, but key {expected} is expected")]
    OtherKey {
        /// The key expected.
        expected: KeyId,
        /// The key named.
        found: KeyId,
    },
    /// Whatever holds the key does not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// It names no key to check it with.
    #[error("the text does not say which key signed it")]
    Nameless,
    /// The signature does not fit.
    #[error("the signature of key {key} does not fit the text")]
    Signature {
        /// The key.
        key: KeyId,
    },
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    payload: std::borrow::Cow<'a, str>,
    keyid: KeyId,
    sig: String,
}

/// A text whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedText {
    payload: String,
    signed_by: KeyId,
}

impl VerifiedText {
    /// The text.
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// The key that signed it.
    pub fn signed_by(&self) -> &KeyId {
        &self.signed_by
    }
}

/// Signs a text.
///
/// # Errors
/// When the key does not sign, or the envelope would be larger than [`ENVELOPE_MAX`].
pub fn seal(key: &dyn Signer, payload: &str) -> Result<Vec<u8>, DetachedError> {
    let sig = hex::encode(key.signature(&message(payload))?);
    let envelope = Envelope { payload: payload.into(), keyid: key.public().id(), sig };
    let bytes =
        serde_json::to_vec(&envelope).map_err(|source| DetachedError::Malformed { source })?;
    check_size(&bytes)?;
    Ok(bytes)
}

/// The text, if `key` signed it.
///
/// # Errors
/// When the envelope is too large or malformed, names another key, or its signature does not fit.
pub fn open(bytes: &[u8], key: &PublicKey) -> Result<VerifiedText, DetachedError> {
    check_size(bytes)?;
    let Envelope { payload, keyid, sig } =
        serde_json::from_slice(bytes).map_err(|source| DetachedError::Malformed { source })?;
    let expected = key.id();
    if keyid != expected {
        return Err(DetachedError::OtherKey { expected, found: keyid });
    }
    let valid = hex::decode(sig).is_ok_and(|sig| key.verify(&message(&payload), &sig));
    if !valid {
        return Err(DetachedError::Signature { key: expected });
    }
    Ok(VerifiedText { payload: payload.into_owned(), signed_by: expected })
}

/// The text and the key, of one that introduces itself: `claimed` reads from the unproven text which key it says
/// it was signed with. It proves that the writer holds that key, and nothing of who that is.
///
/// # Errors
/// As [`open`]; also when the text names no key.
pub fn open_introduction(
    bytes: &[u8],
    claimed: impl FnOnce(&str) -> Option<PublicKey>,
) -> Result<(VerifiedText, PublicKey), DetachedError> {
    check_size(bytes)?;
    let envelope: Envelope<'_> =
        serde_json::from_slice(bytes).map_err(|source| DetachedError::Malformed { source })?;
    let key = claimed(&envelope.payload).ok_or(DetachedError::Nameless)?;
    Ok((open(bytes, &key)?, key))
}

fn message(payload: &str) -> Vec<u8> {
    [DOMAIN, payload.as_bytes()].concat()
}

fn check_size(bytes: &[u8]) -> Result<(), DetachedError> {
    if bytes.len() <= ENVELOPE_MAX {
        return Ok(());
    }
    Err(DetachedError::TooLarge { limit: ENVELOPE_MAX, actual: bytes.len() })
}

#[cfg(test)]
mod tests;
