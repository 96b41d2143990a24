//! The roster: whose reports count, whose no longer, and how far each node has come.
//!
//! Decides what a message that came as a node's is worth, with all that the workspace knows. What a signature
//! is worth by itself is in [`crate::judge`], what a counter is worth in [`crate::heard`]. Every verb that shows
//! reports goes through here, so that none forgets a rule.

use std::collections::BTreeMap;

use skerry_core::ids::NodeName;
use skerry_core::trust::PublicKey;

use crate::heard::{Break, Memory};
use crate::judge::{self, Judged, Opened};
use crate::output;
use crate::workspace::{Revocation, Workspace, WorkspaceError};

/// Whose reports count.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    keys: BTreeMap<NodeName, PublicKey>,
    revoked: Vec<Revocation>,
    memory: Memory,
}

impl Roster {
    /// As the workspace has it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn load(workspace: &Workspace) -> Result<Self, WorkspaceError> {
        let keys = workspace.nodes()?;
        let memory = Memory::load(workspace, &keys)?;
        Ok(Self { keys, revoked: workspace.revoked()?, memory })
    }

    /// Reads anew whose reports count, and how far the one that speaks has come: other programs approve, revoke
    /// and hear meanwhile.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&mut self, workspace: &Workspace, speaks: &str) -> Result<(), WorkspaceError> {
        (self.keys, self.revoked) = (workspace.nodes()?, workspace.revoked()?);
        match self.keys.keys().find(|name| name.as_str() == speaks) {
            Some(name) => self.memory.read(workspace, name),
            None => Ok(()),
        }
    }

    /// Nodes of which nothing was ever heard.
    #[cfg(test)]
    pub fn of(keys: BTreeMap<NodeName, PublicKey>, revoked: Vec<Revocation>) -> Self {
        Self { keys, revoked, memory: Memory::default() }
    }

    /// The names of all nodes, those included whose key was revoked.
    pub fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.keys.keys().chain(self.revoked.iter().map(|revoked| &revoked.node))
    }

    /// What the bytes are worth that came as the report of `node`.
    pub fn report(&mut self, node: &str, bytes: &[u8]) -> Judged {
        match judge::open(node, bytes, &self.keys) {
            Ok(Opened { report, key, digest }) => match self.memory.take(&key, digest, &report) {
                Ok(()) => Judged::Signed(Box::new(report)),
                Err(replay) => Judged::Replayed(replay),
            },
            Err(judged) => match self.revocation(node, bytes) {
                Some(revoked) => Judged::Revoked(why(revoked)),
                None => judged,
            },
        }
    }

    /// The revocation of the key that signed a report, if there is one.
    fn revocation(&self, node: &str, bytes: &[u8]) -> Option<&Revocation> {
        let (key, _) = judge::introduction(node, bytes)?;
        self.revoked.iter().find(|revoked| revoked.key == key)
    }

    /// The last revocation of a node that has no key that counts.
    pub fn silenced(&self, node: &str) -> Option<String> {
        let kept = self.keys.keys().any(|name| name.as_str() == node);
        let of_it = self.revoked.iter().filter(|revoked| revoked.node.as_str() == node);
        of_it.max_by_key(|revoked| revoked.at).filter(|_| !kept).map(why)
    }

    /// What does not fit together in what a node's reports named of its audit log.
    pub fn broken(&self, node: &str) -> Option<Break> {
        let (name, key) = self.keys.iter().find(|(name, _)| name.as_str() == node)?;
        self.memory.broken(name, &key.id())
    }

    /// Whether a node is there, by its own signed word.
    pub fn online(&self, node: &str, bytes: &[u8]) -> Option<bool> {
        judge::online(node, bytes, &self.keys)
    }

    /// Keeps how far each node has come.
    pub fn keep(&mut self, workspace: &Workspace) {
        self.memory.keep(workspace);
    }
}

/// That a key counts no longer, and why.
fn why(revoked: &Revocation) -> String {
    let reason = revoked.reason.as_deref().map(output::clean);
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(
        "its key {} was revoked on {:.10}{reason}",
        revoked.key.id().short(),
        revoked.at.to_string()
    )
}

#[cfg(test)]
mod tests;
