//! The images on this device.
//!
//! Below one folder: `blobs/sha256/HEX` (manifests and configurations), `layers/HEX/` (unpacked once,
//! keyed by the digest of the uncompressed tar, shared by overlayfs), `images/HEX.json` (one record
//! per image), `images.tmp/` and `images.lock`. A compressed layer is not kept once it is unpacked:
//! disk is dear on a device, and the fleet has the original.
//!
//! Writers exclude each other by a lock; readers need none. A record is renamed into place last, so a
//! power cut leaves an image whole or not there at all. Never decides which image a node needs.
//! `record` is the index, `garbage` the way out, [`crate::import`] the way in.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use skerry_core::ids::Digest;

use crate::durable;
use crate::media::{Config, DOCUMENT_MAX};
use crate::reference::{ImageName, ReferenceError};
use record::{Catalogue, StoredRecord};

mod garbage;
mod image;
pub(crate) mod record;
pub(crate) mod witness;
mod workspace;

pub(crate) use garbage::content_size;
pub use garbage::{Freed, Removed};
pub use image::{Image, ImageConfig, ImageRecord};
pub(crate) use workspace::{Lock, Workspace, remove_tree};

/// The shortest part of a digest that names an image.
pub const PREFIX_MIN: usize = 6;

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// Nothing has that name or digest.
    #[error("no image '{reference}' in the store; import one with: skerry image import FILE")]
    NotFound {
        /// What was asked for.
        reference: String,
    },
    /// Several images have a digest that begins so.
    #[error("'{reference}' is the beginning of several digests; give more of one: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        reference: String,
        /// The first of them.
        candidates: Vec<String>,
    },
    /// The text cannot be a name.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A file of the store does not hold what it must.
    #[error("{} is damaged ({reason}); remove the image and import it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In which way.
        reason: String,
    },
    /// A layer of an image is not there.
    #[error("layer {layer} of image {image} is missing; import the image again")]
    LayerMissing {
        /// The image.
        image: Digest,
        /// The layer.
        layer: Digest,
    },
    /// A layer of an image is there, and has lost files.
    #[error("layer {layer} of image {image} has lost its files; import the image again")]
    LayerDamaged {
        /// The image.
        image: Digest,
        /// The layer.
        layer: Digest,
    },
    /// An agent runs from the image.
    #[error("image {reference} ({digest}) is in use; stop and remove its agents first")]
    InUse {
        /// What was to go.
        reference: String,
        /// The image.
        digest: Digest,
    },
}

