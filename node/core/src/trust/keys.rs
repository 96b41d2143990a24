//! Public keys, their ids, and the only signature check in Skerry.
//!
//! Decides whether a key is fit to be trusted and whether a signature is its own. It must never
//! accept a weak key, and never check in any other way than strictly: ed25519's lax check accepts
//! one key and signature for every message. Next: `envelope`, which counts signatures.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::canonical::canonical;
use super::metadata::Key;

/// The name of a key. Our own tools use the SHA-256 of the key in canonical JSON; a verifier takes
/// it as an opaque text, since what counts are distinct keys, not distinct names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 characters, for tables.
    pub fn short(&self) -> String {
        self.0.chars().take(12).collect()
    }
}

impl From<String> for KeyId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", super::error::cut(&self.0))
    }
}

/// Why a key is not fit to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hexadecimal digits, or no point of the curve.
    #[error("'{text}' is not an ed25519 public key of 64 hexadecimal digits")]
    Malformed {
        /// The key as given, cut to 80 characters.
        text: String,
    },
    /// A point of small order: some signature fits it for every message.
    #[error("the ed25519 public key {text} is weak: anybody can sign for it")]
    Weak {
        /// The key in hexadecimal.
        text: String,
    },
}

/// An ed25519 public key that is not weak.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key of these 32 bytes.
    ///
    /// # Errors
    /// When the bytes are no point of the curve, or a weak one.
    pub fn from_bytes(raw: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(raw)
            .map_err(|_| KeyError::Malformed { text: hex::encode(raw) })?;
        if key.is_weak() {
            return Err(KeyError::Weak { text: hex::encode(raw) });
        }
        Ok(Self(key))
    }

    /// The key of these 64 hexadecimal digits.
    ///
    /// # Errors
    /// As [`PublicKey::from_bytes`], and when the text is not 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut raw = [0; 32];
        hex::decode_to_slice(text, &mut raw)
            .map_err(|_| KeyError::Malformed { text: super::error::cut(text) })?;
        Self::from_bytes(&raw)
    }

    /// The public half of a signing key.
    pub fn of(key: &ed25519_dalek::SigningKey) -> Self {
        Self(key.verifying_key())
    }

    /// The 32 bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0.as_bytes())
    }

    /// The key as TUF writes it.
    pub fn to_metadata(self) -> Key {
        let mut keyval = serde_json::Map::new();
        keyval.insert("public".to_owned(), Value::String(self.to_hex()));
        Key { keytype: ED25519.to_owned(), scheme: ED25519.to_owned(), keyval }
    }

    /// The key's id: the SHA-256 of the key in canonical JSON.
    pub fn id(self) -> KeyId {
        let key = json!({
            "keytype": ED25519, "scheme": ED25519, "keyval": { "public": self.to_hex() }
        });
        // Without numbers every value has a canonical form.
        let bytes = canonical(&key).unwrap_or_default();
        KeyId(hex::encode(Sha256::digest(bytes)))
    }

    /// Whether `signature` is this key's, over exactly `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match Signature::from_slice(signature) {
            Ok(signature) => self.0.verify_strict(message, &signature).is_ok(),
            Err(_) => false,
        }
    }
}

const ED25519: &str = "ed25519";

/// A key of a kind that Skerry does not speak, with its own check. Only a test client brings any.
#[derive(Debug, Clone)]
pub struct OtherKey {
    /// The key in its one normal form: equal values are one key.
    pub value: Vec<u8>,
    /// Whether the signature is that key's: the value, the message, the signature.
    pub verify: fn(&[u8], &[u8], &[u8]) -> bool,
}

/// Reads a key of another kind; nothing when the kind is unknown to it, too.
pub type ReadOther = fn(&Key) -> Option<OtherKey>;

/// A key that some signature can be checked with.
#[derive(Debug, Clone)]
pub(super) enum AnyKey {
    Ed25519(PublicKey),
    Other(OtherKey),
}

impl AnyKey {
    /// The key, or nothing when it is of a kind not spoken here.
    pub(super) fn read(key: &Key, other: Option<ReadOther>) -> Result<Option<Self>, KeyError> {
        if let Some(key) = key.ed25519()? {
            return Ok(Some(Self::Ed25519(key)));
        }
        Ok(other.and_then(|read| read(key)).map(Self::Other))
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => key.verify(message, signature),
            Self::Other(key) => (key.verify)(&key.value, message, signature),
        }
    }

    /// What makes it one key and not another, whatever it is called.
    pub(super) fn value(&self) -> (bool, Vec<u8>) {
        match self {
            Self::Ed25519(key) => (true, key.to_bytes().to_vec()),
            Self::Other(key) => (false, key.value.clone()),
        }
    }
}

impl Key {
    /// The key as one that can be checked, or nothing when it is of a kind not spoken here.
    pub(super) fn ed25519(&self) -> Result<Option<PublicKey>, KeyError> {
        if self.keytype != ED25519 || self.scheme != ED25519 {
            return Ok(None);
        }
        let text = self.keyval.get("public").and_then(Value::as_str).unwrap_or_default();
        PublicKey::from_hex(text).map(Some)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_hex())
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::from_hex(&text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_hex()
    }
}

#[cfg(test)]
mod tests;
