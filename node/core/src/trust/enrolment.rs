//! Enrolment: how a node that nobody knows yet shows that the operator expects it.
//!
//! The operator makes a token: a certificate signed with a key of the fleet, and the private key that it
//! names. The node signs its own name and public key with that private key, and sends the signature with the
//! certificate. So what goes over the network is of no use to anybody else. Decides whether such a word is
//! good at a time that is passed in; whether a token was used before, only the operator's tool can know.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::detached::{self, DetachedError, seal};
use super::sign::{SigningKey, sign_bytes};
use super::{KeyId, PublicKey};
use crate::ids::NodeName;

/// The most bytes of a token.
pub const TOKEN_MAX: usize = 2048;

const FORMAT: &str = "skerry-token/1";
const PREFIX: &str = "skerry-token-1";
const DOMAIN: &[u8] = b"skerry-enrol-v1\0";

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// The only node that may use it; any, if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// How many nodes may use it.
    pub uses: u32,
    /// When it ends.
    pub expires: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    format: String,
    token_key: PublicKey,
    terms: Terms,
}

/// What a node sends of its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// What the operator signed.
    pub certificate: String,
    /// The token's signature over the node's name and key, in hexadecimal.
    pub proof: String,
}

/// Why a token is not good.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// Not a token at all.
    #[error(
        "it is no token: '{PREFIX}.' and two parts are expected, as 'skerry-fleet token create' prints it"
    )]
    Form,
    /// Nobody who may has signed it.
    #[error("the token is forged: {0}")]
    Forged(#[from] DetachedError),
    /// It is signed, and no certificate of a token.
    #[error("the token is signed, and is of another kind: {0}")]
    Kind(serde_json::Error),
    /// The private key belongs to another token, or another node sends what it overheard.
    #[error(
        "the token does not vouch for this node's name and key; somebody may have copied it from another node's report"
    )]
    Proof,
    /// For another node.
    #[error("the token is for node '{expected}', not for node '{found}'")]
    OtherNode {
        /// Whose it is.
        expected: NodeName,
        /// Who used it.
        found: NodeName,
    },
    /// Too late.
    #[error("the token ended at {ends}; make another: skerry-fleet token create")]
    Expired {
        /// When.
        ends: Timestamp,
    },
}

/// A token as a node has it.
pub struct Token {
    key: SigningKey,
    certificate: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// Makes a token from 32 random bytes; its id and its text.
///
/// # Errors
/// It cannot be signed.
pub fn issue(
    fleet: &SigningKey,
    seed: [u8; 32],
    terms: Terms,
) -> Result<(KeyId, String), EnrolmentError> {
    let token_key = PublicKey::of(&SigningKey::from_bytes(&seed));
    let certificate = Certificate { format: FORMAT.to_owned(), token_key, terms };
    let text = serde_json::to_string(&certificate).map_err(EnrolmentError::Kind)?;
    let sealed = URL_SAFE_NO_PAD.encode(seal(fleet, &text)?);
    Ok((token_key.id(), format!("{PREFIX}.{}.{sealed}", hex::encode(seed))))
}

impl Token {
    /// Reads a token. Who signed it is for the fleet to say.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, EnrolmentError> {
        let parts = || {
            let (seed, sealed) =
                text.trim().strip_prefix(PREFIX)?.strip_prefix('.')?.split_once('.')?;
            let mut raw = [0; 32];
            hex::decode_to_slice(seed, &mut raw).ok()?;
            let certificate = String::from_utf8(URL_SAFE_NO_PAD.decode(sealed).ok()?).ok()?;
            Some(Self { key: SigningKey::from_bytes(&raw), certificate })
        };
        (text.len() <= TOKEN_MAX).then(parts).flatten().ok_or(EnrolmentError::Form)
    }

    /// The word for a node with this name and key.
    pub fn vouch(&self, node: &NodeName, key: &PublicKey) -> Enrolment {
        let proof = sign_bytes(&self.key, &message(node, key)).sig;
        Enrolment { certificate: self.certificate.clone(), proof }
    }
}

/// What a node's word allows, and the id of its token.
///
/// # Errors
/// Why it is not good.
pub fn check(
    enrolment: &Enrolment,
    fleet: &PublicKey,
    node: &NodeName,
    key: &PublicKey,
    now: Timestamp,
) -> Result<(KeyId, Terms), EnrolmentError> {
    let text = detached::open(enrolment.certificate.as_bytes(), fleet)?;
    let Certificate { format, token_key, terms } =
        serde_json::from_slice(text.payload().as_bytes()).map_err(EnrolmentError::Kind)?;
    let proof = hex::decode(&enrolment.proof).unwrap_or_default();
    if format != FORMAT || !token_key.verify(&message(node, key), &proof) {
        return Err(EnrolmentError::Proof);
    }
    if let Some(expected) = terms.node.clone().filter(|expected| expected != node) {
        return Err(EnrolmentError::OtherNode { expected, found: node.clone() });
    }
    if now >= terms.expires {
        return Err(EnrolmentError::Expired { ends: terms.expires });
    }
    Ok((token_key.id(), terms))
}

fn message(node: &NodeName, key: &PublicKey) -> Vec<u8> {
    [DOMAIN, node.as_str().as_bytes(), b"\0", key.to_hex().as_bytes()].concat()
}

#[cfg(test)]
mod tests;
