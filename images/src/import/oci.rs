//! Plans from an OCI image layout: which manifests, of which platform, under which names.
//!
//! Decides from documents whose digests it has checked. Follows indexes in indexes to a small depth.
//! Reads no layer: [`super::layer`] does.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use skerry_core::ids::Digest;

use super::parts::Parts;
use super::{ImportError, LayerPlan, Plan, blob_path, check_platform, docker};
use crate::media::{
    CONFIG, Config, DOCKER_CONFIG, DOCUMENT_MAX, Descriptor, Document, IMAGE_NAME, Index, Manifest,
    REF_NAME,
};
use crate::platform::Platform;
use crate::reference::{ImageName, is_tag};

const DEPTH_MAX: usize = 4;
/// overlayfs takes no more folders than 500; no honest image comes near.
pub(super) const LAYERS_MAX: usize = 256;
const IMAGES_MAX: usize = 256;

/// Plans all images that a layout's `index.json` lists.
pub(super) fn plan(parts: &Parts, wanted: &Platform) -> Result<Vec<Plan>, ImportError> {
    let bytes = parts.read("index.json", DOCUMENT_MAX)?;
    let index: Index = json("index.json", &bytes)?;
    if index.manifests.is_empty() || index.manifests.len() > IMAGES_MAX {
        return Err(malformed("index.json", "it lists no image, or too many"));
    }
    let docker_names = docker::names_by_config(parts)?;
    let mut plans: Vec<Plan> = Vec::new();
    for (name, candidates) in by_name(index.manifests, parts.stem()) {
        let mut indexes = Vec::new();
        let chosen = choose(parts, candidates, wanted, &mut indexes, DEPTH_MAX)?;
        let mut plan = image(parts, &chosen, indexes, wanted)?;
        plan.names.extend(name.map(|n| n.to_string()));
        if plan.names.is_empty() {
            let config = Digest::of(&plan.config);
            plan.names = docker_names.get(&config).cloned().unwrap_or_default();
        }
        match plans.iter_mut().find(|p| p.manifest == plan.manifest) {
            Some(same) => same.names.extend(plan.names),
            None => plans.push(plan),
        }
    }
    for plan in &mut plans {
        plan.names.sort();
        plan.names.dedup();
    }
    Ok(plans)
}

/// Entries of one name are one image for several platforms; those without a name are each their own,
/// unless all of them state a platform.
fn by_name(all: Vec<Descriptor>, stem: Option<&str>) -> Vec<(Option<ImageName>, Vec<Descriptor>)> {
    let mut named: BTreeMap<ImageName, Vec<Descriptor>> = BTreeMap::new();
    let mut nameless = Vec::new();
    for descriptor in all {
        match name_of(&descriptor, stem) {
            Some(name) => named.entry(name).or_default().push(descriptor),
            None => nameless.push(descriptor),
        }
    }
    let mut groups: Vec<_> = named.into_iter().map(|(name, all)| (Some(name), all)).collect();
    if nameless.len() > 1 && nameless.iter().all(|d| d.platform.is_some()) {
        groups.push((None, nameless));
    } else {
        groups.extend(nameless.into_iter().map(|one| (None, vec![one])));
    }
    groups
}

/// A whole name if one is stated; else a bare tag, to which the source's path lends a name.
fn name_of(descriptor: &Descriptor, stem: Option<&str>) -> Option<ImageName> {
    let stated = |key: &str| descriptor.annotations.get(key).filter(|text| !text.is_empty());
    if let Some(name) = stated(IMAGE_NAME).and_then(|text| text.parse().ok()) {
        return Some(name);
    }
    let text = stated(REF_NAME)?;
    if text.contains(['/', ':']) {
        return text.parse().ok();
    }
    let stem = stem.filter(|_| is_tag(text))?;
    format!("{stem}:{text}").parse().ok()
}

/// The manifest that suits best, however many indexes are above it.
fn choose(
    parts: &Parts,
    candidates: Vec<Descriptor>,
    wanted: &Platform,
    indexes: &mut Vec<Vec<u8>>,
    depth: usize,
) -> Result<Descriptor, ImportError> {
    let chosen = match <[Descriptor; 1]>::try_from(candidates) {
        Ok([only]) => only,
        Err(several) => best(parts, several, wanted)?,
    };
    let part = blob_path(&chosen.digest);
    let bytes = document(parts, &chosen)?;
    let document: Document = json(&part, &bytes)?;
    match (document.manifests, document.config, document.layers) {
        (None, Some(_), Some(_)) => Ok(chosen),
        (Some(_), None, None) if depth == 0 => {
            let (what, max) = ("indexes one in another", DEPTH_MAX as u64);
            Err(ImportError::Limit { part, what, max })
        }
        (Some(manifests), None, None) if manifests.len() <= IMAGES_MAX => {
            indexes.push(bytes);
            let manifests = manifests.into_iter().filter(is_no_attestation).collect::<Vec<_>>();
            if manifests.is_empty() {
                return Err(malformed(&part, "the index lists no image"));
            }
            choose(parts, manifests, wanted, indexes, depth - 1)
        }
        _ => Err(malformed(&part, "it is neither an image manifest nor an index")),
    }
}

