//! `skerry image`: the images on this device; and what other verbs want to know of them.
//!
//! Works on the content store itself, whose own lock keeps writers apart; the node need not run.
//! Only where an image is to go the node is asked which ones its agents need. How an image is
//! packed is in `pack.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use skerry_core::ids::Digest;
use skerry_core::reading::nearest;
use skerry_images::{Image, ImageConfig, ImageRecord, ImportOptions, Imported, Platform, Source};
use skerry_images::{Store, StoreError};

use super::failure::Refusal;
use super::table::{self, NOTHING};
use super::{Format, Place, block_on, output, pack, units};
use crate::client::{Client, ClientError};

const HEADERS: [&str; 5] = ["NAME", "DIGEST", "SIZE", "LAYERS", "PLATFORM"];

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    /// Import an OCI layout or a docker save archive
    Import(ImportArgs),
    /// List images
    Ls(LsArgs),
    /// Show everything known of images, as JSON
    Inspect(ReferenceArgs),
    /// Remove a name; with its last name, the image
    Rm(RmArgs),
    /// Give an image one more name
    Tag(TagArgs),
    /// Remove images that have no name and are not used
    Prune(PruneArgs),
    /// Pack a folder into an image, without docker
    Pack(Box<pack::PackArgs>),
}

/// Imports an image; all of it is checked before anything of it is visible
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// A tar file, a folder with an OCI layout, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    source: PathBuf,
    /// The name to give it, instead of those that it states
    #[arg(long)]
    name: Option<String>,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
}

/// Lists images
#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    /// Only digests, in full
    #[arg(short, long)]
    quiet: bool,
    /// How to print them
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|json"
    )]
    format: Format,
}

/// Images by name or digest.
#[derive(Debug, Clone, Args)]
pub struct ReferenceArgs {
    /// The images, by name, digest, or the first digits of one
    #[arg(required = true, value_name = "IMAGE")]
    references: Vec<String>,
}

/// Removes a name; with its last name, or by its digest, the image goes too
#[derive(Debug, Clone, Args)]
pub struct RmArgs {
    #[command(flatten)]
    images: ReferenceArgs,
    /// Do not ask the node whether an agent needs it
    #[arg(short, long)]
    force: bool,
}

/// Gives an image one more name, and takes that from any other
#[derive(Debug, Clone, Args)]
pub struct TagArgs {
    /// The image
    image: String,
    /// Its new name, such as sensor:1.0
    name: String,
}

/// Removes images that have no name and are not used
#[derive(Debug, Clone, Args)]
pub struct PruneArgs {
    /// Do not ask the node which images its agents need
    #[arg(short, long)]
    force: bool,
}