/// The images on this device. Cheap to make; holds nothing open.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store below `root`, and makes its folders where they are missing.
    ///
    /// # Errors
    /// When a folder can be neither found nor made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Self { root: root.to_owned() };
        make_folder(root, 0o755)?;
        make_folder(&store.index_dir(), 0o755)?;
        make_folder(&store.root.join("blobs"), 0o755)?;
        make_folder(&store.blobs(), 0o755)?;
        // Layers hold set-uid programs and device nodes of their images: nobody but root goes there.
        make_folder(&store.layers(), 0o700)?;
        make_folder(&store.temporary(), 0o700)?;
        Ok(store)
    }

    /// The folder of records. A file is renamed into it when an image has arrived or got another
    /// name, and deleted when one has gone: watch it to learn of either.
    pub fn index_dir(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(diff_id.hex())
    }

    /// Where a damaged layer waits for the next clean-up: agents may still run from what is left of it.
    pub(crate) fn damaged(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(format!("{}.damaged", diff_id.hex()))
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("images.tmp")
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root.join("images.lock")
    }

    /// All images, by name.
    ///
    /// # Errors
    /// When the index cannot be read. A single damaged record is passed over.
    pub fn list(&self) -> Result<Vec<ImageRecord>, StoreError> {
        let catalogue = Catalogue::read(&self.index_dir())?;
        let mut all: Vec<_> = catalogue.records.iter().map(|r| catalogue.public(r)).collect();
        all.sort_by(|a, b| (&a.names, a.digest).cmp(&(&b.names, b.digest)));
        Ok(all)
    }

    /// The image that `reference` means: a digest, a beginning of one (6 digits or more), or a name.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn resolve(&self, reference: &str) -> Result<ImageRecord, StoreError> {
        let catalogue = Catalogue::read(&self.index_dir())?;
        let found = catalogue.resolve(reference)?;
        Ok(catalogue.public(found))
    }

    /// What is needed to run the image with the digest of a manifest, or of the index that it was
    /// chosen from.
    ///
    /// # Errors
    /// When it is not there, or damaged.
    pub fn image(&self, digest: &Digest) -> Result<Image, StoreError> {
        let record = self.record(digest)?;
        let config = self.config(&record)?;
        let mut layers: Vec<PathBuf> = Vec::with_capacity(record.layers.len());
        for (at, layer) in record.layers.iter().enumerate() {
            // A layer that comes again higher up has its last word there, and overlayfs takes none twice.
            let later = record.layers.get(at + 1..).unwrap_or_default();
            if later.iter().any(|l| l.diff_id == layer.diff_id) {
                continue;
            }
            let path = self.layer(&layer.diff_id);
            if !layer.is_whole(&path) {
                let (image, layer) = (record.manifest, layer.diff_id);
                return Err(match path.is_dir() {
                    true => StoreError::LayerDamaged { image, layer },
                    false => StoreError::LayerMissing { image, layer },
                });
            }
            layers.push(path);
        }
        let (digest, size) = (record.manifest, record.size());
        Ok(Image { digest, config: ImageConfig::from(config), layers, size })
    }

    /// Whether [`Store::image`] would find the image.
    pub fn has(&self, digest: &Digest) -> bool {
        self.record(digest)
            .is_ok_and(|record| record.layers.iter().all(|l| l.is_whole(&self.layer(&l.diff_id))))
    }

    /// Gives the image that `reference` means one more name, and takes it from any other image.
    ///
    /// # Errors
    /// When there is no such image, or the name is none.
    pub fn tag(&self, reference: &str, name: &str) -> Result<ImageRecord, StoreError> {
        let name: ImageName = name.parse()?;
        let lock = self.lock()?;
        let workspace = Workspace::new(self, &lock)?;
        let mut catalogue = Catalogue::read(&self.index_dir())?;
        let record = catalogue.resolve(reference)?.clone();
        let digest = record.manifest;
        catalogue.install(self, &workspace, record, &[name.to_string()], &[])?;
        self.resolve(&digest.to_string())
    }

    /// Waits for, and takes, the writers' lock.
    pub(crate) fn lock(&self) -> Result<Lock, StoreError> {
        Lock::take(&self.lock_file())
    }

    fn record(&self, digest: &Digest) -> Result<StoredRecord, StoreError> {
        let direct = self.index_dir().join(record::file_name(digest));
        if direct.exists() {
            return record::read(&direct);
        }
        let catalogue = Catalogue::read(&self.index_dir())?;
        catalogue
            .by_digest(digest)
            .cloned()
            .ok_or_else(|| StoreError::NotFound { reference: digest.to_string() })
    }

    pub(crate) fn config(&self, record: &StoredRecord) -> Result<Config, StoreError> {
        let bytes = self.blob(&record.config)?;
        serde_json::from_slice(&bytes).map_err(|e| StoreError::Damaged {
            path: self.blobs().join(record.config.hex()),
            reason: e.to_string(),
        })
    }

    /// A small blob, checked against its digest.
    fn blob(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.blobs().join(digest.hex());
        let bytes = read_bounded(&path, DOCUMENT_MAX)?;
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        Err(StoreError::Damaged { path, reason: "its digest is another".to_owned() })
    }

    /// Writes a small blob unless it is there.
    pub(crate) fn put_blob(&self, aside: &Path, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if self.blob(&digest).is_ok() {
            return Ok(digest);
        }
        let path = self.blobs().join(digest.hex());
        durable::write(aside, &self.blobs(), &digest.hex(), bytes)
            .map_err(io_at("write", &path))?;
        Ok(digest)
    }
}

/// Makes an error of what the file system said about `path`.
pub(crate) fn io_at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { operation, path, source }
}

fn make_folder(path: &Path, mode: u32) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(io_at("make the folder", path))
}

/// A whole file of at most `max` bytes.
pub(crate) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, StoreError> {
    let file = File::open(path).map_err(io_at("open", path))?;
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(io_at("read", path))?;
    if bytes.len() as u64 > max {
        let reason = format!("it is longer than {max} bytes");
        return Err(StoreError::Damaged { path: path.to_owned(), reason });
    }
    Ok(bytes)
}

/// The names in a folder of the store.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_at("read", folder))? {
        let entry = entry.map_err(io_at("read", folder))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
