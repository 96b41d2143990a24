//! `skerry-fleet nodes`: the public keys by which the nodes' reports are recognised.

use std::path::Path;

use clap::{Args, Subcommand};
use skerry_core::ids::NodeName;
use skerry_core::trust::PublicKey;

use crate::files;
use crate::output;
use crate::table::table;
use crate::workspace::Workspace;

/// What is done with the nodes' keys.
#[derive(Debug, Clone, Subcommand)]
pub enum NodesVerb {
    /// Keep the public key of a node; 'skerry status' on the node shows it
    Add(AddArgs),
    /// List the nodes whose keys are kept
    Ls,
}

/// Whose key, and which.
#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// The node's name
    name: NodeName,
    /// The key: 64 hexadecimal digits, or a file that holds them
    #[arg(value_name = "PUBKEY|FILE")]
    key: String,
    /// Replace another key that is kept for this node
    #[arg(long)]
    replace: bool,
}

/// Why a key was not kept.
#[derive(Debug, thiserror::Error)]
pub enum NodesRefusal {
    /// There is another.
    #[error("node '{name}' has another key ({kept}) already; if it was set up anew, add --replace")]
    Other {
        /// The node.
        name: NodeName,
        /// The id of the key that is kept.
        kept: String,
    },
}

/// Carries out a verb on the nodes' keys.
pub fn nodes(workspace: &Workspace, verb: &NodesVerb) -> anyhow::Result<()> {
    match verb {
        NodesVerb::Add(args) => {
            let key = read_key(&args.key)?;
            add(workspace, &args.name, key, args.replace)?;
            output::line(&format!("node '{}' is known by key {}", args.name, key.id().short()))
        }
        NodesVerb::Ls => {
            let rows: Vec<_> = workspace
                .nodes()?
                .iter()
                .map(|(name, key)| vec![name.to_string(), key.id().short(), key.to_hex()])
                .collect();
            output::line(&table(&["NODE", "KEY ID", "PUBLIC KEY"], &rows))
        }
    }
}

/// Keeps a node's key.
pub fn add(
    workspace: &Workspace,
    name: &NodeName,
    key: PublicKey,
    replace: bool,
) -> anyhow::Result<()> {
    let _lock = workspace.lock()?;
    if let Some(kept) = workspace.nodes()?.get(name).filter(|kept| **kept != key && !replace) {
        let kept = kept.id().short();
        return Err(NodesRefusal::Other { name: name.clone(), kept }.into());
    }
    Ok(workspace.put_node(name, key)?)
}

fn read_key(text: &str) -> anyhow::Result<PublicKey> {
    let path = Path::new(text);
    if path.is_file() {
        return Ok(PublicKey::from_hex(files::read_text(path)?.trim())?);
    }
    Ok(PublicKey::from_hex(text.trim())?)
}
