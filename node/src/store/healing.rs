//! The store as the node has it: it goes on when the disk does not.
//!
//! A database that failed keeps its error until it is opened anew. So after a commit that failed it is
//! closed, and opened again when somebody asks, or by a timer ([`HealingStore::heal`]) for as long as
//! the trouble lasts. While it is shut, the rows that matter are read from their export, and whatever
//! would be written is refused with the reason. What is full degrades in this order: logs (the
//! monitors drop and count), reports and the outbox, and last of all the document and local wishes,
//! for which a reserve is held. Next: `disk.rs`, `sled.rs`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::disk::{Fault, Reserve, Room};
use super::sled::{Opened, SledStore};
use super::{Change, Durability, Row, Space, Store, StoreError, export};
use crate::cli::bytes;
use crate::troubles::{Kind, Troubles};

/// The first pause before a shut store is tried again by itself.
const FIRST: Duration = Duration::from_secs(1);
/// And the longest.
const LAST: Duration = Duration::from_secs(30);
/// Who asks more often than this gets the last answer again.
const FRESH: Duration = Duration::from_millis(250);

/// The store on disk, which heals.
pub struct HealingStore {
    folder: PathBuf,
    inner: Mutex<Inner>,
    reserve: Reserve,
    troubles: Troubles,
    hurt: Notify,
}

enum Inner {
    Open(SledStore),
    Shut(Shut),
}

struct Shut {
    fault: Fault,
    why: String,
    tried: Instant,
}

impl HealingStore {
    /// Opens the store in `folder`. One that cannot be opened because of its disk is shut at first,
    /// if there is an export to go by.
    ///
    /// # Errors
    /// Another process has it open, or nothing can be known of what was in it.
    pub fn open(
        folder: &Path,
        troubles: Troubles,
    ) -> Result<(Arc<Self>, Option<String>), StoreError> {
        let reserve = Reserve::of(folder);
        let mut opened = SledStore::open(folder);
        if let Err(error) = &opened
            && error.fault() == Some(Fault::Full)
            && reserve.give_up()
        {
            opened = SledStore::open(folder);
        }
        let (inner, notice) = match opened {
            Ok(Opened { store, notice }) => (Inner::Open(store), notice),
            Err(error) => match error.fault() {
                Some(fault) if export::newest(folder).is_some() => {
                    (Inner::Shut(Shut::new(fault, &error)), None)
                }
                _ => return Err(error),
            },
        };
        let shut = matches!(inner, Inner::Shut(_));
        let folder = folder.to_owned();
        let store =
            Self { folder, inner: Mutex::new(inner), reserve, troubles, hurt: Notify::new() };
        if shut || (!store.reserve.take() && store.reserve.is_missed()) {
            store.tell(&store.lock());
        }
        Ok((Arc::new(store), notice))
    }

    /// Tries a store that is shut again by itself, and takes the reserve again when there is room,
    /// for as long as either is needed. Never returns.
    pub async fn heal(self: Arc<Self>) {
        loop {
            self.hurt.notified().await;
            let mut pause = FIRST;
            loop {
                tokio::time::sleep(pause).await;
                if self.mend() {
                    break;
                }
                pause = (pause * 2).min(LAST);
            }
        }
    }

    /// Looks at the disk now, for whoever asks how the node is.
    pub fn look(&self) {
        let inner = self.lock();
        let fault = Room::of(&self.folder).and_then(|room| room.fault());
        if fault.is_some() || matches!(&*inner, Inner::Shut(_)) {
            self.tell(&inner);
        }
    }

