//! The audit log: what a node accepted, refused and ran, each entry bound to the one before it by its hash.
//!
//! Decides how an entry is written and what the head of the chain is then; whether an exported log is whole is
//! in `verify.rs`. An entry's hash is that of its bytes as they stand, so that nothing is ever written again in
//! another form. It reads no clock: the time of an entry is the node's claim. The node keeps the log.

mod verify;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, NodeName};
use crate::trust::detached::{DetachedError, seal};
use crate::trust::sign::Signer;
use crate::trust::{Freshness, KeyId, PublicKey};

pub use verify::{AuditError, Checked, made_room, verify};

/// The name and version of what a node signs when it exports its log.
pub const HEAD_FORMAT: &str = "skerry-audit/1";
/// The name and version of what a node signs when the oldest entries make room.
pub const BEGIN_FORMAT: &str = "skerry-audit-begin/1";
/// The most bytes of an exported log.
pub const EXPORT_MAX: usize = 16 << 20;
/// The most characters of an entry's free text.
pub const DETAIL_MAX: usize = 1000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The node's process began; its version stands in the detail.
    Began,
    /// The node's process began with another version of the program.
    Updated,
    /// A document was accepted.
    Accepted,
    /// A bundle was refused.
    Refused,
    /// A root was accepted, which says whose keys count.
    Root,
    /// An agent was started.
    Started,
    /// An agent ended.
    Stopped,
    /// Somebody on the node asked for something, and it was done.
    Wish,
    /// Entries that could not be written are missing here.
    Missed,
    /// Half an entry, left by a power cut, was cut off.
    Cut,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Updated => "updated",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Root => "root",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Wish => "wish",
            Self::Missed => "missed",
            Self::Cut => "cut",
        }
    }
}

/// What happened, to what, and who authorised it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// To what: an agent, a document's audience, a repository.
    pub subject: String,
    /// The version of a document or root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The digest of a document, bundle or image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Ids of the keys, or `uid:N` of the user, that authorised it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// More, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Event {
    /// Something that happened.
    pub fn new(kind: Kind, subject: impl Into<String>) -> Self {
        let subject = subject.into();
        Self { kind, subject, version: None, digest: None, by: Vec::new(), detail: None }
    }

    /// With a version.
    #[must_use]
    pub fn version(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// With a digest.
    #[must_use]
    pub fn digest(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// Authorised by these keys.
    #[must_use]
    pub fn keys(self, keys: &[KeyId]) -> Self {
        Self { by: keys.iter().map(|key| key.as_str().to_owned()).collect(), ..self }
    }

    /// Authorised by a user of the node.
    #[must_use]
    pub fn user(self, uid: u32) -> Self {
        Self { by: vec![format!("uid:{uid}")], ..self }
    }

    /// With words, as many as an entry takes.
    #[must_use]
    pub fn detail(self, text: &str) -> Self {
        Self { detail: Some(text.chars().take(DETAIL_MAX).collect()), ..self }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its number; the first is 1.
    pub seq: u64,
    /// The hash of the entry before it.
    pub prev: Digest,
    /// When, in milliseconds since 1970 by the node's own clock, which may be wrong.
    pub at_ms: i64,
    /// Whether the node could prove then that what it followed was current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
    /// What happened.
    pub event: Event,
}

/// The last entry of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub digest: Digest,
}

impl Head {
    /// Before the first entry.
    pub fn start() -> Self {
        Self { seq: 0, digest: Digest::of(b"") }
    }

    /// The head that this line is, if it is an entry.
    pub fn of(line: &[u8]) -> Option<(Self, Entry)> {
        let entry: Entry = serde_json::from_slice(line).ok()?;
        Some((Self { seq: entry.seq, digest: Digest::of(line) }, entry))
    }

    /// The next entry as the line to write, and the head that it is.
    pub fn next(self, at_ms: i64, freshness: Option<Freshness>, event: Event) -> (Vec<u8>, Self) {
        let seq = self.seq.saturating_add(1);
        let entry = Entry { seq, prev: self.digest, at_ms, freshness, event };
        // Texts and numbers always serialise.
        let line = serde_json::to_vec(&entry).unwrap_or_default();
        let digest = Digest::of(&line);
        (line, Self { seq, digest })
    }
}

/// What the node signs: where its log begins and ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    format: String,
    node: NodeName,
    public_key: PublicKey,
    at_ms: i64,
    head: Head,
}

/// The first line of an exported log. The lines after it are the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    /// Signed: the head of the chain.
    head: String,
    /// Signed: the last entry that made room, if any did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begin: Option<String>,
}

fn statement(
    format: &str,
    key: &dyn Signer,
    node: &NodeName,
    at_ms: i64,
    head: Head,
) -> Result<String, DetachedError> {
    let (format, node) = (format.to_owned(), node.clone());
    let statement = Statement { format, node, public_key: key.public(), at_ms, head };
    // Texts and numbers always serialise, and an envelope is text.
    let text = serde_json::to_string(&statement).unwrap_or_default();
    Ok(String::from_utf8(seal(key, &text)?).unwrap_or_default())
}

/// The word that everything up to `last` made room, signed by the node.
///
/// # Errors
/// It cannot be signed.
pub fn beginning(
    key: &dyn Signer,
    node: &NodeName,
    at_ms: i64,
    last: Head,
) -> Result<String, DetachedError> {
    statement(BEGIN_FORMAT, key, node, at_ms, last)
}

/// The first line of an export: the head of the chain, signed by the node.
///
/// # Errors
/// It cannot be signed.
pub fn header(
    key: &dyn Signer,
    node: &NodeName,
    at_ms: i64,
    head: Head,
    begin: Option<String>,
) -> Result<Vec<u8>, DetachedError> {
    let head = statement(HEAD_FORMAT, key, node, at_ms, head)?;
    Ok(serde_json::to_vec(&Header { head, begin }).unwrap_or_default())
}

/// The entries of an export, unverified, for whoever trusts the one who wrote it.
pub fn entries(export: &[u8]) -> Vec<Entry> {
    let lines = export.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(|line| Head::of(line).map(|(_, entry)| entry)).collect()
}

#[cfg(test)]
mod tests;
