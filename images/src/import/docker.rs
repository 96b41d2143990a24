//! Plans from the older form of `docker save`: a `manifest.json`, a configuration and tars by path.
//!
//! Such an archive has no OCI manifest, so one is made; the same archive always gives the same one.
//! Newer archives hold an OCI layout too, and are read as that, with the names from here.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;
use skerry_core::ids::Digest;

use super::oci::{check_layer_count, json, malformed, platform_of};
use super::parts::Parts;
use super::{ImportError, LayerPlan, Plan, check_platform};
use crate::decode::Compression;
use crate::hash::{Hash, HashingReader};
use crate::media::{
    CONFIG, Config, DOCUMENT_MAX, Descriptor, LAYER, LAYER_GZIP, LAYER_ZSTD, MANIFEST, Manifest,
};
use crate::platform::Platform;
use crate::reference::ImageName;

/// One entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Saved {
    fn names(&self) -> Vec<String> {
        let tags = self.repo_tags.iter().flatten();
        tags.filter_map(|tag| tag.parse::<ImageName>().ok()).map(|n| n.to_string()).collect()
    }
}

fn saved(parts: &Parts) -> Result<Vec<Saved>, ImportError> {
    let bytes = parts.read("manifest.json", DOCUMENT_MAX)?;
    json("manifest.json", &bytes)
}

/// The names that a newer archive's `manifest.json` adds, by the digest of the configuration.
pub(super) fn names_by_config(parts: &Parts) -> Result<BTreeMap<Digest, Vec<String>>, ImportError> {
    if !parts.has("manifest.json")? {
        return Ok(BTreeMap::new());
    }
    let by_digest = saved(parts)?.into_iter().filter_map(|saved| {
        let file = saved.config.rsplit('/').next()?;
        let hex = file.strip_suffix(".json").unwrap_or(file);
        Some((format!("sha256:{hex}").parse().ok()?, saved.names()))
    });
    Ok(by_digest.collect())
}

/// Plans all images of a `docker save` archive.
pub(super) fn plan(parts: &Parts, wanted: &Platform) -> Result<Vec<Plan>, ImportError> {
    let all = saved(parts)?;
    if all.is_empty() {
        return Err(malformed("manifest.json", "it lists no image"));
    }
    all.iter().map(|saved| image(parts, saved, wanted)).collect()
}

fn image(parts: &Parts, saved: &Saved, wanted: &Platform) -> Result<Plan, ImportError> {
    let config = parts.read(&saved.config, DOCUMENT_MAX)?;
    let read: Config = json(&saved.config, &config)?;
    if read.rootfs.diff_ids.len() != saved.layers.len() {
        return Err(malformed(&saved.config, "it has not as many diff_ids as there are layers"));
    }
    check_layer_count("manifest.json", saved.layers.len())?;
    let platform = platform_of(&read);
    check_platform(&platform, wanted)?;
    let mut layers = Vec::with_capacity(saved.layers.len());
    let mut descriptors = Vec::with_capacity(saved.layers.len());
    for (part, diff_id) in saved.layers.iter().zip(&read.rootfs.diff_ids) {
        let descriptor = describe(parts, part, diff_id)?;
        let blob = Some((descriptor.digest, descriptor.size));
        layers.push(LayerPlan { part: part.clone(), diff_id: *diff_id, blob });
        descriptors.push(descriptor);
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        config: descriptor(CONFIG, Digest::of(&config), config.len() as u64),
        layers: descriptors,
    };
    let manifest = serde_json::to_vec(&manifest)
        .map_err(|source| ImportError::Document { part: "manifest.json".to_owned(), source })?;
    let (indexes, names) = (Vec::new(), saved.names());
    Ok(Plan { manifest, config, indexes, platform, names, layers })
}

/// A plain tar is known by its diff_id; a compressed one must be hashed for its own digest.
fn describe(parts: &Parts, part: &str, diff_id: &Digest) -> Result<Descriptor, ImportError> {
    let mut opened = parts.need(part)?;
    let failed = |source| ImportError::Read { operation: "read", what: part.to_owned(), source };
    let mut first = Vec::with_capacity(4);
    opened.reader.by_ref().take(4).read_to_end(&mut first).map_err(failed)?;
    let kind = match Compression::of(&first) {
        Compression::None => return Ok(descriptor(LAYER, *diff_id, opened.size)),
        Compression::Gzip => LAYER_GZIP,
        Compression::Zstd => LAYER_ZSTD,
    };
    if let Some(digest) = opened.known {
        return Ok(descriptor(kind, digest, opened.size));
    }
    let size = opened.size;
    let mut reader = HashingReader::new(first.chain(opened.reader), Some(Hash::sized(size)));
    std::io::copy(&mut reader, &mut std::io::sink()).map_err(failed)?;
    let (_, size, digest) = reader.finish().map_err(failed)?;
    Ok(descriptor(kind, digest.unwrap_or(*diff_id), size))
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    let media_type = media_type.to_owned();
    Descriptor { media_type, digest, size, platform: None, annotations: BTreeMap::new() }
}