/// Carries out one verb.
pub fn image(place: &Place, verb: ImageVerb) -> anyhow::Result<ExitCode> {
    let state_dir = place.state_dir();
    match verb {
        ImageVerb::Import(args) => import(&state_dir, args)?,
        ImageVerb::Ls(args) => ls(&state_dir, &args)?,
        ImageVerb::Inspect(args) => inspect(&state_dir, &args)?,
        ImageVerb::Rm(args) => remove(place, &args)?,
        ImageVerb::Tag(args) => {
            let record = open(&state_dir)?.tag(&args.image, &args.name)?;
            output::line(&format!("{}  {}", args.name, record.digest))?;
        }
        ImageVerb::Prune(args) => prune(place, &args)?,
        ImageVerb::Pack(args) => pack::pack(&state_dir, *args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The digest of the image that is meant; a full digest needs no store.
pub fn resolve(state_dir: &Path, reference: &str) -> anyhow::Result<Digest> {
    if let Ok(digest) = reference.parse() {
        return Ok(digest);
    }
    Ok(find(state_dir, reference)?.digest)
}

/// The first name of each image, as far as the store can be read.
pub fn names(state_dir: &Path) -> BTreeMap<Digest, String> {
    let mut names = BTreeMap::new();
    // Whoever may not read the store sees digests instead.
    let records = existing(state_dir).and_then(|store| store.list().ok()).unwrap_or_default();
    for record in records {
        let Some(name) = record.names.first() else { continue };
        for digest in record.aliases.iter().chain([&record.digest]) {
            names.insert(*digest, name.clone());
        }
    }
    names
}

/// The store, made if there is none.
pub fn open(state_dir: &Path) -> Result<Store, StoreError> {
    Store::open(state_dir)
}

/// The store, if there is one: reading must not make folders.
fn existing(state_dir: &Path) -> Option<Store> {
    state_dir.join("images").is_dir().then(|| Store::open(state_dir).ok()).flatten()
}

fn find(state_dir: &Path, reference: &str) -> anyhow::Result<ImageRecord> {
    let absent = StoreError::NotFound { reference: reference.to_owned() };
    let Some(store) = existing(state_dir) else { return Err(absent.into()) };
    match store.resolve(reference) {
        Err(StoreError::NotFound { .. }) => {
            let known = store.list()?;
            Err(not_found(reference, &known).map_or_else(|| absent.into(), Into::into))
        }
        found => Ok(found?),
    }
}

fn not_found(reference: &str, known: &[ImageRecord]) -> Option<Refusal> {
    let names = known.iter().flat_map(|record| &record.names);
    // `sensr` is compared with `sensor` as well as with `sensor:latest`.
    let spellings = names.flat_map(|name| [name.strip_suffix(":latest"), Some(name.as_str())]);
    let meant = nearest(reference, spellings.flatten())?;
    Some(Refusal(format!("no image '{reference}' in the store; did you mean '{meant}'?")))
}

fn import(state_dir: &Path, args: ImportArgs) -> anyhow::Result<()> {
    let source = match args.source.to_str() {
        Some("-") => Source::Reader(Box::new(io::stdin())),
        _ => Source::Path(args.source),
    };
    import_from(state_dir, source, args.name, args.quiet)
}

/// Imports what a source holds, and prints a line for each image.
pub fn import_from(
    state_dir: &Path,
    source: Source,
    name: Option<String>,
    quiet: bool,
) -> anyhow::Result<()> {
    let options = ImportOptions { reference: name, ..ImportOptions::default() };
    for image in open(state_dir)?.import(source, &options)? {
        output::line(&if quiet { image.digest.to_string() } else { imported(&image) })?;
    }
    Ok(())
}

fn imported(image: &Imported) -> String {
    let names =
        if image.names.is_empty() { "(no name)".to_owned() } else { image.names.join(", ") };
    let layers = image.layers_new + image.layers_shared;
    format!(
        "{names}  {}  {layers} {}, {} new, {}",
        image.digest,
        if layers == 1 { "layer" } else { "layers" },
        image.layers_new,
        units::bytes(image.bytes)
    )
}

fn ls(state_dir: &Path, args: &LsArgs) -> anyhow::Result<()> {
    let records = match existing(state_dir) {
        Some(store) => store.list()?,
        None => Vec::new(),
    };
    if args.quiet {
        return records.iter().try_for_each(|record| output::line(&record.digest.to_string()));
    }
    match args.format {
        Format::Json => output::json(&records),
        Format::Table => output::line(&table::table(&HEADERS, &rows(&records))),
    }
}

fn rows(records: &[ImageRecord]) -> Vec<Vec<String>> {
    let row = |record: &ImageRecord, name: &str| {
        vec![
            name.to_owned(),
            record.digest.short(),
            units::bytes(record.size),
            record.layers.len().to_string(),
            record.platform.to_string(),
        ]
    };
    let line = |record: &ImageRecord| match record.names.as_slice() {
        [] => vec![row(record, NOTHING)],
        names => names.iter().map(|name| row(record, name)).collect(),
    };
    records.iter().flat_map(line).collect()
}

/// An image in the JSON form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Known<'a> {
    digest: Digest,
    names: &'a [String],
    aliases: &'a [Digest],
    platform: &'a Platform,
    layers: &'a [Digest],
    layer_dirs: &'a [PathBuf],
    size: u64,
    config: KnownConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KnownConfig<'a> {
    digest: Digest,
    entrypoint: &'a [String],
    cmd: &'a [String],
    env: &'a [String],
    user: Option<&'a str>,
    working_dir: Option<&'a str>,
    stop_signal: Option<&'a str>,
    exposed_ports: &'a [String],
    labels: &'a BTreeMap<String, String>,
}

fn known<'a>(record: &'a ImageRecord, image: &'a Image) -> Known<'a> {
    let config: &ImageConfig = &image.config;
    Known {
        digest: record.digest,
        names: &record.names,
        aliases: &record.aliases,
        platform: &record.platform,
        layers: &record.layers,
        layer_dirs: &image.layers,
        size: record.size,
        config: KnownConfig {
            digest: record.config,
            entrypoint: &config.entrypoint,
            cmd: &config.cmd,
            env: &config.env,
            user: config.user.as_deref(),
            working_dir: config.working_dir.as_deref(),
            stop_signal: config.stop_signal.as_deref(),
            exposed_ports: &config.exposed_ports,
            labels: &config.labels,
        },
    }
}

fn inspect(state_dir: &Path, args: &ReferenceArgs) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for reference in &args.references {
        let record = find(state_dir, reference)?;
        let image = open(state_dir)?.image(&record.digest)?;
        found.push((record, image));
    }
    let all: Vec<_> = found.iter().map(|(record, image)| known(record, image)).collect();
    output::json(&all)
}

fn remove(place: &Place, args: &RmArgs) -> anyhow::Result<()> {
    let used = used(place, args.force)?;
    for reference in &args.images.references {
        let store = existing(&place.state_dir());
        let absent = || StoreError::NotFound { reference: reference.clone() };
        let removed =
            store.ok_or_else(absent)?.remove(reference, &|digest| used.contains(digest))?;
        for name in &removed.names {
            output::line(&format!("untagged {name}"))?;
        }
        if let Some(digest) = removed.image {
            let freed = units::bytes(removed.freed.bytes);
            output::line(&format!("removed {digest}, {freed} freed"))?;
        }
    }
    Ok(())
}

fn prune(place: &Place, args: &PruneArgs) -> anyhow::Result<()> {
    let used = used(place, args.force)?;
    let Some(store) = existing(&place.state_dir()) else { return Ok(()) };
    let freed = store.prune(&|digest| used.contains(digest))?;
    for digest in &freed.images {
        output::line(&format!("removed {digest}"))?;
    }
    output::line(&format!("{} freed", units::bytes(freed.bytes)))
}

/// The images that agents run from, or are to run from.
fn used(place: &Place, force: bool) -> anyhow::Result<BTreeSet<Digest>> {
    if force {
        return Ok(BTreeSet::new());
    }
    match block_on(used_by_agents(&place.client()))? {
        Ok(used) => Ok(used),
        Err(error @ (ClientError::NoSocket(_) | ClientError::NobodyListens(_))) => {
            let text = format!(
                "cannot tell which images agents need: {error}, or remove images anyway: --force"
            );
            Err(Refusal(text).into())
        }
        Err(error) => Err(error.into()),
    }
}

async fn used_by_agents(client: &Client) -> Result<BTreeSet<Digest>, ClientError> {
    let mut used = BTreeSet::new();
    for (name, status) in client.agents(None).await?.agents {
        used.insert(status.image);
        // An agent that is being changed needs the old image and the new one.
        let detail = match client.agent(&name).await {
            Ok(detail) => detail,
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        used.extend(detail.desired.into_iter().chain(detail.running).map(|spec| spec.image));
    }
    Ok(used)
}
