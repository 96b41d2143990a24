//! The node's identity: an ed25519 key, made on first boot, readable by root alone.
//!
//! Reads and makes one file. It never leaves the device; reports are signed with it
//! ([`crate::reporter`]).

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use skerry_core::trust::PublicKey;
use skerry_core::trust::sign::{Signer, SigningKey};

use crate::store::export::sync_folder;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system refused.
    #[error("identity: cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file does not hold a key.
    #[error(
        "identity: {path} is not a key of 64 hexadecimal digits; move it away to get a new identity"
    )]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The kernel gives no random numbers.
    #[error("identity: no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Who this node is. Whoever signs with the key knows a [`Signer`] alone, so that one in a TPM or behind PKCS#11
/// can take its place; now it is in a file.
pub struct Identity {
    key: Box<dyn Signer>,
}

impl Identity {
    /// Reads the key under `state_dir`, or makes it.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds something else.
    pub fn load(state_dir: &Path) -> Result<Self, IdentityError> {
        let folder = state_dir.join("identity");
        let path = folder.join("node.key");
        let mut text = String::new();
        match fs::File::open(&path) {
            Ok(file) => {
                file.take(1024).read_to_string(&mut text).map_err(io("read", &path))?;
                let wrong = || IdentityError::Content { path: path.clone() };
                let mut raw = [0; 32];
                hex::decode_to_slice(text.trim(), &mut raw).map_err(|_| wrong())?;
                Ok(Self { key: Box::new(SigningKey::from_bytes(&raw)) })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(&folder, &path),
            Err(source) => Err(io("open", &path)(source)),
        }
    }

    /// The key to sign with.
    pub fn key(&self) -> &dyn Signer {
        &*self.key
    }

    /// The key to check with.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }
}

fn make(folder: &Path, path: &Path) -> Result<Identity, IdentityError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io("create", folder))?;
    let mut raw = [0; 32];
    getrandom::fill(&mut raw).map_err(IdentityError::Random)?;
    let aside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&aside).map_err(io("create", &aside))?;
    file.write_all(format!("{}\n", hex::encode(raw)).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io("write", &aside))?;
    fs::rename(&aside, path).map_err(io("rename", &aside))?;
    sync_folder(folder).map_err(io("sync", folder))?;
    Ok(Identity { key: Box::new(SigningKey::from_bytes(&raw)) })
}

fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Io { operation, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_is_made_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::load(folder.path()).unwrap().public();
        assert_eq!(Identity::load(folder.path()).unwrap().public(), first);
        let path = folder.path().join("identity/node.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "nonsense").unwrap();
        assert!(Identity::load(folder.path()).is_err());
    }
}
