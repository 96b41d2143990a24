//! `skerry-fleet audit verify`: whether an exported audit log is whole, and is the node's.
//!
//! It needs no broker and no private key. Where the node's reports named heads of its log, the log must hold
//! them: else somebody on the node told another history after such a report. Where it holds none of them, since
//! all made room as the node says, or where the heads do not fit together, it is never said to be as reported.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use skerry_core::audit::{self, Checked, Kind};
use skerry_core::ids::NodeName;
use skerry_core::trust::PublicKey;

use crate::heard::Told;
use crate::workspace::Workspace;
use crate::{files, nodes, output};

/// What is done with audit logs.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditVerb {
    /// Check a log that 'skerry audit export' wrote: 0 if it is whole and as the node reported, 1 if not, 3 if
    /// it is whole and the node's reports do not vouch for it
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

/// The exit code for a log that is whole, and that reports do not vouch for.
const UNVOUCHED: u8 = 3;

/// What the reports of its node say of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// None has named an entry.
    Silent,
    /// They named this entry last, of those that are here, and so many before it.
    As { seq: u64, earlier: usize },
    /// All that they named made room, this entry last.
    Gone { seq: u64 },
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
    let held = heard.as_ref().map(|heard| compare(&checked, heard)).transpose()?;
    let broken = heard.and_then(|heard| heard.broken());
    let lines = told(&checked).into_iter().chain(held.map(vouched));
    for line in lines.chain(broken.map(|broken| format!("the node's reports: {broken}"))) {
        output::line(&line)?;
    }
    let unvouched = broken.is_some() || matches!(held, Some(Held::Gone { .. }));
    Ok(if unvouched { ExitCode::from(UNVOUCHED) } else { ExitCode::SUCCESS })
}

fn known(
    open: impl Fn() -> anyhow::Result<Workspace>,
    whose: &Whose,
) -> anyhow::Result<(PublicKey, Option<Told>)> {
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
    Ok((key, Some(heard.map(|heard| heard.told).unwrap_or_default())))
}

/// Holds the log against all heads that reports of the node named.
fn compare(checked: &Checked, heard: &Told) -> Result<Held, AuditRefusal> {
    let Some(newest) = heard.newest() else { return Ok(Held::Silent) };
    if newest.seq > checked.head.seq {
        return Err(AuditRefusal::Behind { reported: newest.seq, last: checked.head.seq });
    }
    let here: BTreeMap<_, _> = std::iter::once(&checked.begin)
        .chain(&checked.heads)
        .map(|head| (head.seq, head.digest))
        .collect();
    let mut held = Held::Gone { seq: newest.seq };
    for (earlier, head) in heard.heads().filter(|head| head.seq >= checked.begin.seq).enumerate() {
        let seq = head.seq;
        if here.get(&seq) != Some(&head.digest) {
            return Err(AuditRefusal::OtherHistory { seq });
        }
        held = Held::As { seq, earlier };
    }
    Ok(held)
}

/// What the node's reports say of the log, in words.
fn vouched(held: Held) -> String {
    match held {
        Held::Silent => {
            "no report of the node has named an entry: this is the node's own word alone".to_owned()
        }
        Held::As { seq, earlier: 0 } => {
            format!("entry {seq} is as the node reported it over the network")
        }
        Held::As { seq, earlier } => format!(
            "entry {seq} is as the node reported it over the network, and so are {earlier} reported before it"
        ),
        Held::Gone { seq } => format!(
            "entry {seq}, the last that the node reported, made room, by the node's own word: nothing here can be \
             held against a report"
        ),
    }
}

fn told(checked: &Checked) -> Vec<String> {
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
    lines
}

#[cfg(test)]
mod tests;
