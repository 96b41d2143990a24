//! The store on disk: sled, opened and closed the way that measurements taught.
//!
//! - `snap.*.generating`, left by a crash while a snapshot was written, makes every later open fail:
//!   exactly those files are removed before it.
//! - `flush` is not fsync: the database's file is synced after it.
//! - No flush timer: durability is explicit. The worker threads would still wake once a second each
//!   with nothing to do: they inherit a timer slack that lets them sleep.
//! - It is compared with the exports ([`super::export`]) at open. If it cannot be read, or is behind
//!   them, it is moved aside and made again from the newest whole export. An error of the disk (no
//!   room, read-only, a read that fails) says nothing of what is on it, and moves nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::disk::Fault;
use super::export::{self, Export};
use super::{Change, Durability, Row, Space, Store, StoreError};

const GENERATION: &[u8] = b"m/generation";
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Pages kept in memory; the state of a node is small.
const CACHE_BYTES: u64 = 1 << 20;
/// An hour, in nanoseconds: how late an idle worker's timer may be.
const SLACK_NS: u64 = 3_600_000_000_000;

/// The database on disk.
pub struct SledStore {
    db: ::sled::Db,
    folder: PathBuf,
    /// The generation of the last commit of rows that matter; held over commit and export.
    generation: Mutex<u64>,
}

/// A store and how it came to be.
pub struct Opened {
    /// The store.
    pub store: SledStore,
    /// What the operator should know, if it was not opened in the ordinary way.
    pub notice: Option<String>,
}

impl SledStore {
    /// Opens the store in `folder`, makes it if there is none, and makes it again from an export if
    /// it cannot be trusted.
    ///
    /// # Errors
    /// The folder cannot be used, or another process has the store open. Both are fatal: there is no
    /// other place for state.
    pub fn open(folder: &Path) -> Result<Opened, StoreError> {
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        let database = folder.join("sled");
        let best = export::newest(folder);
        let opened = Self::open_database(&database);
        let opened = opened.and_then(|db| generation(&db).map(|found| (db, found)));
        let trouble = match opened {
            Ok((db, found)) => match best.as_ref().map(|export| export.generation) {
                Some(kept) if found < kept => {
                    format!("generation {found} found where the export has {kept}")
                }
                kept => {
                    let store = Self::with(db, folder, found);
                    if kept.is_none() {
                        // So that a database without one is known to have been lost.
                        store.export(found)?;
                    }
                    return Ok(Opened { store, notice: None });
                }
            },
            Err(error @ StoreError::InUse { .. }) => return Err(error),
            Err(error) if error.fault().is_some() => return Err(error),
            Err(error) => error.to_string(),
        };
        Self::rebuild(folder, &database, best, &trouble)
    }

    /// Opens the store again after a commit that failed: rows that matter are as they were exported
    /// last, whatever of that commit has reached the disk.
    ///
    /// # Errors
    /// As [`SledStore::open`].
    pub fn open_again(folder: &Path) -> Result<Self, StoreError> {
        let store = Self::open(folder)?.store;
        let Some(export) = export::newest(folder) else { return Ok(store) };
        let mut generation = store.generation.lock().unwrap_or_else(PoisonError::into_inner);
        if export.generation < *generation {
            let mut batch = ::sled::Batch::default();
            for (key, _) in store.exported()? {
                batch.remove(key);
            }
            for (key, value) in export.rows {
                batch.insert(key, value);
            }
            batch.insert(GENERATION, &export.generation.to_be_bytes());
            with_timer_slack(|| {
                store.db.apply_batch(batch).map_err(database_error("restore"))?;
                store.sync()
            })?;
            *generation = export.generation;
        }
        drop(generation);
        Ok(store)
    }

    /// Opens and closes a store that is there, and says what [`SledStore::open`] would have to repair.
    ///
    /// # Errors
    /// It cannot be opened, or another process has it open.
    pub fn inspect(folder: &Path) -> Result<Option<String>, StoreError> {
        let found = generation(&Self::open_database(&folder.join("sled"))?)?;
        let kept = export::newest(folder).map_or(0, |export| export.generation);
        let behind = format!("generation {found} found where the export has {kept}");
        Ok((found < kept).then_some(behind))
    }

    fn with(db: ::sled::Db, folder: &Path, generation: u64) -> Self {
        Self { db, folder: folder.to_owned(), generation: Mutex::new(generation) }
    }

