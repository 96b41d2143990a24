//! Decides what a report is worth: pure. Nothing of a report is shown before this said `Signed`.

use std::collections::BTreeMap;

use skerry_core::ids::{Digest, NodeName};
use skerry_core::report::{Presence, Report};
use skerry_core::trust::detached;
use skerry_core::trust::{KeyId, PublicKey};

use crate::heard::Replay;

/// What a report is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// The node signed it.
    Signed(Box<Report>),
    /// It came from a node whose key is not kept.
    UnknownKey,
    /// It is not what that node signed, and why.
    Bad(String),
    /// The node signed it, and it is no newer one.
    Replayed(Replay),
    /// It is signed with a key that counts no longer, and why.
    Revoked(String),
}

/// A report that its node signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The report.
    pub report: Report,
    /// The key that signed it.
    pub key: KeyId,
    /// The digest of its text.
    pub digest: Digest,
}

/// Judges the bytes that came as the report of `node`, by the signature alone.
pub fn report(node: &str, bytes: &[u8], keys: &BTreeMap<NodeName, PublicKey>) -> Judged {
    match open(node, bytes, keys) {
        Ok(opened) => Judged::Signed(Box::new(opened.report)),
        Err(judged) => judged,
    }
}

/// The report, if its node signed it; else what the bytes are worth.
pub fn open(
    node: &str,
    bytes: &[u8],
    keys: &BTreeMap<NodeName, PublicKey>,
) -> Result<Opened, Judged> {
    let known = keys.iter().find(|(name, _)| name.as_str() == node);
    let (name, key) = known.ok_or(Judged::UnknownKey)?;
    let text = detached::open(bytes, key).map_err(|why| Judged::Bad(why.to_string()))?;
    match serde_json::from_str::<Report>(text.payload()) {
        Ok(report) if report.node == *name => {
            let digest = Digest::of(text.payload().as_bytes());
            Ok(Opened { report, key: text.signed_by().clone(), digest })
        }
        Ok(report) => Err(Judged::Bad(format!("it is the report of node '{}'", report.node))),
        Err(why) => Err(Judged::Bad(format!("it is signed, and not a report: {why}"))),
    }
}

/// The key by which a node that is not known introduces itself: its report names a key, and that key signed
/// it. Anybody who may publish can say that, so it counts for nothing until the operator approves it.
pub fn introduction(node: &str, bytes: &[u8]) -> Option<(PublicKey, Report)> {
    let read = |text: &str| serde_json::from_str::<Report>(text).ok();
    let claimed = |text: &str| read(text).map(|report| report.public_key);
    let (text, key) = detached::open_introduction(bytes, claimed).ok()?;
    let report = read(text.payload()).filter(|report| report.node.as_str() == node)?;
    Some((key, report))
}

/// Whether a node is there, if it said so itself: its birth and its last will are signed. The broker
/// can still play an old one again, so this is a hint, not a fact.
pub fn online(node: &str, bytes: &[u8], keys: &BTreeMap<NodeName, PublicKey>) -> Option<bool> {
    let (name, key) = keys.iter().find(|(name, _)| name.as_str() == node)?;
    let text = detached::open(bytes, key).ok()?;
    let presence: Presence = serde_json::from_str(text.payload()).ok()?;
    (presence.node == *name).then_some(presence.online)
}

#[cfg(test)]
mod tests;
