//! The way in: from a folder, a file or a stream to an image in the store.
//!
//! Takes an OCI layout (folder, tar, compressed tar) or a `docker save` archive, old or new. Tells the
//! story: open the parts, plan from the small documents, unpack what is missing, make it durable,
//! show it. Nothing is visible before the last step. `parts` reads, `oci` and `docker` plan,
//! `layer` unpacks and checks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use skerry_core::ids::Digest;

use crate::archive::ArchiveError;
use crate::durable;
use crate::platform::Platform;
use crate::reference::{ImageName, ReferenceError};
use crate::store::record::{Catalogue, StoredLayer, StoredRecord};
use crate::store::{Store, StoreError, Workspace, io_at, remove_tree};
use crate::unpack::{Limits, UnpackError, Unpacked};
use parts::Parts;

mod docker;
mod layer;
mod oci;
mod parts;

/// Where an image comes from.
pub enum Source {
    /// A folder with an OCI layout, or a tar file.
    Path(PathBuf),
    /// A tar stream, such as standard input; it is read once.
    Reader(Box<dyn Read + Send>),
}

/// How to import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The name to give, instead of the names that the source states.
    pub reference: Option<String>,
    /// The platform to choose.
    pub platform: Platform,
    /// The bounds of each layer.
    pub limits: Limits,
    /// The most bytes that are spooled from a stream.
    pub spool_bytes: u64,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            reference: None,
            platform: Platform::this_machine(),
            limits: Limits::default(),
            spool_bytes: 8 << 30,
        }
    }
}

/// One image that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The names that it was given now.
    pub names: Vec<String>,
    /// How many of its layers were unpacked now.
    pub layers_new: usize,
    /// How many were there already.
    pub layers_shared: usize,
    /// Bytes of file content in the new layers.
    pub bytes: u64,
}

/// Why an image cannot be imported. The store is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The source cannot be read.
    #[error("cannot {operation} {what}: {source}")]
    Read {
        /// What was tried.
        operation: &'static str,
        /// The file, or the part of it.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The source is a damaged tar.
    #[error("{what} cannot be read as a tar archive: {source}")]
    Archive {
        /// The source.
        what: String,
        /// Why not.
        source: ArchiveError,
    },
    /// The source is something else.
    #[error(
        "{what} is no image: neither index.json (OCI layout) nor manifest.json (docker save) is in it"
    )]
    NotAnImage {
        /// The source.
        what: String,
    },
    /// The source lacks something that it names itself.
    #[error("{part} is missing from the image; it was copied or exported incompletely")]
    Missing {
        /// The part.
        part: String,
    },
    /// A document is not what it must be.
    #[error("{part} is malformed: {source}")]
    Document {
        /// The part.
        part: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A document says something that cannot be.
    #[error("{part} is malformed: {reason}")]
    Malformed {
        /// The part.
        part: String,
        /// Why.
        reason: &'static str,
    },
    /// The bytes are not those that were promised.
    #[error("{part} is damaged or forged: its digest is {got}, and {expected} was promised")]
    Digest {
        /// The part.
        part: String,
        /// What the image promises.
        expected: Digest,
        /// What is there.
        got: Digest,
    },
    /// The length is not the one that was promised.
    #[error("{part} is damaged or forged: it has {got} bytes, and {expected} were promised")]
    Size {
        /// The part.
        part: String,
        /// What the image promises.
        expected: u64,
        /// What is there.
        got: u64,
    },
    /// No image for this platform.
    #[error("the image is for {}, and {wanted} is wanted; choose another with --platform", available.join(", "))]
    Platform {
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        available: Vec<String>,
    },
    /// One name, several images.
    #[error(
        "the source holds {count} images, so one name cannot be given; import it without a name"
    )]
    Several {
        /// How many.
        count: usize,
    },
    /// A bound was hit.
    #[error("{part} is over the bound of {max} {what}")]
    Limit {
        /// The part.
        part: String,
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// A layer cannot be unpacked.
    #[error("layer {layer}: {source}")]
    Layer {
        /// The layer, by the digest of its uncompressed tar.
        layer: Digest,
        /// Why not.
        source: UnpackError,
    },
}

/// What is to be done for one image.
struct Plan {
    /// The manifest, the configuration and the indexes above, as bytes.
    manifest: Vec<u8>,
    config: Vec<u8>,
    indexes: Vec<Vec<u8>>,
    platform: Platform,
    names: Vec<String>,
    layers: Vec<LayerPlan>,
}

/// Where a layer is, and what was promised of it.
struct LayerPlan {
    part: String,
    diff_id: Digest,
    blob: Option<(Digest, u64)>,
}

impl Store {
    /// Imports all images of `source` that are for the wanted platform.
    ///
    /// Blocks while it reads, and while another process unpacks into this store; so an asynchronous
    /// program calls it on a thread of its own.
    ///
    /// # Errors
    /// When the source is damaged, hostile, for another platform or over a bound. Nothing of it is
    /// visible then.
    pub fn import(
        &self,
        source: Source,
        options: &ImportOptions,
    ) -> Result<Vec<Imported>, ImportError> {
        let name = options.reference.as_deref().map(str::parse::<ImageName>).transpose()?;
        let workspace = {
            let lock = self.lock()?;
            Workspace::new(self, &lock)?
        };
        // A slow stream is spooled without the lock, so that it holds nobody up.
        let parts = Parts::open(source, workspace.path(), options)?;
        let mut plans = plan(&parts, &options.platform)?;
        if let Some(name) = name {
            match plans.as_mut_slice() {
                [only] => only.names = vec![name.to_string()],
                many => return Err(ImportError::Several { count: many.len() }),
            }
        }
        let _lock = self.lock()?;
        let mut catalogue = Catalogue::read(&self.index_dir())?;
        let new = self.unpack_missing(&parts, &plans, &workspace, options, &catalogue)?;
        self.publish_layers(&workspace, &new)?;
        let mut all = Vec::with_capacity(plans.len());
        for plan in &plans {
            all.push(self.publish_image(plan, &new, &workspace, &mut catalogue)?);
        }
        Ok(all)
    }

