//! The way out: names, images, and what no image needs any more.
//!
//! Decides what is unreferenced, from the records alone; whether an image is in use is the caller's
//! word. A layer leaves by a rename first, so that no half of one is ever found in `layers/`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;
use skerry_core::ids::Digest;

use super::record::{self, Catalogue, StoredRecord};
use super::workspace::{Workspace, remove_tree};
use super::{Store, StoreError, io_at, names_in};
use crate::durable;
use crate::reference::ImageName;

/// What [`Store::prune`] took away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Freed {
    /// Images without a name that nobody used.
    pub images: Vec<Digest>,
    /// Layers that no image needs.
    pub layers: Vec<Digest>,
    /// Manifests and configurations that no image needs.
    pub blobs: usize,
    /// Records that could not be read.
    pub damaged: usize,
    /// Bytes of file content that are free again.
    pub bytes: u64,
}

/// What [`Store::remove`] took away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Names that mean nothing any more.
    pub names: Vec<String>,
    /// The image, if it went with its last name.
    pub image: Option<Digest>,
    /// What went with it.
    pub freed: Freed,
}

impl Store {
    /// Takes away a name; with its last name, or by its digest, the image goes too, and then what no
    /// other image needs.
    ///
    /// # Errors
    /// When there is no such image, or `in_use` says that an agent runs from it.
    pub fn remove(
        &self,
        reference: &str,
        in_use: &dyn Fn(&Digest) -> bool,
    ) -> Result<Removed, StoreError> {
        let lock = self.lock()?;
        let workspace = Workspace::new(self, &lock)?;
        let mut catalogue = Catalogue::read(&self.index_dir())?;
        let found = catalogue.resolve(reference)?.clone();
        let names = catalogue.public(&found).names;
        let asked = reference.parse::<ImageName>().map(|n| n.to_string()).unwrap_or_default();
        if names.contains(&asked) && names.len() > 1 {
            let mut changed = found;
            changed.names.retain(|m| m.is != asked);
            catalogue.put(self, &workspace, changed)?;
            return Ok(Removed { names: vec![asked], ..Removed::default() });
        }
        if is_used(&found, in_use) {
            let (reference, digest) = (reference.to_owned(), found.manifest);
            return Err(StoreError::InUse { reference, digest });
        }
        self.forget(&found)?;
        catalogue.records.retain(|r| r.manifest != found.manifest);
        let freed = self.collect(&workspace, &catalogue)?;
        Ok(Removed { names, image: Some(found.manifest), freed })
    }

    /// Takes away images that have no name and are not in use, and all that no image needs.
    ///
    /// # Errors
    /// When the store cannot be read or changed.
    pub fn prune(&self, in_use: &dyn Fn(&Digest) -> bool) -> Result<Freed, StoreError> {
        let lock = self.lock()?;
        let workspace = Workspace::new(self, &lock)?;
        let mut catalogue = Catalogue::read(&self.index_dir())?;
        let nameless = |r: &StoredRecord| catalogue.public(r).names.is_empty();
        let (gone, kept): (Vec<_>, Vec<_>) =
            catalogue.records.iter().cloned().partition(|r| nameless(r) && !is_used(r, in_use));
        for record in &gone {
            self.forget(record)?;
        }
        for path in &catalogue.damaged {
            fs::remove_file(path).map_err(io_at("remove", path))?;
        }
        catalogue.records = kept;
        let mut freed = self.collect(&workspace, &catalogue)?;
        freed.images = gone.iter().map(|r| r.manifest).collect();
        freed.damaged = catalogue.damaged.len();
        Ok(freed)
    }

    fn forget(&self, record: &StoredRecord) -> Result<(), StoreError> {
        let path = self.index_dir().join(record::file_name(&record.manifest));
        fs::remove_file(&path).map_err(io_at("remove", &path))?;
        let folder = self.index_dir();
        durable::sync_folder(&folder).map_err(io_at("sync", &folder))
    }

    /// Removes the layers and blobs that no record names.
    fn collect(&self, workspace: &Workspace, kept: &Catalogue) -> Result<Freed, StoreError> {
        let mut freed = Freed::default();
        let layers: BTreeSet<_> =
            kept.records.iter().flat_map(|r| r.layers.iter().map(|l| l.diff_id.hex())).collect();
        for name in names_in(&self.layers())?.into_iter().filter(|n| !layers.contains(n)) {
            let (path, away) = (self.layers().join(&name), workspace.path().join(&name));
            fs::rename(&path, &away).map_err(io_at("move away", &path))?;
            freed.bytes += content_size(&away)?;
            remove_tree(&away)?;
            freed.layers.extend(format!("sha256:{name}").parse::<Digest>());
        }
        let blobs: BTreeSet<_> = kept
            .records
            .iter()
            .flat_map(|r| [r.manifest, r.config].into_iter().chain(r.aliases.iter().map(|a| a.is)))
            .map(|digest| digest.hex())
            .collect();
        for name in names_in(&self.blobs())?.into_iter().filter(|n| !blobs.contains(n)) {
            let path = self.blobs().join(&name);
            freed.bytes += fs::symlink_metadata(&path).map_or(0, |m| m.len());
            fs::remove_file(&path).map_err(io_at("remove", &path))?;
            freed.blobs += 1;
        }
        Ok(freed)
    }
}

fn is_used(record: &StoredRecord, in_use: &dyn Fn(&Digest) -> bool) -> bool {
    in_use(&record.manifest) || record.aliases.iter().any(|alias| in_use(&alias.is))
}

/// Bytes of file content below `folder`, a file with several names counted once.
pub(crate) fn content_size(folder: &Path) -> Result<u64, StoreError> {
    let mut todo = vec![folder.to_owned()];
    let mut linked = BTreeSet::new();
    let mut total = 0;
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).map_err(io_at("read", &folder))? {
            let entry = entry.map_err(io_at("read", &folder))?;
            let meta = entry.metadata().map_err(io_at("look at", &entry.path()))?;
            if meta.is_dir() {
                todo.push(entry.path());
            } else if meta.is_file() && (meta.nlink() == 1 || linked.insert(meta.ino())) {
                total += meta.len();
            }
        }
    }
    Ok(total)
}
