//! The book of jobs, kept in the store: written before anything that it says is done.

use std::sync::Arc;

use skerry_core::book::{Book, Now};
use skerry_core::desired::{Desired, RunRef};
use skerry_core::observed::Observed;
use skerry_core::time::Tick;

use super::Reconciler;
use crate::clock;
use crate::ledger::{ONLY, put};
use crate::store::{Durability, Space, Store, StoreError};
use crate::zone;

/// The book, where it is kept, and the boot that it is read in.
pub(super) struct Kept {
    pub(super) book: Book,
    /// The store could not be read: what is in it must not be overwritten.
    unread: bool,
    store: Arc<dyn Store>,
    boot: String,
}

impl Kept {
    /// Reads the book. One that makes no sense is begun anew, and said: agents must not wait for it.
    /// While the store cannot be read no job begins.
    pub(super) fn load(store: Arc<dyn Store>) -> std::io::Result<Self> {
        let mut kept = Self { book: Book::default(), unread: true, store, boot: clock::boot()? };
        if let Err(error) = kept.read() {
            tracing::error!(%error, "the book of jobs cannot be read yet");
        }
        Ok(kept)
    }

    fn read(&mut self) -> Result<(), StoreError> {
        if self.unread {
            let row = self.store.get(Space::Jobs, ONLY)?;
            self.book = row.map_or_else(Book::default, |row| {
                serde_json::from_slice(&row).unwrap_or_else(|error| {
                    tracing::error!(%error, "the book of jobs makes no sense: begun anew");
                    Book::default()
                })
            });
            self.unread = false;
        }
        Ok(())
    }

    fn now(&self) -> Now<'_> {
        Now { tick: clock::tick(), wall_ms: clock::wall_ms(), boot: &self.boot }
    }

    fn save(&mut self, next: Book) -> Result<(), StoreError> {
        self.store.commit(&[put(Space::Jobs, ONLY, &next)], Durability::Durable)?;
        self.book = next;
        Ok(())
    }
}

impl Reconciler {
    /// Lets the book take its turn; returns when it must be looked at again. What cannot be written
    /// down does not happen.
    pub(super) fn turn_book(&mut self, desired: &Desired, observed: &Observed) -> Option<Tick> {
        let kept = &mut self.kept;
        if let Err(error) = kept.read() {
            tracing::debug!(%error, "the book of jobs cannot be read yet");
            let waits = !desired.jobs.is_empty();
            return waits.then(|| clock::tick().after(super::span(super::STORE_AGAIN)));
        }
        if desired.jobs.is_empty() && kept.book == Book::default() {
            return None;
        }
        let mut next = kept.book.clone();
        let turn = next.turn(desired, observed, &self.memory, &zone::find, kept.now(), random);
        if !turn.changed {
            kept.book = next;
            return turn.wake_at;
        }
        match kept.save(next) {
            Ok(()) => turn.wake_at,
            Err(error) => {
                tracing::error!(%error, "the book of jobs cannot be written: no job begins");
                Some(clock::tick().after(super::span(super::STORE_AGAIN)))
            }
        }
    }

    /// Writes down that a run of a job is started.
    pub(super) fn note_attempt(&mut self, run: &RunRef) -> Result<(), StoreError> {
        let mut next = self.kept.book.clone();
        if next.starting(run, self.kept.now()) { self.kept.save(next) } else { Ok(()) }
    }
}

fn random() -> u32 {
    let mut raw = [0; 4];
    // Two runs of one job have different times as well.
    let _ = getrandom::fill(&mut raw);
    u32::from_ne_bytes(raw)
}
