//! Where the outbox is kept: the trait a node implements, and a store that forgets.
//!
//! A store does what it is told; it decides nothing. Next: [`super::Outbox`], which decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Entry;

/// A store failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} the outbox: {source}")]
pub struct StoreError {
    /// What was tried: `load`, `write`, …
    pub operation: &'static str,
    /// Why it failed.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// One thing a store has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Keep this entry, in place of the one with its number if there is one.
    Put(Entry),
    /// Forget the entry with this number.
    Remove(u64),
}

/// Keeps the entries of one outbox. It is called from the session's task and may block it for as long
/// as a write takes.
pub trait OutboxStore: Send {
    /// Every entry, in any order. Entries that cannot be read are left out, not an error.
    ///
    /// # Errors
    /// When the store itself cannot be read.
    fn load(&self) -> Result<Vec<Entry>, StoreError>;

    /// Keeps an entry, in place of the one with its number; durable when it returns.
    ///
    /// # Errors
    /// When it cannot be made durable.
    fn put(&self, entry: &Entry) -> Result<(), StoreError>;

    /// Forgets an entry. Need not be durable at once: it would be sent once more, no worse.
    ///
    /// # Errors
    /// When it cannot be forgotten.
    fn remove(&self, seq: u64) -> Result<(), StoreError>;

    /// Does several changes in order. Override it where a batch is cheaper than its parts.
    ///
    /// # Errors
    /// At the first change that fails.
    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        changes.iter().try_for_each(|change| match change {
            Change::Put(entry) => self.put(entry),
            Change::Remove(seq) => self.remove(*seq),
        })
    }
}

/// A store in memory, which outlives the session but not the process. Clones share their content.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<u64, Entry>>>);

impl MemoryStore {
    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.locked().len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutboxStore for MemoryStore {
    fn load(&self) -> Result<Vec<Entry>, StoreError> {
        Ok(self.locked().values().cloned().collect())
    }

    fn put(&self, entry: &Entry) -> Result<(), StoreError> {
        self.locked().insert(entry.seq, entry.clone());
        Ok(())
    }

    fn remove(&self, seq: u64) -> Result<(), StoreError> {
        self.locked().remove(&seq);
        Ok(())
    }
}
