//! `skerry-fleet sign` and `refresh`: makes the next document of a node or a group.
//!
//! Decides whether a file of agents can become that document, keeps it, and writes the bundle, which
//! goes to the broker ([`crate::publish`]) or onto a stick. It never talks to anybody.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use skerry_core::agent::AgentSpec;
use skerry_core::agent::SpecError;
use skerry_core::bundle::Address;
use skerry_core::document::{ApiVersion, Configs, Document};
use skerry_core::genuine::{Genuine, NotGenuine};
use skerry_core::ids::{GroupName, NodeName};
use skerry_core::manifest::Manifest;
use skerry_core::trust::Repository;

use crate::files::{self, Readers};
use crate::images::Names;
use crate::output;
use crate::release::{self, Ready};
use crate::workspace::Workspace;

/// Whom a document is for.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Audience {
    /// One node
    #[arg(long, value_name = "NAME")]
    node: Option<NodeName>,
    /// All nodes of a group
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
}

impl Audience {
    fn address(&self) -> Option<Address> {
        let node = self.node.clone().map(Address::Node);
        node.or_else(|| self.group.clone().map(Address::Group))
    }
}

/// Signs the agents of a file as the next document of a node or a group
#[derive(Debug, Clone, Args)]
pub struct SignArgs {
    /// The agents, in YAML or JSON: a list below 'agents', and configs below 'configs'
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    audience: Audience,
    /// The document's version; one more than the last by default
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Also write the bundle to a file, for a USB stick or to publish it later
    #[arg(short, long, value_name = "FILE.bundle")]
    output: Option<PathBuf>,
}

/// Why a file did not become a document.
#[derive(Debug, thiserror::Error)]
pub enum SignRefusal {
    /// It can be understood, and not be followed.
    #[error("{file}: {source}")]
    Spec {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: SpecError,
    },
    /// It names an image that may not run anywhere.
    #[error("{file}: {source}")]
    NotGenuine {
        /// The file.
        file: PathBuf,
        /// Which.
        source: NotGenuine,
    },
    /// Nodes would refuse the release.
    #[error(
        "release {offered} is not newer than release {last}, the last one signed; nodes would refuse it"
    )]
    Release {
        /// The version asked for.
        offered: u64,
        /// The last one.
        last: u64,
    },
    /// Nodes would refuse the version.
    #[error(
        "version {offered} is not newer than version {last}, the last one signed for {address}; nodes would refuse it"
    )]
    Version {
        /// The version asked for.
        offered: u64,
        /// The last one.
        last: u64,
        /// Whose.
        address: Address,
    },
}

/// What a document says must run.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// The agents.
    pub agents: Vec<AgentSpec>,
    /// The configs that they read.
    pub configs: Configs,
}

/// Signs the next document of an audience, and says what came of it.
pub fn sign(workspace: &Workspace, args: &SignArgs) -> anyhow::Result<()> {
    let Some(address) = args.audience.address() else { return Ok(()) };
    let _lock = workspace.lock()?;
    let content = read(&args.file, &Names::of(workspace)?)?;
    let version = next_version(workspace, &address, args.version)?;
    let count = content.agents.len();
    let ready = sign_document(workspace, &address, version, content, &args.file)?;
    output::line(&format!(
        "signed document {version} for {address}: {count} agents, {}, release {}",
        ready.digest, ready.release
    ))?;
    match &args.output {
        Some(path) => {
            files::write(path, &ready.bytes, Readers::All)?;
            output::line(&format!("wrote {} ({} bytes)", path.display(), ready.bytes.len()))
        }
        None => output::line(&format!("next: skerry-fleet publish {}", option(&address))),
    }
}

/// Reads and checks the agents of a file, whose images may be named as the genuine ones are.
fn read(file: &Path, names: &Names) -> anyhow::Result<Content> {
    let mut manifest = Manifest::default();
    let mut resolve = |image: &str| names.find(image);
    manifest.read(&file.display().to_string(), &files::read_text(file)?, &mut resolve);
    manifest.check_document(None);
    let (agents, configs) = manifest.finish()?;
    Ok(Content { agents, configs })
}

/// Signs all documents anew, as they are, before their metadata expires
#[derive(Debug, Clone, Default, Args)]
pub struct RefreshArgs {
    /// The release's version, where nodes have seen newer ones than this workspace knows of, which came
    /// back from a backup for instance; one more than the last by default
    #[arg(long, value_name = "N")]
    release: Option<u64>,
}

/// Signs all documents anew, as they are.
pub fn refresh(workspace: &Workspace, args: &RefreshArgs) -> anyhow::Result<()> {
    let _lock = workspace.lock()?;
    let documents = workspace.documents()?;
    let last = release::version(workspace, Repository::Director)?;
    let version = args.release.unwrap_or_else(|| last.saturating_add(1));
    if version <= last {
        return Err(SignRefusal::Release { offered: version, last }.into());
    }
    release::next_as(workspace, version, Timestamp::now())?;
    output::line(&format!(
        "signed release {version}: {} documents, as they were",
        documents.len()
    ))?;
    for address in documents.keys() {
        output::line(&format!("next: skerry-fleet publish {}", option(address)))?;
    }
    Ok(())
}

/// Makes a document of these agents, whatever its version, keeps it, and releases it.
pub fn sign_document(
    workspace: &Workspace,
    address: &Address,
    version: u64,
    Content { agents, configs }: Content,
    file: &Path,
) -> anyhow::Result<Ready> {
    let audience = address.clone();
    let document = Document { api_version: ApiVersion::V1, version, audience, configs, agents };
    document.check().map_err(|source| SignRefusal::Spec { file: file.to_owned(), source })?;
    let text = serde_json::to_string(&document)?;
    let now = Timestamp::now();
    // Before it is kept: a document that no node takes must not stand in the way of the next.
    Genuine::check(document, &release::catalogue(workspace, now)?)
        .map_err(|source| SignRefusal::NotGenuine { file: file.to_owned(), source })?;
    workspace.put_document(address, &text)?;
    release::next(workspace, now)?;
    Ok(release::bundle(workspace, address, now)?)
}

fn next_version(
    workspace: &Workspace,
    address: &Address,
    wanted: Option<u64>,
) -> anyhow::Result<u64> {
    let last = release::document(workspace, address)?.map_or(0, |(document, _)| document.version);
    match wanted {
        None => Ok(last.saturating_add(1)),
        Some(wanted) if wanted > last => Ok(wanted),
        Some(offered) => {
            Err(SignRefusal::Version { offered, last, address: address.clone() }.into())
        }
    }
}

fn option(address: &Address) -> String {
    match address {
        Address::Node(name) => format!("--node {name}"),
        Address::Group(name) => format!("--group {name}"),
    }
}

#[cfg(test)]
mod tests;
