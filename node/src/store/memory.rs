//! A store that forgets: for tests.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Change, Durability, Row, Space, Store, StoreError};

type Rows = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

/// Rows in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
}

impl Store for MemoryStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.get(&(space, key.to_vec())).cloned())
    }

    fn scan(&self, space: Space) -> Result<Vec<Row>, StoreError> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let of_space = rows.iter().filter(|((s, _), _)| *s == space);
        Ok(of_space.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, changes: &[Change], _: Durability) -> Result<(), StoreError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let key = (change.space, change.key.clone());
            match &change.value {
                Some(value) => drop(rows.insert(key, value.clone())),
                None => drop(rows.remove(&key)),
            }
        }
        Ok(())
    }
}
