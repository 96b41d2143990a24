//! Keys that are to take the place of others: kept aside until a root that names them is kept.
//!
//! A key is written as `ROLE.key.ID.next` beside the one it replaces, so that at no instant the only key of a
//! role is one that no root on the disk names. Whether one may take its place is decided in [`crate::rotate`].

use std::path::PathBuf;

use skerry_core::trust::sign::SigningKey;
use skerry_core::trust::{PublicKey, Repository, Role};

use super::{REPOSITORIES, ROLES, Workspace, WorkspaceError, class};
use crate::files;

const NEXT: &str = ".next";

/// A key that is kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextKey {
    /// Whose it is to be.
    pub of: Repository,
    /// For which role.
    pub role: Role,
    /// Its id.
    pub id: String,
    path: PathBuf,
}

impl Workspace {
    /// Keeps a key aside, as well protected as the one whose place it is to take; in the place of any other
    /// that waits for the same role.
    ///
    /// # Errors
    /// The file system refused, or the passphrase is not known.
    pub fn put_next_key(
        &self,
        of: Repository,
        role: Role,
        key: &SigningKey,
    ) -> Result<(), WorkspaceError> {
        let here = self.key_path(of, role);
        for old in self.next_keys().iter().filter(|next| (next.of, next.role) == (of, role)) {
            files::remove(&old.path)?;
        }
        let id = PublicKey::of(key).id();
        let path = here.with_added_extension(format!("{}{NEXT}", id.as_str()));
        self.write_key(&path, key, class(of, role), &here)
    }

    /// The keys that are kept aside, in folders that are here and that this user may read.
    pub fn next_keys(&self) -> Vec<NextKey> {
        let mut found = Vec::new();
        for (of, role) in REPOSITORIES.into_iter().flat_map(|of| ROLES.map(|role| (of, role))) {
            let here = self.key_path(of, role);
            let (Some(folder), Some(name)) = (here.parent(), here.file_name()) else { continue };
            let begin = format!("{}.", name.to_string_lossy());
            for file in files::names(folder).unwrap_or_default() {
                let id = file.strip_prefix(&begin).and_then(|rest| rest.strip_suffix(NEXT));
                let Some(id) = id.map(str::to_owned) else { continue };
                found.push(NextKey { of, role, id, path: folder.join(&file) });
            }
        }
        found
    }

    /// Puts a key that was kept aside in its place, and so ends the one that was there.
    ///
    /// # Errors
    /// The file system refused.
    pub fn take_next_key(&self, next: &NextKey) -> Result<(), WorkspaceError> {
        Ok(files::rename(&next.path, &self.key_path(next.of, next.role))?)
    }
}
