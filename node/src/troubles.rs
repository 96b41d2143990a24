//! What stands in the way of the node itself, and lasts: one list, raised and cleared by whoever
//! sees it.
//!
//! `skerry status`, `skerry check` and the report show it ([`crate::http`], [`crate::reporter`]). It
//! holds no decision: a trouble is there from the moment it is raised until it is cleared. What is
//! wrong with one agent is that agent's status; [`follow`] lifts what blocks an agent into the list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skerry_core::plan::State;
use skerry_core::report::{TROUBLES_MAX, Trouble};
use tokio::sync::watch;

use crate::clock;
use crate::reconciler::Snapshot;

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The disk of the state has no room.
    DiskFull,
    /// The disk of the state cannot be written.
    DiskReadOnly,
    /// The store cannot be used for another reason.
    Store,
    /// No process can be made.
    Processes,
    /// The system gives fewer descriptors or watches than the node needs.
    SystemLimits,
    /// The configuration that was to be read again cannot be used.
    Config,
    /// A running agent is not in its control group.
    Cgroup,
    /// Something without an owner cannot be removed.
    Orphan,
    /// Something outside stands in an agent's way.
    Blocked,
}

impl Kind {
    /// The word by which programs know it.
    pub fn word(self) -> &'static str {
        match self {
            Self::DiskFull => "disk-full",
            Self::DiskReadOnly => "disk-read-only",
            Self::Store => "store",
            Self::Processes => "processes",
            Self::SystemLimits => "system-limits",
            Self::Config => "config",
            Self::Cgroup => "cgroup",
            Self::Orphan => "orphan",
            Self::Blocked => "blocked",
        }
    }
}

/// A kind, and whom it concerns; empty for the node.
type Key = (Kind, String);
type List = BTreeMap<Key, Trouble>;

/// The list. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Troubles(Arc<watch::Sender<List>>);

impl Default for Troubles {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(List::new())))
    }
}

impl Troubles {
    /// Puts a trouble on the list, or changes its words; since when it lasts stays.
    pub fn raise(&self, kind: Kind, whom: &str, what: &str, next: &str) {
        self.0.send_if_modified(|list| {
            let key = (kind, whom.to_owned());
            let known = list.get(&key);
            if known.is_some_and(|t| t.what == what && t.next == next) {
                return false;
            }
            tracing::error!(trouble = kind.word(), what, next, "trouble");
            let since_ms = known.map_or_else(clock::wall_ms, |trouble| trouble.since_ms);
            let (what, next) = (what.to_owned(), next.to_owned());
            list.insert(key, Trouble { kind: kind.word().to_owned(), what, since_ms, next });
            true
        });
    }

    /// Takes a trouble off the list.
    pub fn clear(&self, kind: Kind, whom: &str) {
        self.0.send_if_modified(|list| {
            let gone = list.remove(&(kind, whom.to_owned()));
            if let Some(trouble) = &gone {
                tracing::info!(trouble = kind.word(), what = trouble.what, "trouble is over");
            }
            gone.is_some()
        });
    }

    /// Whether the node has a trouble of that kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.0.borrow().keys().any(|(known, _)| *known == kind)
    }

    /// All of them, as many as are told.
    pub fn list(&self) -> Vec<Trouble> {
        self.0.borrow().values().take(TROUBLES_MAX).cloned().collect()
    }

    /// Wakes whoever waits for a change of the list.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<(Kind, String), Trouble>> {
        self.0.subscribe()
    }
}

/// Keeps the list in step with what blocks agents.
pub async fn follow(mut snapshots: watch::Receiver<Snapshot>, troubles: Troubles) {
    let mut raised = BTreeSet::new();
    loop {
        let status = snapshots.borrow_and_update().status.clone();
        let blocked: BTreeMap<_, _> = status
            .iter()
            .filter(|(_, status)| status.state == State::Blocked)
            .map(|(name, status)| (name.clone(), status.detail.clone()))
            .collect();
        for (name, why) in &blocked {
            let why = why.clone().unwrap_or_else(|| "something outside is missing".to_owned());
            let next = format!("see: skerry inspect {name}");
            troubles.raise(Kind::Blocked, name.as_str(), &format!("agent {name}: {why}"), &next);
        }
        let now: BTreeSet<_> = blocked.into_keys().collect();
        for name in raised.difference(&now) {
            troubles.clear(Kind::Blocked, name.as_str());
        }
        raised = now;
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
