//! Whether an exported log is whole: every entry there, as it was written, up to the head that the node signed.
//!
//! Decides by hashes and two signatures alone. What it cannot see: a node whose own key was used to sign
//! another history. Against that the fleet holds the head that the node's reports named.

use super::{BEGIN_FORMAT, EXPORT_MAX, Entry, HEAD_FORMAT, Head, Header, Statement};
use crate::ids::NodeName;
use crate::trust::PublicKey;
use crate::trust::detached::{self, DetachedError};

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// More bytes than are looked at.
    #[error("a log of {actual} bytes is more than the {EXPORT_MAX} allowed")]
    TooLarge {
        /// What came.
        actual: usize,
    },
    /// The first line is not the node's signed word.
    #[error(
        "the first line is not the head of an audit log ({source}); export it with: skerry audit export FILE"
    )]
    Header {
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The node's word about one end of the chain is not its own.
    #[error("the {end} of the log is not signed by the node: {source}")]
    Signature {
        /// Which end.
        end: &'static str,
        /// Why not.
        source: DetachedError,
    },
    /// It is signed, and says something else.
    #[error("the {end} of the log is signed, and no word about an audit log ('{format}')")]
    Statement {
        /// Which end.
        end: &'static str,
        /// What it is.
        format: String,
    },
    /// A line is no entry.
    #[error("line {line}, where entry {seq} belongs, is no entry: {source}")]
    Malformed {
        /// The line.
        line: usize,
        /// The entry that belongs there.
        seq: u64,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Entries were removed.
    #[error("entries {first} to {last} are missing: entry {next} follows entry {after}", next = last + 1, after = first - 1)]
    Gap {
        /// The first that is missing.
        first: u64,
        /// The last that is missing.
        last: u64,
    },
    /// Entries were put in another order.
    #[error(
        "entry {found} stands where entry {expected} belongs: entries were reordered or repeated"
    )]
    Order {
        /// What belongs there.
        expected: u64,
        /// What stands there.
        found: u64,
    },
    /// An entry was changed after it was written.
    #[error("entry {seq} was changed: {by} names another hash than it has now")]
    Changed {
        /// Which.
        seq: u64,
        /// Who tells.
        by: String,
    },
    /// The first entry is not where the node says that its log begins.
    #[error(
        "entries before entry {first} are missing, and the node signed no word that they made room"
    )]
    Beginning {
        /// The first that is there.
        first: u64,
    },
    /// The end is missing.
    #[error(
        "the end is missing: entry {last} is the last one here, and the node signed up to entry {head}"
    )]
    Truncated {
        /// The last that is there.
        last: u64,
        /// The last that was signed.
        head: u64,
    },
    /// Entries were added.
    #[error(
        "entries were added: entry {last} is the last one here, and the node signed up to entry {head}"
    )]
    Added {
        /// The last that is there.
        last: u64,
        /// The last that was signed.
        head: u64,
    },
}

/// A log that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Whose.
    pub node: NodeName,
    /// When it was exported, by the node's own clock.
    pub at_ms: i64,
    /// The hash of the entry before the first; with the entries, all heads there were.
    pub begin: Head,
    /// The last entry.
    pub head: Head,
    /// The entries that are kept.
    pub entries: Vec<Entry>,
    /// Each entry's head, in the same order.
    pub heads: Vec<Head>,
}

/// Checks an exported log against the key of its node.
///
/// # Errors
/// The first thing that is wrong, with the entry.
pub fn verify(export: &[u8], key: &PublicKey) -> Result<Checked, AuditError> {
    if export.len() > EXPORT_MAX {
        return Err(AuditError::TooLarge { actual: export.len() });
    }
    let text = export.strip_suffix(b"\n").unwrap_or(export);
    let mut lines = text.split(|byte| *byte == b'\n');
    let header: Header = serde_json::from_slice(lines.next().unwrap_or_default())
        .map_err(|source| AuditError::Header { source })?;
    let end = open("head", HEAD_FORMAT, &header.head, key)?;
    let begin = match &header.begin {
        Some(begin) => open("beginning", BEGIN_FORMAT, begin, key)?.head,
        None => Head::start(),
    };
    let (mut last, mut entries, mut heads) = (begin, Vec::new(), Vec::new());
    for (at, line) in lines.enumerate() {
        let (head, entry) = follow(at + 2, line, last, begin)?;
        if head.seq > end.head.seq {
            return Err(AuditError::Added { last: head.seq, head: end.head.seq });
        }
        last = head;
        heads.push(head);
        entries.push(entry);
    }
    if last.seq < end.head.seq {
        return Err(AuditError::Truncated { last: last.seq, head: end.head.seq });
    }
    if last.digest != end.head.digest {
        return Err(AuditError::Changed { seq: last.seq, by: "the signed head".to_owned() });
    }
    let Statement { node, at_ms, .. } = end;
    Ok(Checked { node, at_ms, begin, head: last, entries, heads })
}

/// The number of the last entry that made room, by the node's signed word.
pub fn made_room(word: &str, key: &PublicKey) -> Option<u64> {
    open("beginning", BEGIN_FORMAT, word, key).ok().map(|begin| begin.head.seq)
}

/// One entry after another.
fn follow(line: usize, bytes: &[u8], last: Head, begin: Head) -> Result<(Head, Entry), AuditError> {
    let expected = last.seq.saturating_add(1);
    let (head, entry) = Head::of(bytes).ok_or_else(|| malformed(line, expected, bytes))?;
    let found = entry.seq;
    if found > expected && last == begin {
        return Err(AuditError::Beginning { first: found });
    }
    if found > expected {
        return Err(AuditError::Gap { first: expected, last: found - 1 });
    }
    if found < expected {
        return Err(AuditError::Order { expected, found });
    }
    if entry.prev != last.digest {
        let by = format!("entry {found}");
        return Err(AuditError::Changed { seq: last.seq, by });
    }
    Ok((head, entry))
}

fn malformed(line: usize, seq: u64, bytes: &[u8]) -> AuditError {
    match serde_json::from_slice::<Entry>(bytes) {
        Err(source) => AuditError::Malformed { line, seq, source },
        // It was read just now, and not taken.
        Ok(entry) => AuditError::Order { expected: seq, found: entry.seq },
    }
}

fn open(
    end: &'static str,
    format: &str,
    sealed: &str,
    key: &PublicKey,
) -> Result<Statement, AuditError> {
    let text = detached::open(sealed.as_bytes(), key)
        .map_err(|source| AuditError::Signature { end, source })?;
    let other = |format: &str| AuditError::Statement { end, format: format.to_owned() };
    let statement: Statement =
        serde_json::from_slice(text.payload().as_bytes()).map_err(|_| other("unreadable"))?;
    if statement.format != format || statement.public_key != *key {
        return Err(other(&statement.format));
    }
    Ok(statement)
}
