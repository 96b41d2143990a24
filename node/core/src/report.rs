//! The report: what a node says of itself to its fleet.
//!
//! Data only. The node fills it, signs it ([`crate::trust`]) and keeps it in its outbox; the fleet
//! tool checks the signature and shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit::Head;
use crate::ids::{AgentName, Digest, NodeName};
use crate::plan::Status;
use crate::trust::enrolment::Enrolment;
use crate::trust::{Freshness, PublicKey, TrustedSet};

/// The most refusals that are kept and told.
pub const REFUSED_MAX: usize = 8;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Who speaks.
    pub node: NodeName,
    /// The key that signs it. Proof of nothing by itself: an operator who approves it makes the node one of the
    /// fleet's.
    pub public_key: PublicKey,
    /// Grows with every report of this node, over restarts too, so that a replay is seen.
    pub counter: u64,
    /// When, in milliseconds since 1970 by the node's own clock, which may be wrong.
    pub at_ms: i64,
    /// Which boot of the device this is.
    pub boot_id: String,
    /// The document in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentRef>,
    /// The last documents that were refused, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedDocument>,
    /// Each agent.
    pub agents: BTreeMap<AgentName, Status>,
    /// Fleet agents whose name is taken by a local one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clashes: Vec<AgentName>,
    /// What stands in the way of the node itself, such as a full disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Trouble>,
    /// What the node trusts, and by which time it judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustState>,
    /// The last entry of the node's audit log, so that nobody on the node can tell another history later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Head>,
    /// The word of a token by which it asks to be taken into the fleet; until it follows a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Enrolment>,
    /// The machine.
    pub host: Host,
}

/// What the node trusts, and by which time it judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustState {
    /// The time.
    pub time: TimeState,
    /// The files of the director; none without a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub director: Option<TrustedFiles>,
    /// The files of the images; none without a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<TrustedFiles>,
}

/// How far the node's time is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeState {
    /// Whether it is proven that what is in force had not expired when it was judged by this time.
    pub freshness: Freshness,
    /// Where the time comes from.
    pub source: TimeSource,
    /// A time that has certainly passed, as it is kept.
    pub floor: Timestamp,
}

/// Where a time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeSource {
    /// Somebody trusted signed it, in this boot.
    Signed,
    /// The device's own clock.
    Clock,
}

/// The files of one repository that a node trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedFiles {
    /// The version of the root.
    pub root: u64,
    /// The version of the timestamp; no older release is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// When the first of them ends.
    pub expires: Timestamp,
}

impl TrustedFiles {
    /// What there is to tell of a set.
    pub fn of(set: &TrustedSet) -> Self {
        let ends = [
            Some(set.root().expires),
            set.timestamp().map(|file| file.expires),
            set.snapshot().map(|file| file.expires),
            set.targets().map(|file| file.expires),
        ];
        let expires = ends.into_iter().flatten().min().unwrap_or(Timestamp::MIN);
        let timestamp = set.timestamp().map(|file| file.version);
        Self { root: set.root().version, timestamp, expires }
    }
}

/// The most troubles that are told.
pub const TROUBLES_MAX: usize = 32;

/// Something that stands in the way of the node, and lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// One word for its kind, such as `disk-full`, that stays the same over versions.
    pub kind: String,
    /// What is wrong, in one sentence.
    pub what: String,
    /// Since when, in milliseconds since 1970 by the node's own clock, which may be wrong.
    pub since_ms: i64,
    /// What to do about it.
    pub next: String,
}

/// Which document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentRef {
    /// Its version.
    pub version: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// A document that was not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedDocument {
    /// The digest of the bytes as received.
    pub digest: Digest,
    /// The rule that it broke.
    pub reason: String,
    /// When, in milliseconds since 1970 by the node's clock.
    pub at_ms: i64,
    /// How often the same bytes came.
    pub count: u32,
}

/// The machine in a few facts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// The version of Skerry.
    pub version: String,
    /// Processor architecture.
    pub arch: String,
    /// Kernel release.
    pub kernel: String,
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kind of cgroup hierarchy.
    pub cgroup: String,
}

/// What a node says of its connection: retained, and left behind as its last will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// Who speaks.
    pub node: NodeName,
    /// Whether it is there.
    pub online: bool,
    /// Which boot of the device this is.
    pub boot_id: String,
}
