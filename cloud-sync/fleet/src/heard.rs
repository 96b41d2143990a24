//! What was last heard of each node, kept in the workspace: by it a report that is played again is known.
//!
//! Decides what a signed report is worth beside those before it: newer, the same one again, or one that
//! cannot be: an older one, or another with the same counter. It must never forget a higher counter, and is
//! kept with the key it belongs to, so that a node that was set up anew begins anew. What reports named of the
//! node's audit log is in `told.rs`. Next: [`crate::judge`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skerry_core::audit::Head;
use skerry_core::ids::{Digest, NodeName};
use skerry_core::report::Report;
use skerry_core::trust::{KeyId, PublicKey};

use crate::output;
use crate::workspace::{Workspace, WorkspaceError};

mod told;

pub use told::{Break, Told};

/// The newest report of a node that was ever heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heard {
    /// The key that signed it.
    pub key: KeyId,
    /// Its counter.
    pub counter: u64,
    /// The digest of its text.
    pub digest: Digest,
    /// What it and those before it named of the audit log.
    #[serde(flatten)]
    pub told: Told,
}

impl Heard {
    /// The operator vouches for the node anew: its counter may begin anew, what it told of its log counts on.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { counter: 0, digest: Digest::of(b""), ..self }
    }
}

/// Why a signed report is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// A newer one was heard before.
    Older {
        /// Its counter.
        counter: u64,
        /// The highest that was heard.
        highest: u64,
    },
    /// Another one with the same counter was heard before.
    Twin {
        /// The counter of both.
        counter: u64,
    },
}

impl std::fmt::Display for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Older { counter, highest } => write!(
                f,
                "it is an old one, played again (counter {counter}, and {highest} was heard before) by the \
                 broker; or the node's disk came back from a backup: then approve it anew"
            ),
            Self::Twin { counter } => write!(
                f,
                "another one with the same counter ({counter}) was heard before; does a second device use \
                 the node's key?"
            ),
        }
    }
}

/// What of a signed report counts beside those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    key: KeyId,
    counter: u64,
    digest: Digest,
    audit: Option<Head>,
    at_ms: i64,
}

/// What is known of a node after a report, with what was known before.
fn after(known: Option<&Heard>, word: &Word) -> Result<Heard, Replay> {
    let Word { counter, digest, .. } = *word;
    let known = known.filter(|known| known.key == word.key);
    if let Some(known) = known {
        if counter < known.counter {
            return Err(Replay::Older { counter, highest: known.counter });
        }
        if counter == known.counter {
            let same = digest == known.digest;
            return if same { Ok(known.clone()) } else { Err(Replay::Twin { counter }) };
        }
    }
    let told = known.map(|known| known.told.clone()).unwrap_or_default();
    let told = told.next(word.audit, word.at_ms);
    Ok(Heard { key: word.key.clone(), counter, digest, told })
}

/// All that was heard, and what of it has to be kept. Other programs may hear and keep at the same time.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    known: BTreeMap<NodeName, Heard>,
    changed: BTreeMap<NodeName, Word>,
}

impl Memory {
    /// As the workspace has it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn load(
        workspace: &Workspace,
        nodes: &BTreeMap<NodeName, PublicKey>,
    ) -> Result<Self, WorkspaceError> {
        let mut memory = Self::default();
        for name in nodes.keys() {
            memory.read(workspace, name)?;
        }
        Ok(memory)
    }

    /// Reads what others have kept of a node meanwhile.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&mut self, workspace: &Workspace, node: &NodeName) -> Result<(), WorkspaceError> {
        let kept = workspace.heard(node)?;
        let word = self.changed.get(node).map(|word| after(kept.as_ref(), word));
        match word.and_then(Result::ok).or(kept) {
            Some(heard) => drop(self.known.insert(node.clone(), heard)),
            None => drop(self.known.remove(node)),
        }
        Ok(())
    }

    /// Takes a report that the node signed with this key, and whose text has this digest.
    ///
    /// # Errors
    /// It is no newer one.
    pub fn take(&mut self, key: &KeyId, digest: Digest, report: &Report) -> Result<(), Replay> {
        let Report { counter, audit, at_ms, .. } = *report;
        let word = Word { key: key.clone(), counter, digest, audit, at_ms };
        let known = self.known.get(&report.node);
        let heard = after(known, &word)?;
        if known != Some(&heard) {
            self.known.insert(report.node.clone(), heard);
            self.changed.insert(report.node.clone(), word);
        }
        Ok(())
    }

    /// What does not fit together in what a node told of its audit log, if it has this key.
    pub fn broken(&self, node: &NodeName, key: &KeyId) -> Option<Break> {
        self.known.get(node).filter(|heard| heard.key == *key).and_then(|heard| heard.told.broken())
    }

    /// Keeps what is new beside what others have kept. What cannot be written is told of and tried again the
    /// next time, and stops nothing else.
    pub fn keep(&mut self, workspace: &Workspace) {
        if self.changed.is_empty() {
            return;
        }
        let why = match workspace.lock().and_then(|lock| Ok((lock, workspace.nodes()?))) {
            Ok((_lock, keys)) => self.write(workspace, &keys),
            Err(error) => Some(error),
        };
        if let Some(error) = why {
            output::note(&format!(
                "what was heard of {} nodes is not kept, so that a report played again may not be noticed: {error}",
                self.changed.len()
            ));
        }
    }

    /// Writes all that can be; why not all of it, if so. Needs the lock.
    fn write(
        &mut self,
        workspace: &Workspace,
        keys: &BTreeMap<NodeName, PublicKey>,
    ) -> Option<WorkspaceError> {
        let mut first = None;
        for (name, word) in std::mem::take(&mut self.changed) {
            // Its key was replaced or taken away meanwhile: what the old one said counts no longer.
            if keys.get(&name).is_none_or(|key| key.id() != word.key) {
                continue;
            }
            match write_one(workspace, &name, &word) {
                Ok(heard) => self.known.extend(heard.map(|heard| (name, heard))),
                Err(error) => {
                    first.get_or_insert(error);
                    self.changed.insert(name, word);
                }
            }
        }
        first
    }
}

/// Writes what a report changes of what is kept now: nothing, if a newer one was kept meanwhile.
fn write_one(
    workspace: &Workspace,
    node: &NodeName,
    word: &Word,
) -> Result<Option<Heard>, WorkspaceError> {
    let kept = workspace.heard(node)?;
    match after(kept.as_ref(), word) {
        Ok(heard) if kept.as_ref() != Some(&heard) => {
            workspace.put_heard(node, &heard)?;
            Ok(Some(heard))
        }
        Ok(_) | Err(_) => Ok(kept),
    }
}

#[cfg(test)]
mod tests;
