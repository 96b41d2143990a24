//! What was last heard of each node, kept in the workspace: by it a report that is played again is known.
//!
//! Decides what a signed report is worth beside those before it: newer, the same one again, or one that
//! cannot be: an older one, or another with the same counter. It must never forget a higher counter, and is
//! kept with the key it belongs to, so that a node that was set up anew begins anew. What reports named of the
//! node's audit log is in `told.rs`. Next: [`crate::judge`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
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

/// All that was heard, and what of it has to be kept.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    known: BTreeMap<NodeName, Heard>,
    changed: BTreeMap<NodeName, Heard>,
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
            memory.known.extend(workspace.heard(name)?.map(|heard| (name.clone(), heard)));
        }
        Ok(memory)
    }

    /// Takes a report that the node signed with this key, and whose text has this digest.
    ///
    /// # Errors
    /// It is no newer one.
    pub fn take(&mut self, key: &KeyId, digest: Digest, report: &Report) -> Result<(), Replay> {
        let counter = report.counter;
        let mut told = Told::default();
        if let Some(known) = self.known.get(&report.node).filter(|known| known.key == *key) {
            if counter < known.counter {
                return Err(Replay::Older { counter, highest: known.counter });
            }
            if counter == known.counter {
                let same = digest == known.digest;
                return if same { Ok(()) } else { Err(Replay::Twin { counter }) };
            }
            told = known.told.clone();
        }
        let told = told.next(report.audit, report.at_ms);
        let heard = Heard { key: key.clone(), counter, digest, told };
        self.known.insert(report.node.clone(), heard.clone());
        self.changed.insert(report.node.clone(), heard);
        Ok(())
    }

    /// What does not fit together in what a node told of its audit log, if it has this key.
    pub fn broken(&self, node: &NodeName, key: &KeyId) -> Option<Break> {
        self.known.get(node).filter(|heard| heard.key == *key).and_then(|heard| heard.told.broken())
    }

    /// Keeps what is new. A workspace that cannot be written is told of, and stops nothing.
    pub fn keep(&mut self, workspace: &Workspace) {
        for (name, heard) in std::mem::take(&mut self.changed) {
            if let Err(error) = workspace.put_heard(&name, &heard) {
                let what =
                    "what was heard is not kept, so that a report played again may not be noticed";
                return output::note(&format!("{what}: {error}"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
