//! `skerry-fleet nodes`: the public keys by which the nodes' reports are recognised, and how a node that
//! introduces itself at the broker becomes one of the fleet. Nothing is believed before the operator approves it.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use skerry_core::ids::NodeName;
use skerry_core::report::Report;
use skerry_core::trust::PublicKey;

use crate::enrol;
use crate::files;
use crate::judge;
use crate::live::{Kind, Live, Said};
use crate::output;
use crate::status::Format;
use crate::table::table;
use crate::workspace::{Revocation, Workspace};

/// What is done with the nodes' keys.
#[derive(Debug, Clone, Subcommand)]
pub enum NodesVerb {
    /// Show the nodes that introduce themselves at the broker and are not approved
    Pending(PendingArgs),
    /// Keep the key by which a node introduces itself, and so take it into the fleet
    Approve(ApproveArgs),
    /// Keep the public key of a node; 'skerry status' on the node shows it
    Add(AddArgs),
    /// List the nodes whose keys are kept, and those whose key was revoked
    Ls,
    /// Take a node's key away: what it signs counts no longer
    Revoke(RevokeArgs),
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

/// How the pending nodes are shown.
#[derive(Debug, Clone, Args)]
pub struct PendingArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    #[arg(value_name = "table|json")]
    format: Format,
}

/// Which node is approved.
#[derive(Debug, Clone, Args)]
pub struct ApproveArgs {
    /// The node's name
    name: NodeName,
    /// Approve it only with this key, or one whose id begins so (as the node's console shows it)
    #[arg(long, value_name = "KEY|ID")]
    key: Option<String>,
    /// Replace another key that is kept for this node
    #[arg(long)]
    replace: bool,
}

/// Whose key is taken away.
#[derive(Debug, Clone, Args)]
pub struct RevokeArgs {
    /// The node's name
    name: NodeName,
    /// Why; it is shown with the node from then on
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// A node that is not approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// What it calls itself.
    pub node: String,
    /// The id of the key that signed its report.
    pub key_id: String,
    /// The key.
    pub public_key: String,
    /// Its processor and kernel, as it says.
    pub machine: String,
    /// Whether another key is kept for that name.
    pub replaces: bool,
    /// Whether its key was revoked.
    pub revoked: bool,
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
    /// It was taken away before.
    #[error(
        "key {key} was revoked; give the device another (move its identity/node.key away), or add --replace to \
         trust this one again"
    )]
    Revoked {
        /// The key.
        key: String,
    },
    /// There is no key to revoke.
    #[error("no key of a node '{name}' is kept; see: skerry-fleet nodes ls")]
    Unknown {
        /// The node.
        name: NodeName,
    },
    /// Nobody of that name introduces itself.
    #[error(
        "no report of a node '{name}' that names its own key is at the broker; see: skerry-fleet nodes pending"
    )]
    Silent {
        /// The node.
        name: NodeName,
    },
    /// It has another key than the operator expects.
    #[error(
        "node '{name}' introduces itself with key {found}, not {expected}: do not approve it before you know why"
    )]
    Unexpected {
        /// The node.
        name: NodeName,
        /// The key it has.
        found: String,
        /// What was asked for.
        expected: String,
    },
}

/// Carries out a verb on the nodes' keys.
pub async fn nodes(workspace: &Workspace, verb: &NodesVerb) -> anyhow::Result<()> {
    match verb {
        NodesVerb::Pending(args) => {
            let said = heard(workspace, None).await?;
            for line in enrol::admit(workspace, &said, Timestamp::now())? {
                output::note(&line);
            }
            let known = (workspace.nodes()?, workspace.revoked()?);
            let pending = pending(&introductions(&said), &known.0, &known.1);
            match args.format {
                Format::Json => output::json(&pending),
                Format::Table => output::line(&text(&pending)),
            }
        }
        NodesVerb::Approve(args) => {
            let said = heard(workspace, Some(&args.name)).await?;
            let (key, report) = choose(&introductions(&said), &args.name, args.key.as_deref())?;
            add(workspace, &args.name, key, args.replace)?;
            let _lock = workspace.lock()?;
            if let Some(line) = enrol::spend(workspace, &key, &report, Timestamp::now())? {
                output::note(&line);
            }
            output::line(&format!(
                "node '{}' is approved, with key {}",
                args.name,
                key.id().short()
            ))
        }
        NodesVerb::Add(args) => {
            let key = read_key(&args.key)?;
            add(workspace, &args.name, key, args.replace)?;
            output::line(&format!("node '{}' is known by key {}", args.name, key.id().short()))
        }
        NodesVerb::Revoke(args) => revoke(workspace, args),
        NodesVerb::Ls => list(workspace),
    }
}

fn list(workspace: &Workspace) -> anyhow::Result<()> {
    let row = |name: &NodeName, key: &PublicKey, state: String| {
        vec![name.to_string(), key.id().short(), state, key.to_hex()]
    };
    let nodes = workspace.nodes()?;
    let approved = nodes.iter().map(|(name, key)| row(name, key, "approved".to_owned()));
    let revoked = workspace.revoked()?;
    let gone = revoked.iter().map(|revoked| {
        let reason = revoked.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        row(&revoked.node, &revoked.key, format!("revoked {:.10}{reason}", revoked.at.to_string()))
    });
    let rows: Vec<_> = approved.chain(gone).collect();
    output::line(&table(&["NODE", "KEY ID", "STATE", "PUBLIC KEY"], &rows))
}

