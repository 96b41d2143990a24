//! `skerry import`: what somebody carries to the device, because no network does.
//!
//! Images first, then documents, which name them. It trusts nothing of what it finds: images are known by
//! their digest, and documents go the way of those from the broker (`inbox.rs`).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use skerry_core::bundle::BUNDLE_MAX;
use skerry_images::Source;

use super::failure::{self, Partly, Refusal};
use super::{image, output};
use crate::client::Client;
use crate::inbox::Fate;

/// Files that are looked at in one folder.
const FILES_MAX: usize = 4096;

/// Takes signed documents (*.bundle) and images (*.tar, *.tar.gz, *.tgz, *.tar.zst).
///
/// Of a folder, such as a mounted stick, every such file is taken: images first, then documents by name.
/// A document counts only if its signatures, its audience and its version do, as if the broker had sent it.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// Files or folders; what lies in folders below is left alone
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// What a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Image,
    Document,
}

/// Takes everything, and tells of each file what became of it.
pub async fn import(
    client: &Client,
    state_dir: &Path,
    args: &ImportArgs,
) -> anyhow::Result<ExitCode> {
    let found = gather(&args.paths)?;
    let mut failed = 0;
    for (kind, path) in &found {
        let taken = match kind {
            Kind::Image => take_image(state_dir, path),
            Kind::Document => take_document(client, path).await,
        };
        if let Err(error) = taken {
            failed += 1;
            failure::say(&error.context(path.display().to_string()));
        }
    }
    match failed {
        0 => Ok(ExitCode::SUCCESS),
        failed => Err(Partly { failed, all: found.len() }.into()),
    }
}

/// The files, in the order in which they are taken.
fn gather(paths: &[PathBuf]) -> anyhow::Result<Vec<(Kind, PathBuf)>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            let kind = kind_of(path).ok_or_else(|| {
                let path = path.display();
                Refusal(format!(
                    "{path}: neither a document (*.bundle) nor an image (*.tar, *.tar.gz)"
                ))
            })?;
            found.push((kind, path.clone()));
            continue;
        }
        let entries = std::fs::read_dir(path)
            .with_context(|| format!("cannot read the folder {}", path.display()))?;
        let files = entries.flatten().take(FILES_MAX).map(|entry| entry.path());
        found.extend(files.filter_map(|file| Some((kind_of(&file)?, file))));
    }
    if found.is_empty() {
        let text = "there is no document (*.bundle) and no image (*.tar, *.tar.gz) there";
        return Err(Refusal(text.to_owned()).into());
    }
    found.sort();
    Ok(found)
}

fn kind_of(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    // What a Mac leaves on each stick beside the file that is meant.
    if name.starts_with("._") {
        return None;
    }
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".bundle"]) {
        Some(Kind::Document)
    } else if ends(&[".tar", ".tar.gz", ".tgz", ".tar.zst"]) {
        Some(Kind::Image)
    } else {
        None
    }
}

fn take_image(state_dir: &Path, path: &Path) -> anyhow::Result<()> {
    image::import_from(state_dir, Source::Path(path.to_owned()), None, false)
}

async fn take_document(client: &Client, path: &Path) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let limit = BUNDLE_MAX as u64 + 1;
    let _ = File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .context("cannot read the document")?;
    if bytes.len() > BUNDLE_MAX {
        return Err(Refusal(format!("is larger than {BUNDLE_MAX} bytes: no document is")).into());
    }
    let name = path.display();
    match client.document(bytes).await? {
        Fate::Accepted { version, digest } => {
            output::line(&format!("{name}: document {version} is in force  {digest}"))
        }
        Fate::Unchanged => output::line(&format!("{name}: is in force already")),
        Fate::Refused(why) => Err(Refusal(format!("refused: {why}")).into()),
    }
}

#[cfg(test)]
mod tests;
