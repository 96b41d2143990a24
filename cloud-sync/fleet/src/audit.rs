//! `skerry-fleet audit verify`: whether an exported audit log is whole, and is the node's.
//!
//! It needs no broker and no private key. Where the node's reports named a head of its log, the log must hold
//! it: else somebody on the node told another history after that report.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use skerry_core::audit::{self, Checked, Head, Kind};
use skerry_core::ids::NodeName;
use skerry_core::trust::PublicKey;

use crate::workspace::Workspace;
use crate::{files, nodes, output};

/// What is done with audit logs.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditVerb {
    /// Check a log that 'skerry audit export' wrote: 0 if it is whole, 1 if not
    Verify(VerifyArgs),
}

/// Which log, and whose.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The log
    file: PathBuf,
    #[command(flatten)]
    whose: Whose,
}

/// By which key the log is known.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// The node, whose key is kept in the workspace
    #[arg(long, value_name = "NAME")]
    node: Option<NodeName>,
    /// The node's public key, or a file that holds it; no workspace is needed then
    #[arg(long, value_name = "PUBKEY|FILE")]
    key: Option<String>,
}

/// Why a log that is whole is not believed.
#[derive(Debug, thiserror::Error)]
pub enum AuditRefusal {
    /// Another node's.
    #[error("the log is that of node '{found}', not of node '{expected}'")]
    OtherNode {
        /// Whose it is.
        found: NodeName,
        /// Whose it should be.
        expected: NodeName,
    },
    /// The node reported an entry that the log does not have.
    #[error(
        "a report of the node named entry {seq} with another hash than it has here: the node's history was \
         written anew after that report"
    )]
    OtherHistory {
        /// The entry.
        seq: u64,
    },
    /// The node reported a later entry.
    #[error(
        "a report of the node named entry {reported}, and the log ends with entry {last}: it was exported \
         before that report, or its end was cut off on the node"
    )]
    Behind {
        /// The entry that was reported.
        reported: u64,
        /// The last that is here.
        last: u64,
    },
}

/// Carries out a verb about audit logs.
pub fn audit(
    open: impl Fn() -> anyhow::Result<Workspace>,
    verb: &AuditVerb,
) -> anyhow::Result<ExitCode> {
    let AuditVerb::Verify(args) = verb;
    let (key, heard) = known(open, &args.whose)?;
    let log = files::read(&args.file)?;
    let name = args.file.display();
    let checked = audit::verify(&log, &key).with_context(|| format!("{name} is not whole"))?;
    if let Some(expected) = args.whose.node.clone().filter(|node| *node != checked.node) {
        let found = checked.node;
        return Err(AuditRefusal::OtherNode { found, expected }.into());
    }
    if let Some(heard) = heard {
        compare(&checked, heard)?;
    }
    for line in told(&checked, heard) {
        output::line(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn known(
    open: impl Fn() -> anyhow::Result<Workspace>,
    whose: &Whose,
) -> anyhow::Result<(PublicKey, Option<Head>)> {
    if let Some(key) = &whose.key {
        return Ok((nodes::read_key(key)?, None));
    }
    let Some(node) = &whose.node else { bail!("--node or --key is needed") };
    let workspace = open()?;
    let Some(key) = workspace.nodes()?.get(node).copied() else {
        bail!(
            "the key of node '{node}' is not kept; do: skerry-fleet nodes approve {node}, or give --key"
        );
    };
    let heard = workspace.heard(node)?.filter(|heard| heard.key == key.id());
    Ok((key, heard.and_then(|heard| heard.audit)))
}

/// Holds the log against the last head that a report of the node named.
fn compare(checked: &Checked, heard: Head) -> Result<(), AuditRefusal> {
    if heard.seq > checked.head.seq {
        return Err(AuditRefusal::Behind { reported: heard.seq, last: checked.head.seq });
    }
    let here = checked.heads.iter().chain([&checked.begin]).find(|head| head.seq == heard.seq);
    match here {
        Some(here) if here.digest != heard.digest => {
            Err(AuditRefusal::OtherHistory { seq: heard.seq })
        }
        _ => Ok(()),
    }
}

fn told(checked: &Checked, heard: Option<Head>) -> Vec<String> {
    let (first, last) = (checked.begin.seq + 1, checked.head.seq);
    let mut lines = vec![format!(
        "whole: entries {first} to {last} of node '{}', signed by it; head {}",
        checked.node, checked.head.digest
    )];
    if checked.begin.seq > 0 {
        let gone = checked.begin.seq;
        lines.push(format!("entries 1 to {gone} made room for newer ones, as the node signed"));
    }
    for entry in &checked.entries {
        if let (Kind::Missed | Kind::Cut, Some(detail)) = (entry.event.kind, &entry.event.detail) {
            lines.push(format!("before entry {}: {}", entry.seq, output::clean(detail)));
        }
    }
    lines.extend(
        heard.map(|heard| {
            format!("entry {} is as the node reported it over the network", heard.seq)
        }),
    );
    lines
}

#[cfg(test)]
mod tests;
