//! The secrets of this node: values in files below `secrets/NAME/KEY`, for root alone.
//!
//! They are written by [`crate::http`] and read when an agent starts; they leave the node in no
//! report and no answer of its API. A value is replaced whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use skerry_core::ids::{DataKey, DataName};

use crate::durable;

/// The largest value.
pub const VALUE_MAX: usize = 512 * 1024;
/// The most keys of one secret, as of the files of one volume.
const KEYS_MAX: usize = 256;

/// Why something cannot be done with a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Nobody set it.
    #[error("secret '{0}' is not on this node; set it: skerry secret set {0} KEY")]
    Unknown(DataName),
    /// It has no such key.
    #[error("secret '{0}' has no key '{1}'; set it: skerry secret set {0} {1}")]
    NoKey(DataName, DataKey),
    /// A value is too large.
    #[error("secret '{0}': the value of '{1}' has more than 512 KiB")]
    TooLarge(DataName, DataKey),
    /// There are too many keys.
    #[error("secret '{0}' would have more than 256 keys")]
    TooMany(DataName),
    /// Nothing is to be set.
    #[error("secret '{0}': no value is given")]
    Empty(DataName),
    /// The file system refuses.
    #[error("secret '{name}': cannot {operation}: {source}")]
    Io {
        /// Which.
        name: DataName,
        /// What was tried.
        operation: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// Where the secrets are.
#[derive(Debug, Clone)]
pub struct Secrets(PathBuf);

impl Secrets {
    /// The secrets of a node with this state folder.
    pub fn below(state_dir: &Path) -> Self {
        Self(state_dir.join("secrets"))
    }

    fn folder(&self, name: &DataName) -> PathBuf {
        self.0.join(name.as_str())
    }

    /// The file with a value.
    pub fn file(&self, name: &DataName, key: &DataKey) -> PathBuf {
        self.folder(name).join(key.as_str())
    }

    /// Every secret, with the names of its keys.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn list(&self) -> io::Result<BTreeMap<DataName, Vec<DataKey>>> {
        let names: Vec<DataName> = durable::names(&self.0)?;
        names
            .into_iter()
            .map(|name| Ok((name.clone(), durable::names(&self.folder(&name))?)))
            .collect()
    }

    /// The keys of one secret.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn keys(&self, name: &DataName) -> Result<Vec<DataKey>, SecretError> {
        let keys: Vec<DataKey> = durable::names(&self.folder(name)).map_err(io(name, "read it"))?;
        if keys.is_empty() { Err(SecretError::Unknown(name.clone())) } else { Ok(keys) }
    }

    /// A value.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn value(&self, name: &DataName, key: &DataKey) -> Result<Vec<u8>, SecretError> {
        let read = durable::read(&self.file(name, key), VALUE_MAX as u64);
        match read.map_err(io(name, "read it"))? {
            Some(value) => Ok(value),
            None if self.folder(name).exists() => {
                Err(SecretError::NoKey(name.clone(), key.clone()))
            }
            None => Err(SecretError::Unknown(name.clone())),
        }
    }

    /// Sets values, and leaves others of the secret as they are.
    ///
    /// # Errors
    /// One is too large, there are too many, or the file system refuses.
    pub fn set(
        &self,
        name: &DataName,
        values: &BTreeMap<DataKey, Vec<u8>>,
    ) -> Result<(), SecretError> {
        if values.is_empty() {
            return Err(SecretError::Empty(name.clone()));
        }
        if let Some((key, _)) = values.iter().find(|(_, value)| value.len() > VALUE_MAX) {
            return Err(SecretError::TooLarge(name.clone(), key.clone()));
        }
        let folder = self.folder(name);
        let known: Vec<DataKey> = durable::names(&folder).map_err(io(name, "read it"))?;
        let new = values.keys().filter(|key| !known.contains(key)).count();
        if known.len() + new > KEYS_MAX {
            return Err(SecretError::TooMany(name.clone()));
        }
        let write = || {
            durable::private_folder(&folder)?;
            durable::flush_folder(&self.0)?;
            values.iter().try_for_each(|(key, value)| durable::write(&folder, key.as_str(), value))
        };
        write().map_err(io(name, "write it"))
    }

    /// Removes a secret, or one key of it.
    ///
    /// # Errors
    /// There is none, or the file system refuses.
    pub fn remove(&self, name: &DataName, key: Option<&DataKey>) -> Result<(), SecretError> {
        let keys = self.keys(name)?;
        let folder = self.folder(name);
        if let Some(key) = key {
            if !keys.contains(key) {
                return Err(SecretError::NoKey(name.clone(), key.clone()));
            }
            let gone = fs::remove_file(self.file(name, key));
            gone.and_then(|()| durable::flush_folder(&folder)).map_err(io(name, "remove it"))?;
            if keys.len() > 1 {
                return Ok(());
            }
        }
        let gone = fs::remove_dir_all(&folder);
        gone.and_then(|()| durable::flush_folder(&self.0)).map_err(io(name, "remove it"))
    }
}

fn io(name: &DataName, operation: &'static str) -> impl FnOnce(io::Error) -> SecretError {
    let name = name.clone();
    move |source| SecretError::Io { name, operation, source }
}

#[cfg(test)]
mod tests;
