//! Roots: what the next one says, and whether it may take the place of the one before.
//!
//! Decides by TUF's rules alone: a new root is the present one with some roles given to other keys, and counts
//! when as many keys signed it as the present root *and* the new one demand. It never gives away what it was
//! not asked to. Next: [`crate::rotate`] for one person, [`crate::ceremony`] for several.

use jiff::Timestamp;
use skerry_core::trust::metadata::{Metadata as _, RoleKeys, Root, Signed};
use skerry_core::trust::{Limits, PublicKey, Repository, Role, TrustError, TrustStore, TrustedSet};

use crate::workspace::{Workspace, WorkspaceError};

/// Why there is no new root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The workspace cannot be read or written.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// There is none to begin with.
    #[error("the workspace has no root of {0} ({0}/roots/1.root.json)")]
    Missing(Repository),
    /// What is said to be a root is none.
    #[error("the {of} root cannot be read: {source}")]
    Malformed {
        /// Whose.
        of: Repository,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// More signatures than there are keys.
    #[error(
        "a threshold of {threshold} for {role} cannot be reached with {keys} keys; nothing was made"
    )]
    Threshold {
        /// Which role.
        role: Role,
        /// How many must sign.
        threshold: u64,
        /// How many can.
        keys: usize,
    },
    /// Nodes would refuse it.
    #[error("nodes would refuse this root of {of}: {source}")]
    Refused {
        /// Whose.
        of: Repository,
        /// The rule.
        source: TrustError,
    },
    /// It is not the next one.
    #[error(
        "root {found} of {of} is not the next one: root {newest} is the newest here; draft it anew"
    )]
    Stale {
        /// Whose.
        of: Repository,
        /// Its version.
        found: u64,
        /// The newest one here.
        newest: u64,
    },
}

/// One role given to other keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// Its keys from now on; those it has, if there are none.
    pub keys: Vec<PublicKey>,
    /// How many must sign; as many as now, if nothing is said.
    pub threshold: Option<u64>,
}

impl Grant {
    /// One key, in the place of all the others, and as many signatures as that allows.
    pub fn one(role: Role, key: PublicKey) -> Self {
        Self { role, keys: vec![key], threshold: Some(1) }
    }
}

/// The next root: the present one, but for these roles.
///
/// # Errors
/// A threshold cannot be reached.
pub fn next(present: &Root, grants: &[Grant], expires: Timestamp) -> Result<Root, RootError> {
    let expires = Timestamp::from_second(expires.as_second()).unwrap_or(expires);
    let mut root = Root { version: present.version + 1, expires, ..present.clone() };
    for Grant { role, keys, threshold } in grants {
        let held = of(&mut root, *role);
        if !keys.is_empty() {
            held.keyids = keys.iter().map(|key| key.id()).collect();
            held.keyids.sort();
            held.keyids.dedup();
        }
        held.threshold = threshold.unwrap_or(held.threshold);
        let (threshold, count) = (held.threshold, held.keyids.len());
        if threshold == 0 || threshold > count as u64 {
            return Err(RootError::Threshold { role: *role, threshold, keys: count });
        }
        root.keys.extend(keys.iter().map(|key| (key.id(), key.to_metadata())));
    }
    let roles = root.roles.clone();
    let all = [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp];
    root.keys.retain(|id, _| all.iter().any(|role| roles.of(*role).keyids.contains(id)));
    Ok(root)
}

fn of(root: &mut Root, role: Role) -> &mut RoleKeys {
    let roles = &mut root.roles;
    match role {
        Role::Root => &mut roles.root,
        Role::Timestamp => &mut roles.timestamp,
        Role::Snapshot => &mut roles.snapshot,
        Role::Targets => &mut roles.targets,
    }
}

/// What a root's text says; nobody's signature is asked for.
///
/// # Errors
/// It is none.
pub fn read(of: Repository, text: &str) -> Result<Root, RootError> {
    let file =
        serde_json::from_str(text).and_then(|file: Signed| serde_json::from_value(file.signed));
    file.map_err(|source| RootError::Malformed { of, source })
}

/// The newest root of a repository, and its text.
///
/// # Errors
/// The workspace cannot be read, or has none.
pub fn newest(workspace: &Workspace, of: Repository) -> Result<(Root, String), RootError> {
    let text = workspace.roots(of)?.pop().ok_or(RootError::Missing(of))?;
    Ok((read(of, &text)?, text))
}

/// Whether a node that knows our first root would follow this one.
///
/// # Errors
/// It would not; the rule.
pub fn check(workspace: &Workspace, of: Repository, text: &str) -> Result<Root, RootError> {
    let refused = |source| RootError::Refused { of, source };
    let mut roots = workspace.roots(of)?;
    let (root, newest) = (read(of, text)?, roots.len() as u64);
    if root.version() != newest + 1 {
        return Err(RootError::Stale { of, found: root.version(), newest });
    }
    roots.push(text.to_owned());
    let first = roots.first().cloned().ok_or(RootError::Missing(of))?;
    let mut set = TrustedSet::new(&TrustStore::new(first), Limits::DEFAULT).map_err(refused)?;
    let _ = set.update_roots(roots.iter().map(String::as_bytes)).map_err(refused)?;
    Ok(root)
}

#[cfg(test)]
mod tests;
