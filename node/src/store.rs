//! What the node must not forget: rows in a few spaces, committed together and durable at return.
//!
//! [`Store`] has two implementations: [`sled::SledStore`] on disk (within [`HealingStore`], which
//! outlives a disk that fails) and `memory::MemoryStore` for tests. No type of the database leaves
//! `store/`. Nobody may acknowledge anything to the outside before [`Store::commit`] has returned.

pub mod disk;
pub mod export;
pub mod healing;
pub mod memory;
pub mod sled;

pub use self::healing::HealingStore;
pub use self::sled::SledStore;

use std::path::PathBuf;

use disk::Fault;

/// A kind of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// The document in force.
    Document,
    /// The trusted metadata.
    Trust,
    /// Local wishes, by agent name.
    Local,
    /// Configs of local wishes, by name.
    Config,
    /// The book of jobs, one row.
    Jobs,
    /// Refused documents, one row.
    Refused,
    /// Counters that only grow.
    Counter,
    /// Messages that wait for the broker, by sequence number.
    Outbox,
    /// The time that has certainly passed, one row.
    Floor,
}

impl Space {
    /// Every space.
    pub const ALL: [Self; 9] = [
        Self::Document,
        Self::Trust,
        Self::Local,
        Self::Config,
        Self::Jobs,
        Self::Refused,
        Self::Counter,
        Self::Outbox,
        Self::Floor,
    ];

    /// The first byte of its keys.
    pub fn prefix(self) -> u8 {
        match self {
            Self::Document => b'd',
            Self::Trust => b't',
            Self::Local => b'l',
            Self::Config => b'g',
            Self::Jobs => b'j',
            Self::Refused => b'r',
            Self::Counter => b'c',
            Self::Outbox => b'o',
            Self::Floor => b'f',
        }
    }

    /// Whether its rows matter so much that they are kept a second and third time, in exports.
    pub fn is_exported(self) -> bool {
        matches!(self, Self::Document | Self::Trust | Self::Local | Self::Config | Self::Floor)
    }

    /// Whether its rows may use the last room on the disk. Those of the others can be made again, or
    /// come again.
    pub fn is_vital(self) -> bool {
        !matches!(self, Self::Refused | Self::Counter | Self::Outbox)
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// One row to write or, with no value, to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub space: Space,
    /// Under which key.
    pub key: Vec<u8>,
    /// What, or nothing to remove it.
    pub value: Option<Vec<u8>>,
}

impl Change {
    /// A row to write.
    pub fn put(space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { space, key: key.into(), value: Some(value.into()) }
    }

    /// A row to remove.
    pub fn remove(space: Space, key: impl Into<Vec<u8>>) -> Self {
        Self { space, key: key.into(), value: None }
    }
}

/// How sure a commit must be when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut.
    Durable,
    /// It may be lost by a power cut; for removals whose loss only repeats something harmless.
    Lazy,
}

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("state: cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The database refused.
    #[error("state: cannot {operation}: {source}")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// What that says of the disk.
        fault: Option<Fault>,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk does not let it be kept; it is tried again by itself.
    #[error("{why}{room}; see: skerry status")]
    Disk {
        /// What is wrong with the disk.
        fault: Fault,
        /// What was tried, and why not.
        why: String,
        /// How much room there is.
        room: String,
    },
    /// Another process has it open.
    #[error("state folder {path} is in use by another process; is a node already running?")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

impl StoreError {
    /// What it says of the disk; nothing, if it is about what is on it.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Io { source, .. } => Fault::of(source),
            Self::Database { fault, .. } => *fault,
            Self::Disk { fault, .. } => Some(*fault),
            Self::InUse { .. } => None,
        }
    }
}

/// Rows that survive.
pub trait Store: Send + Sync {
    /// One row.
    ///
    /// # Errors
    /// The database cannot be read.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// All rows of a space, in the order of their keys.
    ///
    /// # Errors
    /// The database cannot be read.
    fn scan(&self, space: Space) -> Result<Vec<Row>, StoreError>;

    /// Makes all changes or none.
    ///
    /// # Errors
    /// Nothing was changed for sure, or whether it was is unknown: the caller must not acknowledge.
    fn commit(&self, changes: &[Change], durability: Durability) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests;
