//! The audit log on this node: appends entries, keeps a bounded number, and hands them out signed.
//!
//! Entries go to segments below `audit/` in the state folder; the oldest segment makes room for the newest,
//! and what is lost by that is signed. Nothing is written when nothing happens. An entry that cannot be
//! written keeps nothing from happening: how many are missing is told by the next one. What an entry is,
//! is in [`skerry_core::audit`].

mod segments;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skerry_core::audit::{Event, Head, Kind, beginning, header};
use skerry_core::ids::NodeName;
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
        path: std::path::PathBuf,
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
    segments: Segments,
    identity: Arc<Identity>,
    node: NodeName,
    freshness: Option<Freshness>,
    /// Entries that could not be written since the last one that could.
    missed: u64,
}

impl Audit {
    /// Opens the log of a state folder, and goes on after its last whole entry. Without it the node runs all
    /// the same: an error is told, and the log stays closed.
    pub fn open(state_dir: &Path, identity: Arc<Identity>, node: NodeName) -> Self {
        match Segments::open(&state_dir.join("audit"), &identity.public()) {
            Ok(segments) => {
                let log = Log { segments, identity, node, freshness: None, missed: 0 };
                let audit = Self(Some(Arc::new(Mutex::new(log))));
                audit.begin();
                audit
            }
            Err(error) => {
                tracing::error!(%error, "nothing is written to the audit log");
                Self(None)
            }
        }
    }

    /// The first words of a process: what was cut off, and which version of the program this is.
    fn begin(&self) {
        let Some(mut log) = self.lock() else { return };
        let cut = std::mem::take(&mut log.segments.cut);
        if cut > 0 {
            let text = format!("{cut} bytes, which were no whole entry, were cut off");
            tracing::warn!(cut, "audit log: half an entry was cut off");
            log.append(Event::new(Kind::Cut, "audit").detail(&text));
        }
        let version = env!("CARGO_PKG_VERSION");
        let before = std::mem::take(&mut log.segments.version);
        let kind = match before {
            Some(before) if before != version => Kind::Updated,
            _ => Kind::Began,
        };
        let node = log.node.to_string();
        log.append(Event::new(kind, node).detail(version));
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
            && let Err(error) = log.segments.sync()
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
        self.lock().map(|log| log.segments.head())
    }

    /// The whole log, with its head signed by the node.
    ///
    /// # Errors
    /// It cannot be read or signed.
    pub fn export(&self) -> Result<Vec<u8>, AuditError> {
        let mut log = self.lock().ok_or(AuditError::Closed)?;
        log.segments.sync()?;
        let (head, begin) = (log.segments.head(), log.segments.beginning()?);
        let mut export = header(log.identity.key(), &log.node, clock::wall_ms(), head, begin)?;
        export.push(b'\n');
        log.segments.read_into(&mut export)?;
        Ok(export)
    }

    fn lock(&self) -> Option<MutexGuard<'_, Log>> {
        // Nobody leaves it half changed: every change is one assignment after a write.
        self.0.as_ref().map(|log| log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log {
    fn append(&mut self, event: Event) {
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
        let (line, head) = self.segments.head().next(now, self.freshness, event);
        let (key, node) = (self.identity.key(), &self.node);
        let sign = |last| beginning(key, node, now, last);
        match self.segments.append(line, head, sign) {
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