/// Takes a node's key away.
fn revoke(workspace: &Workspace, args: &RevokeArgs) -> anyhow::Result<()> {
    let _lock = workspace.lock()?;
    let name = &args.name;
    let Some(key) = workspace.nodes()?.get(name).copied() else {
        return Err(NodesRefusal::Unknown { name: name.clone() }.into());
    };
    let (reason, at) = (args.reason.clone(), Timestamp::now());
    // Said before the key is forgotten: in between it must not count as merely unknown.
    workspace.put_revoked(&Revocation { node: name.clone(), key, reason, at })?;
    workspace.remove_node(name)?;
    let came_by = enrol::came_by(&workspace.tokens()?, &key, at);
    let key = key.id().short();
    output::line(&format!(
        "key {key} of node '{name}' is revoked: its reports count no longer\n\
         what it runs it goes on to run, and documents that are retained for it stay at the broker;\n\
         next: shut it out at the broker, and clear what is retained for it"
    ))?;
    for line in came_by {
        output::line(&line)?;
    }
    Ok(())
}

/// What is said at the broker, of one node or of all.
async fn heard(workspace: &Workspace, node: Option<&NodeName>) -> anyhow::Result<Vec<Said>> {
    let mut live = Live::open(workspace.broker(), node.map(NodeName::as_str)).await?;
    let said = live.settle().await?;
    live.close().await;
    Ok(said)
}

/// Who introduces itself, and with what.
fn introductions(said: &[Said]) -> Vec<(PublicKey, Report)> {
    let reports = said.iter().filter(|said| said.kind == Kind::Report);
    reports.filter_map(|said| judge::introduction(&said.node, &said.payload)).collect()
}

/// Those whose key is not kept, by name.
fn pending(
    heard: &[(PublicKey, Report)],
    keys: &BTreeMap<NodeName, PublicKey>,
    revoked: &[Revocation],
) -> Vec<Pending> {
    let unknown = heard.iter().filter(|(key, report)| keys.get(&report.node) != Some(key));
    let mut pending: Vec<_> = unknown
        .map(|(key, report)| Pending {
            node: report.node.to_string(),
            key_id: key.id().short(),
            public_key: key.to_hex(),
            machine: format!("{} {}", report.host.arch, report.host.kernel),
            replaces: keys.contains_key(&report.node),
            revoked: revoked.iter().any(|revoked| revoked.key == *key),
        })
        .collect();
    pending.sort_by(|one, other| one.node.cmp(&other.node));
    pending
}

fn text(pending: &[Pending]) -> String {
    let rows: Vec<_> = pending
        .iter()
        .map(|node| {
            let note = match (node.revoked, node.replaces) {
                (true, _) => "its key was revoked",
                (false, true) => "another key is kept for this name",
                (false, false) => "",
            };
            let shown = [&node.node, &node.key_id, &node.machine];
            shown.into_iter().cloned().chain([note.to_owned()]).collect()
        })
        .collect();
    table(&["NODE", "KEY ID", "MACHINE", "NOTE"], &rows)
}

/// The key to keep, if it is the expected one.
fn choose(
    heard: &[(PublicKey, Report)],
    name: &NodeName,
    expected: Option<&str>,
) -> Result<(PublicKey, Report), NodesRefusal> {
    let found = heard.iter().find(|(_, report)| report.node == *name);
    let (key, report) = found.ok_or_else(|| NodesRefusal::Silent { name: name.clone() })?;
    let fits = |expected: &str| {
        key.to_hex() == expected
            || (!expected.is_empty() && key.id().as_str().starts_with(expected))
    };
    match expected.map(str::trim) {
        Some(expected) if !fits(expected) => Err(NodesRefusal::Unexpected {
            name: name.clone(),
            found: key.id().short(),
            expected: expected.to_owned(),
        }),
        _ => Ok((*key, report.clone())),
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
    if !replace && workspace.revoked()?.iter().any(|revoked| revoked.key == key) {
        return Err(NodesRefusal::Revoked { key: key.id().short() }.into());
    }
    workspace.restore(&key)?;
    // The operator vouches for it anew: its disk may have come back from a backup, and its counter with it.
    match workspace.heard(name)?.filter(|heard| heard.key == key.id()) {
        Some(heard) => workspace.put_heard(name, &heard.renewed())?,
        None => workspace.forget_heard(name)?,
    }
    Ok(workspace.put_node(name, key)?)
}

/// A public key: its digits, or a file that holds them.
pub fn read_key(text: &str) -> anyhow::Result<PublicKey> {
    let path = Path::new(text);
    if path.is_file() {
        return Ok(PublicKey::from_hex(files::read_text(path)?.trim())?);
    }
    Ok(PublicKey::from_hex(text.trim())?)
}

#[cfg(test)]
mod tests;
