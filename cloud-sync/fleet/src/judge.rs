//! Decides what a report is worth: pure. Nothing of a report is shown before this said `Signed`.

use std::collections::BTreeMap;

use skerry_core::ids::NodeName;
use skerry_core::report::{Presence, Report};
use skerry_core::trust::PublicKey;
use skerry_core::trust::detached;

/// What a report is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// The node signed it.
    Signed(Box<Report>),
    /// It came from a node whose key is not kept.
    UnknownKey,
    /// It is not what that node signed, and why.
    Bad(String),
}

/// Judges the bytes that came as the report of `node`.
pub fn report(node: &str, bytes: &[u8], keys: &BTreeMap<NodeName, PublicKey>) -> Judged {
    let Some((name, key)) = keys.iter().find(|(name, _)| name.as_str() == node) else {
        return Judged::UnknownKey;
    };
    let text = match detached::open(bytes, key) {
        Ok(text) => text,
        Err(why) => return Judged::Bad(why.to_string()),
    };
    match serde_json::from_str::<Report>(text.payload()) {
        Ok(report) if report.node == *name => Judged::Signed(Box::new(report)),
        Ok(report) => Judged::Bad(format!("it is the report of node '{}'", report.node)),
        Err(why) => Judged::Bad(format!("it is signed, and not a report: {why}")),
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