/// Build tools put notes of theirs among the images.
fn is_no_attestation(descriptor: &Descriptor) -> bool {
    !descriptor.annotations.contains_key("vnd.docker.reference.type")
        && descriptor.platform.as_ref().is_none_or(|p| p.architecture != "unknown")
}

fn best(
    parts: &Parts,
    candidates: Vec<Descriptor>,
    wanted: &Platform,
) -> Result<Descriptor, ImportError> {
    let mut available = Vec::new();
    let mut best: Option<(u32, Descriptor)> = None;
    for candidate in candidates {
        let platform = match &candidate.platform {
            Some(platform) => platform.clone(),
            None => stated_platform(parts, &candidate)?,
        };
        available.push(platform.to_string());
        let Some(rank) = wanted.suits(&platform) else { continue };
        if best.as_ref().is_none_or(|(highest, _)| rank > *highest) {
            best = Some((rank, candidate));
        }
    }
    available.sort();
    available.dedup();
    let missing = || ImportError::Platform { wanted: wanted.clone(), available };
    best.map(|(_, descriptor)| descriptor).ok_or_else(missing)
}

/// The platform of a manifest by its configuration.
fn stated_platform(parts: &Parts, descriptor: &Descriptor) -> Result<Platform, ImportError> {
    let part = blob_path(&descriptor.digest);
    let manifest: Manifest = json(&part, &document(parts, descriptor)?)?;
    let config = document(parts, &manifest.config)?;
    Ok(platform_of(&json(&blob_path(&manifest.config.digest), &config)?))
}

pub(super) fn platform_of(config: &Config) -> Platform {
    Platform {
        architecture: config.architecture.clone(),
        os: config.os.clone(),
        variant: config.variant.clone(),
    }
}

fn image(
    parts: &Parts,
    descriptor: &Descriptor,
    indexes: Vec<Vec<u8>>,
    wanted: &Platform,
) -> Result<Plan, ImportError> {
    let part = blob_path(&descriptor.digest);
    let bytes = document(parts, descriptor)?;
    let manifest: Manifest = json(&part, &bytes)?;
    if ![CONFIG, DOCKER_CONFIG].contains(&manifest.config.media_type.as_str()) {
        return Err(malformed(&part, "it is some other artifact, and no container image"));
    }
    let config_bytes = document(parts, &manifest.config)?;
    let config_part = blob_path(&manifest.config.digest);
    let config: Config = json(&config_part, &config_bytes)?;
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(malformed(&config_part, "it has not as many diff_ids as there are layers"));
    }
    check_layer_count(&part, manifest.layers.len())?;
    let platform = platform_of(&config);
    check_platform(&platform, wanted)?;
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        if layer.media_type.contains("encrypted") {
            return Err(malformed(&part, "a layer is encrypted, which is not supported"));
        }
        let blob = Some((layer.digest, layer.size));
        layers.push(LayerPlan { part: blob_path(&layer.digest), diff_id: *diff_id, blob });
    }
    let names = Vec::new();
    Ok(Plan { manifest: bytes, config: config_bytes, indexes, platform, names, layers })
}

pub(super) fn check_layer_count(part: &str, count: usize) -> Result<(), ImportError> {
    if count <= LAYERS_MAX {
        return Ok(());
    }
    let (part, max) = (part.to_owned(), LAYERS_MAX as u64);
    Err(ImportError::Limit { part, what: "layers", max })
}

/// The bytes of a small blob, of the promised size and digest.
fn document(parts: &Parts, descriptor: &Descriptor) -> Result<Vec<u8>, ImportError> {
    let part = blob_path(&descriptor.digest);
    let bytes = parts.read(&part, DOCUMENT_MAX)?;
    if bytes.len() as u64 != descriptor.size {
        let (expected, got) = (descriptor.size, bytes.len() as u64);
        return Err(ImportError::Size { part, expected, got });
    }
    let (expected, got) = (descriptor.digest, Digest::of(&bytes));
    if got != expected {
        return Err(ImportError::Digest { part, expected, got });
    }
    Ok(bytes)
}

pub(super) fn json<T: DeserializeOwned>(part: &str, bytes: &[u8]) -> Result<T, ImportError> {
    serde_json::from_slice(bytes)
        .map_err(|source| ImportError::Document { part: part.to_owned(), source })
}

pub(super) fn malformed(part: &str, reason: &'static str) -> ImportError {
    ImportError::Malformed { part: part.to_owned(), reason }
}
