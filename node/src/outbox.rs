//! The outbox's rows in the node's store.
//!
//! An adapter between the store and `skerry-sync`; it decides nothing.

use std::sync::Arc;

use skerry_sync::outbox::{Change as OutboxChange, Entry, OutboxStore, StoreError};

use crate::store::{Change, Durability, Space, Store};

/// The outbox in the node's store.
pub struct StoredOutbox(pub Arc<dyn Store>);

fn failed(operation: &'static str) -> impl FnOnce(crate::store::StoreError) -> StoreError {
    move |source| StoreError { operation, source: Box::new(source) }
}

impl OutboxStore for StoredOutbox {
    fn load(&self) -> Result<Vec<Entry>, StoreError> {
        let rows = self.0.scan(Space::Outbox).map_err(failed("load"))?;
        Ok(rows.iter().filter_map(|(_, value)| Entry::decode(value).ok()).collect())
    }

    fn put(&self, entry: &Entry) -> Result<(), StoreError> {
        self.apply(&[OutboxChange::Put(entry.clone())])
    }

    fn remove(&self, seq: u64) -> Result<(), StoreError> {
        self.apply(&[OutboxChange::Remove(seq)])
    }

    fn apply(&self, changes: &[OutboxChange]) -> Result<(), StoreError> {
        let rows: Vec<_> = changes
            .iter()
            .map(|change| match change {
                OutboxChange::Put(entry) => {
                    Change::put(Space::Outbox, entry.seq.to_be_bytes(), entry.encode())
                }
                OutboxChange::Remove(seq) => Change::remove(Space::Outbox, seq.to_be_bytes()),
            })
            .collect();
        // A removal that is lost is sent once more, no worse; a message that is lost is gone.
        let durability = match changes.iter().any(|c| matches!(c, OutboxChange::Put(_))) {
            true => Durability::Durable,
            false => Durability::Lazy,
        };
        self.0.commit(&rows, durability).map_err(failed("write"))
    }
}