    fn open_database(path: &Path) -> Result<::sled::Db, StoreError> {
        remove_unfinished_snapshots(path)?;
        let begun = Instant::now();
        loop {
            match with_timer_slack(|| Self::config(path).open()) {
                // After a kill the old process may hold its lock for a moment.
                Err(::sled::Error::Io(error)) if is_lock(&error) => {
                    if begun.elapsed() > LOCK_PATIENCE {
                        return Err(StoreError::InUse { path: path.to_owned() });
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(database_error("open")(error)),
                Ok(db) => return Ok(db),
            }
        }
    }

    fn config(path: &Path) -> ::sled::Config {
        ::sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(::sled::Mode::LowSpace)
    }

    fn rebuild(
        folder: &Path,
        database: &Path,
        best: Option<Export>,
        trouble: &str,
    ) -> Result<Opened, StoreError> {
        let aside = folder.join("sled.bad");
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(io("remove", &aside))?;
        }
        if database.exists() {
            fs::rename(database, &aside).map_err(io("move aside", database))?;
        }
        let made = Self::make_again(folder, database, &best);
        if made.is_err() && aside.exists() {
            // The next attempt must find what this one found.
            let _ = fs::remove_dir_all(database);
            fs::rename(&aside, database).map_err(io("move back", &aside))?;
        }
        let store = made?;
        let found = best.as_ref().map_or(0, |e| e.generation);
        let outcome = match &best {
            Some(_) => format!("made again from the export of generation {found}"),
            None => "no whole export was found, so it begins empty".to_owned(),
        };
        let notice = format!(
            "state was unusable ({trouble}); {outcome}; the bad one is {}",
            aside.display()
        );
        Ok(Opened { store, notice: Some(notice) })
    }

    fn make_again(
        folder: &Path,
        database: &Path,
        best: &Option<Export>,
    ) -> Result<Self, StoreError> {
        let db = Self::open_database(database)?;
        let found = best.as_ref().map_or(0, |export| export.generation);
        let store = Self::with(db, folder, found);
        let mut batch = ::sled::Batch::default();
        for (key, value) in best.iter().flat_map(|export| &export.rows) {
            batch.insert(key.as_slice(), value.as_slice());
        }
        batch.insert(GENERATION, &found.to_be_bytes());
        store.db.apply_batch(batch).map_err(database_error("rebuild"))?;
        store.sync()?;
        if best.is_none() {
            store.export(found)?;
        }
        Ok(store)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(database_error("flush"))?;
        let file = self.folder.join("sled").join("db");
        fs::File::open(&file).and_then(|f| f.sync_all()).map_err(io("sync", &file))
    }

    fn export(&self, generation: u64) -> Result<(), StoreError> {
        export::write(&self.folder, &Export { generation, rows: self.exported()? })
    }

    fn exported(&self) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for space in Space::ALL.into_iter().filter(|s| s.is_exported()) {
            for row in self.db.scan_prefix([space.prefix(), b'/']) {
                let (key, value) = row.map_err(database_error("read"))?;
                rows.push((key.to_vec(), value.to_vec()));
            }
        }
        Ok(rows)
    }
}

impl Store for SledStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.db.get(full_key(space, key)).map_err(database_error("read"))?;
        Ok(row.map(|value| value.to_vec()))
    }

    fn scan(&self, space: Space) -> Result<Vec<Row>, StoreError> {
        self.db
            .scan_prefix([space.prefix(), b'/'])
            .map(|row| {
                let (key, value) = row.map_err(database_error("read"))?;
                Ok((key.get(2..).unwrap_or_default().to_vec(), value.to_vec()))
            })
            .collect()
    }

    fn commit(&self, changes: &[Change], durability: Durability) -> Result<(), StoreError> {
        let mut generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let matters = changes.iter().any(|c| c.space.is_exported());
        let mut batch = ::sled::Batch::default();
        for change in changes {
            let key = full_key(change.space, &change.key);
            match &change.value {
                Some(value) => batch.insert(key, value.as_slice()),
                None => batch.remove(key),
            }
        }
        if matters {
            *generation += 1;
            batch.insert(GENERATION, &generation.to_be_bytes());
        }
        with_timer_slack(|| {
            self.db.apply_batch(batch).map_err(database_error("write"))?;
            if durability == Durability::Durable { self.sync() } else { Ok(()) }
        })?;
        if matters { self.export(*generation) } else { Ok(()) }
    }
}

fn full_key(space: Space, key: &[u8]) -> Vec<u8> {
    [&[space.prefix(), b'/'], key].concat()
}

fn generation(db: &::sled::Db) -> Result<u64, StoreError> {
    let row = db.get(GENERATION).map_err(database_error("read"))?;
    let raw = row.and_then(|value| <[u8; 8]>::try_from(value.as_ref()).ok());
    Ok(raw.map_or(0, u64::from_be_bytes))
}

/// Removes exactly the files of snapshots that were being written, never a finished one.
fn remove_unfinished_snapshots(path: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // Whatever it is, it is no database: the database says so.
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(()),
        Err(source) => return Err(io("read", path)(source)),
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Threads made within inherit a timer slack of an hour, so that idle ones let the device sleep.
/// They are still woken at once when there is work. sled makes them whenever it first needs them:
/// so every call that may is within.
fn with_timer_slack<T>(open: impl FnOnce() -> T) -> T {
    let before = rustix::thread::current_timer_slack().unwrap_or(50_000);
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(SLACK_NS));
    let opened = open();
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(before));
    opened
}

fn is_lock(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("lock")
}

fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { operation, path, source }
}

fn database_error(operation: &'static str) -> impl FnOnce(::sled::Error) -> StoreError {
    move |error| {
        let fault = match &error {
            ::sled::Error::Io(error) => Fault::of(error),
            _ => None,
        };
        StoreError::Database { operation, fault, source: Box::new(error) }
    }
}
