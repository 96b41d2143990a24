//! Packs a folder into an OCI image of one layer.
//!
//! Decides all that could differ between two runs: order, owners, times. The same folder and options
//! give the same digest, wherever they are packed. Never runs anything and never fetches a base.
//! `layer` writes the layer, `layout` the rest; [`crate::import`] reads both.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use skerry_core::ids::Digest;

use crate::import::{ImportError, ImportOptions, Source};
use crate::platform::Platform;
use crate::reference::{ImageName, ReferenceError};
use crate::store::{Store, StoreError, Workspace};

mod layer;
mod layout;

/// How to pack.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// The program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that may be replaced.
    pub cmd: Vec<String>,
    /// The environment, `NAME=VALUE` each.
    pub env: Vec<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// The user, as name or number, with an optional group after a colon.
    pub user: Option<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to stop.
    pub stop_signal: Option<String>,
    /// The name of the image.
    pub reference: Option<String>,
    /// What the files are for.
    pub platform: Platform,
    /// Seconds since 1970, given to the image and all its files. By default what the environment's
    /// `SOURCE_DATE_EPOCH` says, else 0, so that packing is reproducible.
    pub created: Option<u64>,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            env: Vec::new(),
            workdir: None,
            user: None,
            labels: BTreeMap::new(),
            stop_signal: None,
            reference: None,
            platform: Platform::this_machine(),
            created: None,
        }
    }
}

/// Where the image goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// A new folder with an OCI layout.
    OciDir(PathBuf),
    /// A tar file with an OCI layout; one that is there is replaced.
    OciTar(PathBuf),
    /// The store of this device.
    Store(&'a Store),
}

/// The image that was packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Packed {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The digest of its configuration.
    pub config: Digest,
    /// The digest of its uncompressed layer.
    pub diff_id: Digest,
    /// The digest of its layer.
    pub layer: Digest,
    /// Bytes of the compressed layer.
    pub layer_size: u64,
    /// Its name, if it was given one.
    pub name: Option<String>,
}

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file system refused.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that an image cannot hold.
    #[error("{} cannot be packed: it is {what}; remove it from the folder", path.display())]
    Unpackable {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A bound was hit.
    #[error("{} holds more than {max} {what}", path.display())]
    Limit {
        /// The folder.
        path: PathBuf,
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// There is something already.
    #[error("{} is there already; remove it, or name another", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// An entry of the environment is none.
    #[error("'{entry}' is no entry of an environment; one looks like NAME=VALUE")]
    Environment {
        /// The entry.
        entry: String,
    },
    /// The name is none.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A document could not be written as JSON.
    #[error("cannot write the image's documents: {0}")]
    Document(#[from] serde_json::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not take the image.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// Packs `folder` as the root of an image.
///
/// # Errors
/// When the folder holds what an image cannot, an option makes no sense, or the file system refuses.
/// The output is then as it was.
pub fn pack(folder: &Path, options: &PackOptions, output: Output<'_>) -> Result<Packed, PackError> {
    let name = options.reference.as_deref().map(str::parse::<ImageName>).transpose()?;
    check_environment(&options.env)?;
    match output {
        Output::OciDir(target) => {
            let taken = fs::read_dir(&target).map(|mut entries| entries.next().is_some());
            if taken.unwrap_or_else(|_| target.exists()) {
                return Err(PackError::Exists { path: target });
            }
            let stage = Stage::beside(&target)?;
            let packed = layout::write(folder, options, name.as_ref(), &stage.path)?;
            fs::rename(&stage.path, &target).map_err(io_at("put the image at", &target))?;
            Ok(packed)
        }
        Output::OciTar(target) => {
            let stage = Stage::beside(&target)?;
            let packed = layout::write(folder, options, name.as_ref(), &stage.path)?;
            let whole = stage.path.join("image.tar");
            layout::archive(&stage.path, &packed, created(options), &whole)?;
            fs::rename(&whole, &target).map_err(io_at("put the image at", &target))?;
            Ok(packed)
        }
        Output::Store(store) => {
            let lock = store.lock()?;
            let workspace = Workspace::new(store, &lock)?;
            drop(lock);
            let packed = layout::write(folder, options, name.as_ref(), workspace.path())?;
            let import = ImportOptions {
                reference: options.reference.clone(),
                platform: options.platform.clone(),
                ..ImportOptions::default()
            };
            store.import(Source::Path(workspace.path().to_owned()), &import)?;
            Ok(packed)
        }
    }
}

fn check_environment(env: &[String]) -> Result<(), PackError> {
    let wrong = |entry: &&String| entry.find('=').is_none_or(|at| at == 0) || entry.contains('\0');
    match env.iter().find(wrong) {
        None => Ok(()),
        Some(entry) => Err(PackError::Environment { entry: entry.chars().take(80).collect() }),
    }
}

/// The time that the image states.
fn created(options: &PackOptions) -> u64 {
    let environment = || std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok();
    options.created.or_else(environment).unwrap_or(0)
}

fn io_at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackError {
    let path = path.to_owned();
    move |source| PackError::Io { operation, path, source }
}

/// A folder beside the target, removed when dropped unless it was renamed.
struct Stage {
    path: PathBuf,
}

impl Stage {
    fn beside(target: &Path) -> Result<Self, PackError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.packing-{}", std::process::id()));
        fs::create_dir(&path).map_err(io_at("make the folder", &path))?;
        Ok(Self { path })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests;