    /// Unpacks, aside, each layer that the store has not, or not whole.
    fn unpack_missing(
        &self,
        parts: &Parts,
        plans: &[Plan],
        workspace: &Workspace,
        options: &ImportOptions,
        known: &Catalogue,
    ) -> Result<BTreeMap<Digest, Unpacked>, ImportError> {
        let mut new = BTreeMap::new();
        for layer in plans.iter().flat_map(|plan| &plan.layers) {
            if new.contains_key(&layer.diff_id) || self.has_layer(known, &layer.diff_id) {
                continue;
            }
            let target = aside(workspace, &layer.diff_id);
            layer::make_target(&target)?;
            let unpacked = layer::unpack(parts, layer, &target, &options.limits)?;
            new.insert(layer.diff_id, unpacked);
            parts.release(&layer.part);
        }
        Ok(new)
    }

    fn has_layer(&self, known: &Catalogue, diff_id: &Digest) -> bool {
        let folder = self.layer(diff_id);
        known.layer(diff_id).map_or_else(|| folder.is_dir(), |layer| layer.is_whole(&folder))
    }

    /// Makes the new layers durable, and then moves them to their place.
    fn publish_layers(
        &self,
        workspace: &Workspace,
        new: &BTreeMap<Digest, Unpacked>,
    ) -> Result<(), StoreError> {
        if new.is_empty() {
            return Ok(());
        }
        let folder = workspace.path();
        let opened = File::open(folder).map_err(io_at("open", folder))?;
        rustix::fs::syncfs(&opened).map_err(|e| io_at("sync", folder)(e.into()))?;
        for diff_id in new.keys() {
            let place = self.layer(diff_id);
            if place.is_dir() {
                let away = self.damaged(diff_id);
                remove_tree(&away)?;
                fs::rename(&place, &away).map_err(io_at("move away", &place))?;
            }
            fs::rename(aside(workspace, diff_id), &place).map_err(io_at("put", &place))?;
        }
        let layers = self.layers();
        durable::sync_folder(&layers).map_err(io_at("sync", &layers))
    }

    fn publish_image(
        &self,
        plan: &Plan,
        new: &BTreeMap<Digest, Unpacked>,
        workspace: &Workspace,
        catalogue: &mut Catalogue,
    ) -> Result<Imported, StoreError> {
        let manifest = self.put_blob(workspace.path(), &plan.manifest)?;
        let config = self.put_blob(workspace.path(), &plan.config)?;
        let mut aliases = Vec::with_capacity(plan.indexes.len());
        for index in &plan.indexes {
            aliases.push(self.put_blob(workspace.path(), index)?);
        }
        let blobs = self.blobs();
        durable::sync_folder(&blobs).map_err(io_at("sync", &blobs))?;
        let mut record = StoredRecord::new(manifest, config, plan.platform.clone());
        for layer in &plan.layers {
            record.layers.push(match new.get(&layer.diff_id).cloned() {
                Some(Unpacked { bytes, witnesses, .. }) => {
                    StoredLayer { diff_id: layer.diff_id, bytes, witnesses }
                }
                None => self.shared_layer(catalogue, &layer.diff_id)?,
            });
        }
        if let Some(old) = catalogue.records.iter().find(|r| r.manifest == manifest) {
            record.names.clone_from(&old.names);
            record.aliases.clone_from(&old.aliases);
        }
        catalogue.install(self, workspace, record, &plan.names, &aliases)?;
        let is_new = |layer: &&LayerPlan| new.contains_key(&layer.diff_id);
        let layers_new = plan.layers.iter().filter(is_new).count();
        Ok(Imported {
            digest: manifest,
            names: plan.names.clone(),
            layers_new,
            layers_shared: plan.layers.len() - layers_new,
            bytes: plan.layers.iter().filter_map(|l| new.get(&l.diff_id)).map(|l| l.bytes).sum(),
        })
    }

    fn shared_layer(&self, known: &Catalogue, id: &Digest) -> Result<StoredLayer, StoreError> {
        if let Some(layer) = known.layer(id) {
            return Ok(layer.clone());
        }
        let bytes = crate::store::content_size(&self.layer(id))?;
        Ok(StoredLayer { diff_id: *id, bytes, witnesses: Vec::new() })
    }
}

fn aside(workspace: &Workspace, diff_id: &Digest) -> PathBuf {
    workspace.path().join(format!("layer-{}", diff_id.hex()))
}

fn plan(parts: &Parts, wanted: &Platform) -> Result<Vec<Plan>, ImportError> {
    if parts.has("index.json")? {
        oci::plan(parts, wanted)
    } else if parts.has("manifest.json")? {
        docker::plan(parts, wanted)
    } else {
        Err(ImportError::NotAnImage { what: parts.shown().to_owned() })
    }
}

/// Refuses an image for another machine, which would fail later with less to say.
fn check_platform(image: &Platform, wanted: &Platform) -> Result<(), ImportError> {
    if image.architecture.is_empty() || wanted.suits(image).is_some() {
        return Ok(());
    }
    Err(ImportError::Platform { wanted: wanted.clone(), available: vec![image.to_string()] })
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The name that a path suggests: its last part, without what says "tar".
fn stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let endings = [".tar.gz", ".tar.zst", ".tgz", ".tar", ".oci"];
    let stem = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    crate::reference::is_component(stem).then(|| stem.to_owned())
}

#[cfg(test)]
mod tests;
