//! One message of the outbox: what it is, what it costs, and how it lies in a store.
//!
//! Pure. The stored form begins with its own version, since an older node's outbox must be read by a
//! newer node after an upgrade, and the other way round after a revert. Next: [`super::Outbox`].

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::topics::Up;

/// How much a message matters. What matters less is dropped first and sent last.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Telemetry, for example.
    Low,
    /// Logs and events.
    #[default]
    Normal,
    /// Replies.
    High,
    /// Reports: what the fleet must know.
    Vital,
}

impl Priority {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// Its place in an array of one number per priority; 0 is the lowest.
    pub fn index(self) -> usize {
        match self {
            Self::Low => 0,
            Self::Normal => 1,
            Self::High => 2,
            Self::Vital => 3,
        }
    }
}

/// A message for [`crate::Link::send`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// What it is.
    pub topic: Up,
    /// Its bytes.
    pub payload: Bytes,
    /// Whether the broker keeps it for those who subscribe later.
    pub retain: bool,
    /// How much it matters.
    pub priority: Priority,
    /// How long it is worth sending; whole seconds, at least one.
    pub ttl: Option<Duration>,
    /// Whether it makes an unsent older message of its topic pointless.
    pub latest_wins: bool,
    /// Whether it must survive the process.
    pub durable: bool,
}

impl Outgoing {
    /// A durable message of normal priority, not retained, without an end.
    pub fn new(topic: Up, payload: impl Into<Bytes>) -> Self {
        Self {
            topic,
            payload: payload.into(),
            retain: false,
            priority: Priority::Normal,
            ttl: None,
            latest_wins: false,
            durable: true,
        }
    }
}

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number; larger ones were queued later.
    pub seq: u64,
    /// The whole topic.
    pub topic: String,
    /// Its bytes.
    pub payload: Bytes,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// How much it matters.
    pub priority: Priority,
    /// For how many seconds it is worth sending.
    pub ttl_secs: Option<u32>,
    /// Whether it replaces an unsent older one of its topic.
    pub latest_wins: bool,
    /// Whether a store keeps it.
    pub durable: bool,
    /// When it was queued, in milliseconds since 1970, by a clock that may have been wrong.
    pub queued_millis: u64,
}

/// Why stored bytes are no entry.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They end too early.
    #[error("read a stored message: it is cut off after {len} bytes")]
    CutOff {
        /// How many bytes there are.
        len: usize,
    },
    /// Their form is not known here.
    #[error("read a stored message: form {form} is not known to this version")]
    Form {
        /// The form's number.
        form: u8,
    },
    /// The header is damaged.
    #[error("read a stored message's header: {source}")]
    Header {
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

const FORM: u8 = 1;
/// What a message costs beside topic and payload: indexes and bookkeeping.
const OVERHEAD: u64 = 128;
/// A publish packet's fixed header, lengths, packet id and expiry property, rounded up.
const PACKET_OVERHEAD: u64 = 32;

#[derive(Serialize, Deserialize)]
struct Header {
    seq: u64,
    topic: String,
    #[serde(default)]
    retain: bool,
    priority: Priority,
    #[serde(default)]
    ttl_secs: Option<u32>,
    #[serde(default)]
    latest_wins: bool,
    queued_millis: u64,
}

impl Entry {
    pub(super) fn new(seq: u64, topic: String, message: Outgoing, wall: Duration) -> Self {
        let seconds = |ttl: Duration| {
            let rounded_up = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
            u32::try_from(rounded_up.max(1)).unwrap_or(u32::MAX)
        };
        Self {
            seq,
            topic,
            payload: message.payload,
            retain: message.retain,
            priority: message.priority,
            ttl_secs: message.ttl.map(seconds),
            latest_wins: message.latest_wins,
            durable: message.durable,
            queued_millis: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The form in which a store keeps it.
    pub fn encode(&self) -> Vec<u8> {
        let header = Header {
            seq: self.seq,
            topic: self.topic.clone(),
            retain: self.retain,
            priority: self.priority,
            ttl_secs: self.ttl_secs,
            latest_wins: self.latest_wins,
            queued_millis: self.queued_millis,
        };
        // A struct of numbers and text always serialises; an empty header is refused on reading.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let length = u32::try_from(header.len()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(5 + header.len() + self.payload.len());
        bytes.push(FORM);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Reads what [`Entry::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are cut off, damaged, or of a later form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let cut_off = || DecodeError::CutOff { len: bytes.len() };
        let (form, rest) = bytes.split_first().ok_or_else(cut_off)?;
        if *form != FORM {
            return Err(DecodeError::Form { form: *form });
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (header, payload) = rest.split_at_checked(length).ok_or_else(cut_off)?;
        let header: Header =
            serde_json::from_slice(header).map_err(|source| DecodeError::Header { source })?;
        Ok(Self {
            seq: header.seq,
            topic: header.topic,
            payload: Bytes::copy_from_slice(payload),
            retain: header.retain,
            priority: header.priority,
            ttl_secs: header.ttl_secs,
            latest_wins: header.latest_wins,
            durable: true,
            queued_millis: header.queued_millis,
        })
    }

    /// What it costs in the outbox.
    pub fn cost(&self) -> u64 {
        self.payload.len() as u64 + self.topic.len() as u64 + OVERHEAD
    }

    /// The largest packet it can become.
    pub fn packet_size(&self) -> u64 {
        self.payload.len() as u64 + self.topic.len() as u64 + PACKET_OVERHEAD
    }

    pub(super) fn ttl(&self) -> Option<Duration> {
        self.ttl_secs.map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// How long it still holds when it is found in a store. When either clock was never set, or the
    /// clock went back, nobody knows how long the node was off: it starts anew.
    pub(super) fn remaining_after_restart(
        &self,
        wall: Duration,
        clock_was_set: Duration,
    ) -> Option<Duration> {
        let queued = Duration::from_millis(self.queued_millis);
        let known = queued >= clock_was_set && wall >= queued;
        let age = if known { wall - queued } else { Duration::ZERO };
        self.ttl().map(|ttl| ttl.saturating_sub(age))
    }
}
