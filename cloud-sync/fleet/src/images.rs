//! `skerry-fleet images`: says which images are genuine, with the keys that are kept off line.
//!
//! Decides what the list of images holds. What a node runs is signed elsewhere ([`crate::sign`]), with other
//! keys, and can only name what stands here. It never moves an image: those travel by other ways.

mod names;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use skerry_core::ids::Digest;
use skerry_core::trust::Repository;
use skerry_core::trust::catalogue::{ImageNotes, image_path};
use skerry_core::trust::metadata::TargetMeta;

pub use self::names::Names;
pub use self::source::Manifest;
use crate::release;
use crate::table::{NOTHING, table};
use crate::workspace::Workspace;
use crate::{files, output};

/// Says which images are genuine; only those can be in a document
#[derive(Debug, Subcommand)]
pub enum ImagesVerb {
    /// Call images genuine; needs the offline keys
    Add(AddArgs),
    /// Call an image genuine no longer; no new document can name it then; needs the offline keys
    Rm(RmArgs),
    /// Show what is genuine
    Ls,
    /// Sign the list anew, as it is, before it expires; needs the offline keys
    Refresh,
}

/// Calls images genuine
#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// Archives or folders of images (OCI), manifests, or digests with --size
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// What people call it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its bill of materials, whose digest is signed with it
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
    /// The statement about how it was built, whose digest is signed with it
    #[arg(long, value_name = "FILE")]
    provenance: Option<PathBuf>,
    /// How many bytes the manifest has, for an image that is given by its digest
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
}

/// Calls an image genuine no longer
#[derive(Debug, Clone, Args)]
pub struct RmArgs {
    /// Its digest
    #[arg(value_name = "DIGEST")]
    image: Digest,
}

/// Carries out a verb about images.
pub fn images(workspace: &Workspace, verb: &ImagesVerb) -> anyhow::Result<()> {
    match verb {
        ImagesVerb::Add(args) => add(workspace, args),
        ImagesVerb::Rm(args) => remove(workspace, &args.image),
        ImagesVerb::Ls => list(workspace),
        ImagesVerb::Refresh => {
            let _lock = workspace.lock()?;
            let listed = release::listed(workspace, Repository::Images)?;
            output::line(&release_images(workspace, &listed)?)
        }
    }
}

/// Calls these images genuine.
pub fn add(workspace: &Workspace, args: &AddArgs) -> anyhow::Result<()> {
    let digest = |file: &PathBuf| Ok::<_, anyhow::Error>(Digest::of(&files::read(file)?));
    let notes = ImageNotes {
        name: args.name.clone(),
        sbom: args.sbom.as_ref().map(digest).transpose()?,
        provenance: args.provenance.as_ref().map(digest).transpose()?,
    };
    let mut found = Vec::new();
    for image in &args.images {
        found.extend(source::read(image, args.size)?);
    }
    if notes != ImageNotes::default() && args.images.len() != 1 {
        bail!("--name, --sbom and --provenance are of one image, and {} are given", found.len());
    }
    said(&genuine(workspace, &found, &notes)?)
}

fn said(lines: &[String]) -> anyhow::Result<()> {
    lines.iter().try_for_each(|line| output::line(line))
}

/// The manifests of an archive or a folder.
pub fn read(image: &str) -> anyhow::Result<Vec<Manifest>> {
    source::read(image, None)
}

/// Adds manifests to the list, and signs it, if that changes it; what was done, line by line.
pub fn genuine(
    workspace: &Workspace,
    found: &[Manifest],
    notes: &ImageNotes,
) -> anyhow::Result<Vec<String>> {
    let _lock = workspace.lock()?;
    let mut listed = release::listed(workspace, Repository::Images)?;
    let (mut lines, mut changed) = (Vec::new(), false);
    for Manifest { digest, size } in found {
        let (path, meta) = TargetMeta::of_image(digest, *size, notes);
        let known = listed.get(&path);
        // Nothing said of it anew is no reason to sign again.
        if known.is_some_and(|known| *known == meta || *notes == ImageNotes::default()) {
            lines.push(format!("{digest} is genuine already"));
            continue;
        }
        listed.insert(path, meta);
        changed = true;
        lines.push(format!("{digest} is genuine"));
    }
    if changed {
        lines.push(release_images(workspace, &listed)?);
    }
    Ok(lines)
}

fn remove(workspace: &Workspace, image: &Digest) -> anyhow::Result<()> {
    let _lock = workspace.lock()?;
    let mut listed = release::listed(workspace, Repository::Images)?;
    if listed.remove(&image_path(image)).is_none() {
        bail!("{image} is not among the genuine images; see: skerry-fleet images ls");
    }
    for (address, text) in workspace.documents()? {
        if text.contains(&image.to_string()) {
            output::note(&format!(
                "the document for {address} names it: where it runs it runs on, and no node takes \
                 that document anew"
            ));
        }
    }
    output::line(&format!("{image} is genuine no longer"))?;
    output::line(&release_images(workspace, &listed)?)
}

fn release_images(
    workspace: &Workspace,
    listed: &BTreeMap<String, TargetMeta>,
) -> anyhow::Result<String> {
    let version = release::version(workspace, Repository::Images)?.saturating_add(1);
    release::sign(workspace, Repository::Images, version, listed, Timestamp::now())?;
    let count = listed.len();
    Ok(format!(
        "signed list {version} of {count} genuine images; it travels with the next document"
    ))
}

fn notes(meta: &TargetMeta) -> ImageNotes {
    let notes = meta.custom.clone().map(|notes| serde_json::from_value(notes.into()));
    notes.and_then(Result::ok).unwrap_or_default()
}

/// The digest in a target's path, as it is written in a spec.
fn written(path: &str) -> String {
    format!("sha256:{}", path.rsplit('/').next().unwrap_or(path))
}

fn list(workspace: &Workspace) -> anyhow::Result<()> {
    let listed = release::listed(workspace, Repository::Images)?;
    let nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let row = |(path, meta): (&String, &TargetMeta)| {
        let ImageNotes { name, sbom, provenance } = notes(meta);
        let short = |digest: Option<Digest>| nothing(digest.map(|digest| digest.short()));
        vec![written(path), nothing(name), short(sbom), short(provenance)]
    };
    let rows: Vec<_> = listed.iter().map(row).collect();
    output::line(&table(&["IMAGE", "NAME", "SBOM", "PROVENANCE"], &rows))
}

#[cfg(test)]
mod tests;