    /// One attempt; `true` when nothing is left to do.
    fn mend(&self) -> bool {
        let mut inner = self.lock();
        if let Inner::Shut(_) = &*inner
            && let Err(error) = self.reopen(&mut inner, true)
        {
            tracing::debug!(%error, "the store stays shut");
        }
        let whole = matches!(&*inner, Inner::Open(_))
            && Room::of(&self.folder).is_none_or(|room| room.fault().is_none())
            && (self.reserve.take() || !self.reserve.is_missed());
        if whole {
            for kind in [Kind::DiskFull, Kind::DiskReadOnly, Kind::Store] {
                self.troubles.clear(kind, "");
            }
        } else {
            self.tell(&inner);
        }
        whole
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a shut store. What failed before must not come into force behind the caller's back:
    /// rows that matter are as of the last commit that was answered.
    fn reopen(&self, inner: &mut Inner, vital: bool) -> Result<(), StoreError> {
        let mut opened = SledStore::open_again(&self.folder);
        if let Err(error) = &opened
            && vital
            && error.fault() == Some(Fault::Full)
            && self.reserve.give_up()
        {
            tracing::warn!("the disk is full: the reserve is given up");
            opened = SledStore::open_again(&self.folder);
        }
        match opened {
            Ok(store) => {
                *inner = Inner::Open(store);
                Ok(())
            }
            Err(error) => {
                *inner = Inner::Shut(Shut::new(error.fault().unwrap_or(Fault::Broken), &error));
                Err(error)
            }
        }
    }

    /// Commits to an open store, or to one that opens; a failure shuts it.
    fn attempt(
        &self,
        inner: &mut Inner,
        changes: &[Change],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let Inner::Open(store) = inner else {
            let vital = changes.iter().any(|change| change.space.is_vital());
            self.reopen(inner, vital)?;
            return match inner {
                Inner::Open(_) => self.attempt(inner, changes, durability),
                Inner::Shut(shut) => Err(self.refusal(shut)),
            };
        };
        let done = store.commit(changes, durability);
        if let Err(error) = &done {
            *inner = Inner::Shut(Shut::new(error.fault().unwrap_or(Fault::Broken), error));
        }
        done
    }

    fn refusal(&self, shut: &Shut) -> StoreError {
        let room = Room::of(&self.folder).map_or_else(String::new, |room| {
            let (free, all) = (bytes(room.free), bytes(room.all));
            format!("; {free} of {all} are free at {}", self.folder.display())
        });
        StoreError::Disk { fault: shut.fault, why: shut.why.clone(), room }
    }

    /// Puts on the list what is wrong, and wakes the one who mends.
    fn tell(&self, inner: &Inner) {
        let fault = match inner {
            Inner::Shut(shut) => Some(shut.fault),
            Inner::Open(_) => Room::of(&self.folder).and_then(|room| room.fault()),
        };
        let at = self.folder.display();
        let (kind, what, next) = match (fault, inner) {
            (Some(Fault::ReadOnly), _) => (
                Kind::DiskReadOnly,
                format!("the disk of {at} is read-only: agents go on, and nothing new is kept"),
                "look into the kernel's log for why, repair the disk, mount it writable",
            ),
            (Some(Fault::Broken), Inner::Shut(shut)) => (
                Kind::Store,
                format!(
                    "the state cannot be used: {}; agents go on, and nothing new is kept",
                    shut.why
                ),
                "see: skerry check; look into the kernel's log for errors of the disk",
            ),
            (Some(Fault::Full), Inner::Shut(_)) => (
                Kind::DiskFull,
                format!("the disk of {at} is full: agents go on, and nothing new is kept"),
                "make room: skerry image prune, or remove other files; the node then goes on by itself",
            ),
            _ => (
                Kind::DiskFull,
                format!("the disk of {at} is all but full: logs and reports may be lost"),
                "make room: skerry image prune, or remove other files",
            ),
        };
        self.troubles.raise(kind, "", &what, next);
        for other in [Kind::DiskFull, Kind::DiskReadOnly, Kind::Store] {
            if other != kind {
                self.troubles.clear(other, "");
            }
        }
        self.hurt.notify_one();
    }

    fn exported(&self, space: Space) -> Result<Vec<Row>, StoreError> {
        let inner = self.lock();
        let Inner::Shut(shut) = &*inner else { return Ok(Vec::new()) };
        let export = export::newest(&self.folder).filter(|_| space.is_exported());
        let export = export.ok_or_else(|| self.refusal(shut))?;
        let prefix = [space.prefix(), b'/'];
        let rows = export.rows.into_iter();
        let rows =
            rows.filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_vec(), value)));
        Ok(rows.collect())
    }
}

impl Shut {
    fn new(fault: Fault, why: &StoreError) -> Self {
        Self { fault, why: why.to_string(), tried: Instant::now() }
    }
}

impl Store for HealingStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Inner::Open(store) = &*self.lock() {
            return store.get(space, key);
        }
        let rows = self.exported(space)?;
        Ok(rows.into_iter().find(|(found, _)| found == key).map(|(_, value)| value))
    }

    fn scan(&self, space: Space) -> Result<Vec<Row>, StoreError> {
        if let Inner::Open(store) = &*self.lock() {
            return store.scan(space);
        }
        self.exported(space)
    }

    fn commit(&self, changes: &[Change], durability: Durability) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let vital = changes.iter().any(|change| change.space.is_vital());
        if let Inner::Shut(shut) = &*inner
            && (!vital || shut.tried.elapsed() < FRESH)
        {
            return Err(self.refusal(shut));
        }
        // What room there is, is kept for what matters more. Numbers for reports are one row in weeks,
        // and without them the fleet would hear nothing of the trouble.
        let is_counter = changes.iter().all(|change| change.space == Space::Counter);
        let spared = is_counter && Room::of(&self.folder).is_none_or(|room| room.fault().is_none());
        if !vital && !spared && self.troubles.has(Kind::DiskFull) {
            return Err(self.refusal(&Shut {
                fault: Fault::Full,
                why: "the disk is full".to_owned(),
                tried: Instant::now(),
            }));
        }
        let was_open = matches!(&*inner, Inner::Open(_));
        let mut done = self.attempt(&mut inner, changes, durability);
        if done.is_err() && was_open {
            // The error may be the database's memory of an earlier one, and the reserve may help.
            done = self.attempt(&mut inner, changes, durability);
        }
        if done.is_err() && vital && self.reserve.give_up() {
            done = self.attempt(&mut inner, changes, durability);
        }
        if done.is_ok() && self.reserve.is_kept() {
            return Ok(());
        }
        match (&done, &*inner) {
            (Ok(()), _) if !self.reserve.is_missed() => Ok(()),
            (Err(_), Inner::Shut(shut)) => {
                let refusal = self.refusal(shut);
                self.tell(&inner);
                Err(refusal)
            }
            _ => {
                self.tell(&inner);
                done
            }
        }
    }
}

#[cfg(test)]
mod tests;
