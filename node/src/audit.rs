//! The audit log on this node: appends entries, keeps a bounded number, and hands them out signed.
//!
//! Entries go to segments below `audit/` in the state folder; the oldest segment makes room for the newest,
//! and what is lost by that is signed. Nothing is written when nothing happens. An entry that cannot be
//! written keeps nothing from happening: how many are missing is told by the next one. What an entry is,
//! is in [`skerry_core::audit`].

mod segments;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skerry_core::audit::{Event, Head, Kind, beginning, header};
use skerry_core::ids::{Digest, NodeName};
use skerry_core::trust::Freshness;
use skerry_core::trust::detached::DetachedError;

use crate::clock;
use crate::identity::Identity;
use segments::Segments;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file system refused.
    #[error("audit log: cannot {operation} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The node's word cannot be signed.
    #[error("audit log: {0}")]
    Sign(#[from] DetachedError),
    /// There is none.
    #[error("the audit log cannot be used; the node's own log says why")]
    Closed,
}

/// The log; clones lead to the same one. One without a folder forgets everything.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<Mutex<Log>>>);

struct Log {
    folder: PathBuf,
    /// None while the folder cannot be used.
    segments: Option<Segments>,
    identity: Arc<Identity>,
    node: NodeName,
    freshness: Option<Freshness>,
    /// Entries that could not be written since the last one that could.
    missed: u64,
}

impl Audit {
    /// Opens the log of a state folder, and goes on after its last whole entry. Where it cannot be opened the
    /// node runs all the same, and it is tried again with the next entry.
    pub fn open(state_dir: &Path, identity: Arc<Identity>, node: NodeName) -> Self {
        let folder = state_dir.join("audit");
        let mut log = Log { folder, segments: None, identity, node, freshness: None, missed: 0 };
        let _ = log.ready();
        Self(Some(Arc::new(Mutex::new(log))))
    }

    /// Appends an entry. It is durable when [`Audit::settle`] or [`Audit::head`] returns.
    pub fn note(&self, event: Event) {
        if let Some(mut log) = self.lock() {
            log.append(event);
        }
    }

    /// Makes all entries durable.
    pub fn settle(&self) {
        if let Some(mut log) = self.lock()
            && let Some(segments) = &mut log.segments
            && let Err(error) = segments.sync()
        {
            tracing::warn!(%error, "the audit log is not durable");
        }
    }

    /// Whether the node can prove now that what it follows is current; it stands in each entry.
    pub fn believes(&self, freshness: Freshness) {
        if let Some(mut log) = self.lock() {
            log.freshness = Some(freshness);
        }
    }

    /// The last entry, durable.
    pub fn head(&self) -> Option<Head> {
        self.settle();
        self.lock()?.segments.as_ref().map(Segments::head)
    }

    /// Whether this document is the last that was noted as accepted; so, too, where it cannot be told.
    pub fn has_accepted(&self, document: Digest) -> bool {
        let log = self.lock();
        let segments = log.as_ref().and_then(|log| log.segments.as_ref());
        segments
            .is_none_or(|segments| !segments.accepted().is_ok_and(|noted| noted != Some(document)))
    }

    /// The whole log, with its head signed by the node.
    ///
    /// # Errors
    /// It cannot be read or signed.
    pub fn export(&self) -> Result<Vec<u8>, AuditError> {
        let mut log = self.lock().ok_or(AuditError::Closed)?;
        let _ = log.ready();
        let Log { segments, identity, node, .. } = &mut *log;
        let segments = segments.as_mut().ok_or(AuditError::Closed)?;
        segments.sync()?;
        let (head, begin) = (segments.head(), segments.beginning()?);
        let mut export = header(identity.key(), node, clock::wall_ms(), head, begin)?;
        export.push(b'\n');
        segments.read_into(&mut export)?;
        Ok(export)
    }

    fn lock(&self) -> Option<MutexGuard<'_, Log>> {
        // Nobody leaves it half changed: every change is one assignment after a write.
        self.0.as_ref().map(|log| log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log {
    /// Opens the folder, unless that is done. The first words then are what was cut off, and which version of
    /// the program this is.
    fn ready(&mut self) -> bool {
        if self.segments.is_some() {
            return true;
        }
        let mut segments = match Segments::open(&self.folder, &self.identity.public()) {
            Ok(segments) => segments,
            Err(error) => {
                if self.missed == 0 {
                    tracing::error!(%error, "nothing is written to the audit log");
                }
                return false;
            }
        };
        let (cut, before) = (segments.cut, segments.version.take());
        self.segments = Some(segments);
        if cut > 0 {
            tracing::warn!(cut, "audit log: half an entry was cut off");
            let text = format!("{cut} bytes, which were no whole entry, were cut off");
            self.append(Event::new(Kind::Cut, "audit").detail(&text));
        }
        let version = env!("CARGO_PKG_VERSION");
        let kind = match before {
            Some(before) if before != version => Kind::Updated,
            _ => Kind::Began,
        };
        self.append(Event::new(kind, self.node.to_string()).detail(version));
        true
    }

    fn append(&mut self, event: Event) {
        if !self.ready() {
            self.missed += 1;
            return;
        }
        let missed = self.missed;
        if missed > 0 {
            let text = format!("{missed} entries could not be written");
            if self.write(Event::new(Kind::Missed, "audit").detail(&text)) {
                self.missed = 0;
            }
        }
        if self.missed > 0 || !self.write(event) {
            self.missed += 1;
        }
    }

    fn write(&mut self, event: Event) -> bool {
        let now = clock::wall_ms();
        let (key, node) = (self.identity.key(), &self.node);
        let Some(segments) = &mut self.segments else { return false };
        let (line, head) = segments.head().next(now, self.freshness, event);
        let sign = |last| beginning(key, node, now, last);
        match segments.append(line, head, sign) {
            Ok(()) => true,
            Err(error) => {
                if self.missed == 0 {
                    tracing::warn!(%error, "an entry of the audit log is not kept");
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
