//! `skerry-fleet publish`: puts a signed document where its nodes find it.
//!
//! The broker keeps it (retained), so that a node which is away gets it when it comes. With `--wait`
//! it is done when the node has said, signed with its key, what became of the document.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use skerry_core::bundle::{Address, Bundle};
use skerry_core::document::Document;
use skerry_core::ids::{Digest, GroupName, NodeName};
use skerry_core::trust::PublicKey;
use skerry_sync::config::Span;

use crate::live::{self, Live};
use crate::workspace::Workspace;
use crate::{files, output, release};

mod fate;

pub use fate::{Fate, Settled, Wanted};

/// Sends the signed document of a node or a group, and waits until the broker has it
#[derive(Debug, Clone, Args)]
pub struct PublishArgs {
    #[command(flatten)]
    what: What,
    /// Wait so long for the node's signed report, and fail if it refuses the document
    #[arg(long, value_name = "TIME", conflicts_with = "group")]
    wait: Option<Span>,
}

/// What is sent.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The newest document of one node
    #[arg(long, value_name = "NAME")]
    node: Option<NodeName>,
    /// The newest document of a group
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// A bundle that 'sign -o' wrote
    #[arg(value_name = "FILE.bundle")]
    file: Option<PathBuf>,
}

/// A bundle and what is known of it without verifying it.
struct Parcel {
    address: Address,
    bytes: Vec<u8>,
    document: Document,
    digest: Digest,
}

/// Sends a document, and waits for what becomes of it if that is asked for.
pub async fn publish(workspace: &Workspace, args: &PublishArgs) -> anyhow::Result<ExitCode> {
    let parcel = parcel(workspace, &args.what)?;
    let what = format!("document {} for {}", parcel.document.version, parcel.address);
    let (Some(patience), Address::Node(node)) = (args.wait, &parcel.address) else {
        if args.wait.is_some() {
            bail!("--wait works for the document of one node, and {} is not one", parcel.address);
        }
        let size = parcel.bytes.len();
        let topic = live::publish_once(workspace.broker(), &parcel.address, parcel.bytes).await?;
        output::line(&format!("published {what}: {size} bytes, kept by the broker under {topic}"))?;
        return Ok(ExitCode::SUCCESS);
    };
    let Some(key) = workspace.nodes()?.get(node).copied() else {
        bail!(
            "--wait needs the public key of node '{node}', to recognise its report; \
             do: skerry-fleet nodes approve {node}"
        );
    };
    let wanted = Wanted {
        document: parcel.document,
        digest: parcel.digest,
        bundle: Digest::of(&parcel.bytes),
        heard: workspace.heard(node)?.filter(|h| h.key == key.id()).map_or(0, |h| h.counter),
    };
    let mut live = Live::open(workspace.broker(), Some(node.as_str())).await?;
    let fate = send(&mut live, node, key, &wanted, parcel.bytes, patience.duration()).await?;
    live.close().await;
    output::line(&format!("published {what}"))?;
    tell(node, &wanted, &fate)
}

/// Sends a bundle and waits until the node's signed report shows what became of it.
pub async fn send(
    live: &mut Live,
    node: &NodeName,
    key: PublicKey,
    wanted: &Wanted,
    bundle: Vec<u8>,
    patience: Duration,
) -> anyhow::Result<Fate> {
    let mut watcher = fate::Watcher::new(node, key, wanted);
    for said in live.settle().await? {
        watcher.before(&said);
    }
    live.publish(&Address::Node(node.clone()), bundle).await?;
    let end = tokio::time::Instant::now() + patience;
    while watcher.pending() {
        match tokio::time::timeout_at(end, live.next()).await {
            Ok(said) => watcher.after(&said?),
            Err(_) => break,
        }
    }
    Ok(watcher.fate())
}

fn tell(node: &NodeName, wanted: &Wanted, fate: &Fate) -> anyhow::Result<ExitCode> {
    let version = wanted.document.version;
    match fate {
        Fate::Accepted(report, settled) => {
            output::line(&format!(
                "{node} accepted document {version} ({}); its report is signed with its key",
                wanted.digest
            ))?;
            for (name, status) in &report.agents {
                output::line(&format!("  {}", fate::agent_line(name.as_str(), status)))?;
            }
            match settled {
                Settled::Yes => Ok(ExitCode::SUCCESS),
                Settled::NotYet(what) => bail!("{node} accepted it, but {what}"),
            }
        }
        Fate::Refused(reason) => bail!("{node} refused document {version}: {reason}"),
        Fate::Unknown(why) => bail!("{node} did not say in time what became of it: {why}"),
    }
}

fn parcel(workspace: &Workspace, what: &What) -> anyhow::Result<Parcel> {
    if let Some(path) = &what.file {
        let bytes = files::read(path)?;
        let bundle = Bundle::parse(&bytes)?;
        let [(path, text)] = bundle.director.targets.iter().collect::<Vec<_>>()[..] else {
            bail!("the bundle does not hold exactly one document");
        };
        let Some(address) = Address::of_path(path) else {
            bail!("the bundle's document '{path}' is for no node and no group");
        };
        let (document, digest) = (Document::parse(text.as_bytes())?, Digest::of(text.as_bytes()));
        return Ok(Parcel { address, bytes, document, digest });
    }
    let node = what.node.clone().map(Address::Node);
    let Some(address) = node.or_else(|| what.group.clone().map(Address::Group)) else {
        bail!("nothing to publish");
    };
    let ready = release::bundle(workspace, &address, Timestamp::now())?;
    Ok(Parcel { address, bytes: ready.bytes, document: ready.document, digest: ready.digest })
}
