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

/// The most boots of a device that are remembered.
const BOOTS_MAX: usize = 64;
/// The most characters of a boot's id that count.
const BOOT_MAX: usize = 64;

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
    /// The boots of the device that reports were heard of since it was approved, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boots: Vec<String>,
    /// What was heard before it was approved anew with the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
}

/// What was heard of a node before the operator vouched for it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The highest counter.
    pub counter: u64,
    /// The digest of the text of that report.
    pub digest: Digest,
    /// The boots of the device, newest last.
    pub boots: Vec<String>,
}

impl Heard {
    /// The operator vouches for the node anew: its counter may begin anew in a boot that was never heard of, and
    /// what it told of its log counts on.
    #[must_use]
    pub fn renewed(self) -> Self {
        let newest = Past { counter: self.counter, digest: self.digest, boots: Vec::new() };
        let mut past = self.past.unwrap_or_else(|| newest.clone());
        if newest.counter > past.counter {
            (past.counter, past.digest) = (newest.counter, newest.digest);
        }
        self.boots.into_iter().for_each(|boot| remember(&mut past.boots, boot));
        let (told, key, past) = (self.told, self.key, Some(past));
        Self { counter: 0, digest: Digest::of(b""), told, key, boots: Vec::new(), past }
    }

    /// Whether it is a report of a boot of before the node was approved anew, and if so, whether it is the newest
    /// of those and nothing came since: then it still is what the node last said.
    fn of_past(&self, word: &Word) -> Option<bool> {
        let past = self.past.as_ref()?;
        let is_past = word.counter <= past.counter && past.boots.contains(&word.boot);
        let same = (word.counter, word.digest) == (past.counter, past.digest);
        is_past.then_some(same && self.counter == 0)
    }
}

/// Adds a boot to those that were heard of.
fn remember(boots: &mut Vec<String>, boot: String) {
    boots.retain(|known| *known != boot);
    boots.push(boot);
    let over = boots.len().saturating_sub(BOOTS_MAX);
    boots.drain(..over);
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
    /// It is of a boot from before the node was approved anew.
    Past {
        /// Its counter.
        counter: u64,
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
                 broker; or the node's disk came back from a backup: then restart it, and approve it anew"
            ),
            Self::Past { counter } => write!(
                f,
                "it is of a boot from before the node was approved anew (counter {counter}), played again by the \
                 broker; or the device was not restarted since its disk came back: then restart it"
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
    boot: String,
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
        match known.of_past(word) {
            Some(true) => return Ok(known.clone()),
            Some(false) => return Err(Replay::Past { counter }),
            None => {}
        }
    }
    let (told, past) =
        known.map(|known| (known.told.clone(), known.past.clone())).unwrap_or_default();
    let told = told.next(word.audit, word.at_ms);
    let mut boots = known.map(|known| known.boots.clone()).unwrap_or_default();
    remember(&mut boots, word.boot.clone());
    Ok(Heard { key: word.key.clone(), counter, digest, told, boots, past })
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
        let boot = report.boot_id.chars().take(BOOT_MAX).collect();
        let word = Word { key: key.clone(), counter, digest, audit, at_ms, boot };
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
