//! Names and digests: parsed once at the border, correct ever after.
//!
//! Decides what a valid identifier is. Never touches files or sockets. Used by every other module;
//! start reading at [`crate::document`] instead.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::as_text::as_text;

/// Why a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty or too long.
    #[error("{what} '{text}' has {len} characters; 1 to {max} are allowed")]
    Length {
        /// What was parsed, such as "agent name".
        what: &'static str,
        /// The text as given, cut to 80 characters.
        text: String,
        /// Its length in bytes.
        len: usize,
        /// The most allowed.
        max: usize,
    },
    /// A character is not allowed where it stands.
    #[error(
        "{what} '{text}' may hold only a-z, 0-9 and '-', and must begin and end with a letter or digit"
    )]
    Characters {
        /// What was parsed.
        what: &'static str,
        /// The text as given.
        text: String,
    },
    /// Not the key of a config or a secret.
    #[error(
        "key '{text}' may hold only letters, digits, '-', '_' and '.', and must not begin with '..'"
    )]
    Key {
        /// The text as given, cut to 80 characters.
        text: String,
    },
    /// Not `sha256:` and 64 lowercase hexadecimal digits.
    #[error("'{text}' is not a digest: sha256: and 64 lowercase hexadecimal digits are expected")]
    Digest {
        /// The text as given, cut to 80 characters.
        text: String,
    },
}

/// The longest name, as for a DNS label (RFC 1123).
pub const NAME_MAX: usize = 63;

fn check_label(what: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > NAME_MAX {
        return Err(IdError::Length { what, text: cut(text), len: text.len(), max: NAME_MAX });
    }
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    if bytes.iter().all(|b| inner(*b)) && edge(bytes.first()) && edge(bytes.last()) {
        Ok(())
    } else {
        Err(IdError::Characters { what, text: cut(text) })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        as_text!($name, "a name");

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check_label($what, text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label!(
    /// The name of an agent, unique on its node: a DNS label of at most 63 characters.
    AgentName, "agent name");
label!(
    /// The name of a node, unique in its tenant: a DNS label of at most 63 characters.
    NodeName, "node name");
label!(
    /// The name of a group of nodes: a DNS label of at most 63 characters.
    GroupName, "group name");
label!(
    /// The name of a tenant of the broker: a DNS label of at most 63 characters.
    TenantName, "tenant name");

label!(
    /// The name of a pod, unique on its node: a DNS label of at most 63 characters.
    PodName, "pod name");
label!(
    /// The name of a volume, unique on its node: a DNS label of at most 63 characters.
    VolumeName, "volume name");
label!(
    /// The name of a config or a secret: a DNS label of at most 63 characters.
    DataName, "name of a config or secret");
label!(
    /// The name of a size of agents in the node's configuration: a DNS label.
    TierName, "tier name");

/// The longest key of a config or a secret, as of a file.
const KEY_MAX: usize = 253;

/// A key within a config or a secret, and the name of its file when that is mounted: letters,
/// digits, `-`, `_` and `.`, as in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataKey(String);

as_text!(DataKey, "a key");

impl DataKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DataKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let what = "key of a config or secret";
        if text.is_empty() || text.len() > KEY_MAX {
            return Err(IdError::Length { what, text: cut(text), len: text.len(), max: KEY_MAX });
        }
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        // Names that begin with two dots are the writer's own.
        if !text.bytes().all(fits) || text == "." || text.starts_with("..") {
            return Err(IdError::Key { text: cut(text) });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A SHA-256 digest in the form of OCI: `sha256:` and 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

as_text!(Digest, "a digest");

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere, while streaming for instance.
    pub fn from_bytes(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// The 64 hexadecimal digits, without the `sha256:`; the name of a blob's file.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 hexadecimal digits, for tables.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::Digest { text: cut(text) };
        let digits = text.strip_prefix("sha256:").ok_or_else(wrong)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut raw = [0; 32];
        hex::decode_to_slice(digits, &mut raw).map_err(|_| wrong())?;
        Ok(Self(raw))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
