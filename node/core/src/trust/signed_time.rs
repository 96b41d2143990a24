//! Signed time: the answer to a node that asks what time it is.
//!
//! Decides whether an answer may be believed: signed by as many keys of the director's timestamp role as
//! the trusted root demands, over the very nonce that was asked with, and for no time at which that
//! root has ended already. It must never read a clock. What an answer moves is in [`super::floor`].
//!
//! The nonce makes an old answer worthless; the signature covers a prefix of its own, so that it can
//! never be taken for one over a file of TUF or a report.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::envelope::Authority;
use super::metadata::KeySignature;
use super::sign::{SigningKey, sign_bytes};
use super::{KeyId, Role, TrustError, TrustedSet};

/// The most bytes of a question or an answer.
pub const TIME_MAX: usize = 16 << 10;
/// The bytes of a nonce; in hexadecimal there are twice as many.
pub const NONCE_BYTES: usize = 16;

const DOMAIN: &[u8] = b"skerry-time-v1\0";

/// What a node asks with. It travels in an envelope that is signed with the node's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Random, new for each question, in hexadecimal.
    pub nonce: String,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Statement {
    nonce: String,
    time: Timestamp,
}

/// The statement as a text, which keeps its bytes, and who signed it.
#[derive(Serialize, Deserialize)]
struct Answer {
    statement: String,
    signatures: Vec<KeySignature>,
}

/// Why a signed time is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TimeError {
    /// More bytes than are looked at.
    #[error("an answer of {actual} bytes is more than the {TIME_MAX} allowed")]
    TooLarge {
        /// What came.
        actual: usize,
    },
    /// Not of this form.
    #[error("not a signed time: {source}")]
    Malformed {
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The answer to another question.
    #[error("it answers another question than the one that is open")]
    OtherQuestion,
    /// Too few signatures.
    #[error("the signed time: {0}")]
    Trust(#[from] TrustError),
    /// Whoever signs for the root that gave it its say cannot speak of what comes after that root.
    #[error("it names {time}, when the root that lets its keys speak has ended ({ends})")]
    BeyondRoot {
        /// The time named.
        time: Timestamp,
        /// When the root ends.
        ends: Timestamp,
    },
}

/// Signs the time, for a nonce.
///
/// # Errors
/// It cannot be written.
pub fn answer(nonce: &str, time: Timestamp, keys: &[&SigningKey]) -> Result<Vec<u8>, TimeError> {
    let malformed = |source| TimeError::Malformed { source };
    let statement = Statement { nonce: nonce.to_owned(), time };
    let statement = serde_json::to_string(&statement).map_err(malformed)?;
    let message = message(&statement);
    let signatures = keys.iter().map(|key| sign_bytes(key, &message)).collect();
    serde_json::to_vec(&Answer { statement, signatures }).map_err(malformed)
}

/// The time that an answer names, if it may be believed.
///
/// # Errors
/// The rule that it breaks.
pub fn open(
    director: &TrustedSet,
    bytes: &[u8],
    asked: Option<&str>,
) -> Result<Timestamp, TimeError> {
    if bytes.len() > TIME_MAX {
        return Err(TimeError::TooLarge { actual: bytes.len() });
    }
    let malformed = |source| TimeError::Malformed { source };
    let Answer { statement, signatures } = serde_json::from_slice(bytes).map_err(malformed)?;
    let signatures: BTreeMap<KeyId, String> =
        signatures.into_iter().map(|signature| (signature.keyid, signature.sig)).collect();
    let root = director.root();
    Authority::of(root, Role::Timestamp, director.other())?
        .check(&message(&statement), &signatures)?;
    let Statement { nonce, time } =
        serde_json::from_slice(statement.as_bytes()).map_err(malformed)?;
    if asked != Some(&*nonce) {
        return Err(TimeError::OtherQuestion);
    }
    if time >= root.expires {
        return Err(TimeError::BeyondRoot { time, ends: root.expires });
    }
    Ok(time)
}

fn message(statement: &str) -> Vec<u8> {
    [DOMAIN, statement.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
