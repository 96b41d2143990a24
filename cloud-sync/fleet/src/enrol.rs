//! Enrolment by token: `skerry-fleet token`, and what becomes of a node that brings one.
//!
//! Decides whether an unknown node is taken in by its token: a good one, made here, not used up, for a name that
//! has no other key and of which none was revoked. A use is written down before the node's key is kept, so
//! that a token never serves twice. What a token proves is in [`skerry_core::trust::enrolment`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use skerry_core::ids::NodeName;
use skerry_core::report::Report;
use skerry_core::trust::enrolment::{EnrolmentError, Terms, check, issue};
use skerry_core::trust::{KeyId, PublicKey};
use skerry_sync::config::Span;

use crate::live::{Kind, Said};
use crate::release::ends;
use crate::table::{NOTHING, table};
use crate::workspace::{Approve, Revocation, TokenRecord, Use, Workspace, WorkspaceError};
use crate::{files, judge, output};

/// The most nodes that one token can take in.
const USES_MAX: u32 = 10_000;

/// What is done with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenVerb {
    /// Make a token, and print it; a node that has it in its configuration is taken into the fleet
    Create(CreateArgs),
    /// List the tokens that were made, and who has used them
    Ls,
    /// Take a token back: it lets no more nodes in, and those that it let in stay
    Revoke(TakeBackArgs),
}

/// Which token is taken back.
#[derive(Debug, Clone, Args)]
pub struct TakeBackArgs {
    /// Its id, or how it begins, as 'skerry-fleet token ls' shows it
    id: String,
}

/// What a token allows.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// The only node that may use it; any node by default
    #[arg(long, value_name = "NAME")]
    node: Option<NodeName>,
    /// How many nodes may use it
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "node")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(USES_MAX)))]
    uses: u32,
    /// How long it holds
    #[arg(long, value_name = "TIME", default_value = "24h")]
    expires: Span,
    /// Write it to a file, for its owner alone, instead of printing it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Why a node is not taken in by its token.
#[derive(Debug, thiserror::Error)]
pub enum EnrolRefusal {
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] EnrolmentError),
    /// The token is good, and nobody here knows of it.
    #[error("the token was not made in this workspace")]
    Stranger,
    /// The token was taken back.
    #[error("the token was revoked on {at:.10}; make another: skerry-fleet token create", at = .at.to_string())]
    TakenBack {
        /// When.
        at: Timestamp,
    },
    /// As many nodes as may have used it.
    #[error("the token is used up (by {by}); make another: skerry-fleet token create")]
    Used {
        /// Who.
        by: String,
    },
    /// Another key is kept for the name.
    #[error(
        "node '{node}' has another key ({kept}) already; if it was set up anew: skerry-fleet nodes approve {node} --replace"
    )]
    Taken {
        /// The node.
        node: NodeName,
        /// The key that is kept.
        kept: String,
    },
    /// Its key was taken away before.
    #[error("key {key} was revoked; give the device another: move its identity/node.key away")]
    Revoked {
        /// The key.
        key: String,
    },
    /// A key of that name was taken away before.
    #[error(
        "a key of node '{node}' was revoked, and no token brings that name back; if the device is yours: \
         skerry-fleet nodes approve {node}"
    )]
    Barred {
        /// The node.
        node: NodeName,
    },
}

/// Why a token cannot be taken back.
#[derive(Debug, thiserror::Error)]
pub enum TakeBackRefusal {
    /// There is none.
    #[error("no token begins with '{id}'; see: skerry-fleet token ls")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// There are several.
    #[error("{count} tokens begin with '{id}'; give more of the id: skerry-fleet token ls")]
    Several {
        /// What was asked for.
        id: String,
        /// How many.
        count: usize,
    },
}

/// Carries out a verb about tokens.
pub fn token(workspace: &Workspace, verb: &TokenVerb) -> anyhow::Result<()> {
    match verb {
        TokenVerb::Create(args) => create(workspace, args),
        TokenVerb::Ls => {
            let now = Timestamp::now();
            let rows: Vec<_> =
                workspace.tokens()?.iter().map(|(id, record)| row(id, record, now)).collect();
            output::line(&table(&["TOKEN", "FOR", "USED", "STATE", "BY"], &rows))
        }
        TokenVerb::Revoke(args) => take_back(workspace, args),
    }
}

fn take_back(workspace: &Workspace, args: &TakeBackArgs) -> anyhow::Result<()> {
    let _lock = workspace.lock()?;
    let (id, mut record) = choose(&workspace.tokens()?, args.id.trim())?;
    let now = Timestamp::now();
    let left = record.left(now);
    record.revoked = record.revoked.or(Some(now));
    workspace.put_token(&id, &record)?;
    output::line(&format!(
        "token {} is revoked; it could have taken in {left} more; nodes that it took in stay: skerry-fleet nodes ls",
        short(&id)
    ))
}

/// The only token whose id begins so.
fn choose(
    tokens: &BTreeMap<String, TokenRecord>,
    begin: &str,
) -> Result<(String, TokenRecord), TakeBackRefusal> {
    let fitting = tokens.iter().filter(|(id, _)| !begin.is_empty() && id.starts_with(begin));
    let fitting: Vec<_> = fitting.collect();
    match fitting[..] {
        [(id, record)] => Ok((id.clone(), record.clone())),
        [] => Err(TakeBackRefusal::Unknown { id: begin.to_owned() }),
        _ => Err(TakeBackRefusal::Several { id: begin.to_owned(), count: fitting.len() }),
    }
}

/// What is to be known of the tokens by which a node came whose key is taken away: whoever has the device has
/// them, too.
pub fn came_by(
    tokens: &BTreeMap<String, TokenRecord>,
    key: &PublicKey,
    now: Timestamp,
) -> Vec<String> {
    let used = |record: &TokenRecord| record.used.iter().any(|used| used.key == *key);
    let used = tokens.iter().filter(|(_, record)| used(record));
    let lines = used.map(|(id, record)| match (short(id), record.left(now)) {
        (id, 0) => format!("it came by token {id}, which lets nobody in any more"),
        (id, left) => format!(
            "it came by token {id}, which is on the device, and lets {left} more in by any name; \
             take it back: skerry-fleet token revoke {id}"
        ),
    });
    lines.collect()
}

/// As much of a token's id as tells it from others.
fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

fn create(workspace: &Workspace, args: &CreateArgs) -> anyhow::Result<()> {
    let expires = ends(Timestamp::now(), args.expires);
    let terms = Terms { node: args.node.clone(), uses: args.uses, expires };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let _lock = workspace.lock()?;
    let (id, text) = issue(&workspace.enrolment_key()?, seed, terms.clone())?;
    workspace.put_token(id.as_str(), &TokenRecord::new(terms))?;
    match &args.output {
        Some(path) => files::write(path, format!("{text}\n").as_bytes(), files::Readers::Owner)?,
        None => output::line(&text)?,
    }
    output::note(&format!(
        "token {} holds until {expires:.0}; put it into the node's configuration:\n  [enrol]\n  token = \"…\"",
        id.short()
    ));
    Ok(())
}

fn row(id: &str, record: &TokenRecord, now: Timestamp) -> Vec<String> {
    let TokenRecord { terms, used, revoked } = record;
    let names: Vec<_> = used.iter().map(|used| used.node.as_str()).collect();
    let state = if let Some(at) = revoked {
        format!("revoked {:.10}", at.to_string())
    } else if used.len() >= terms.uses as usize {
        "used".to_owned()
    } else if now >= terms.expires {
        "expired".to_owned()
    } else {
        format!("until {:.0}", terms.expires)
    };
    vec![
        short(id),
        terms.node.as_ref().map_or_else(|| "any node".to_owned(), ToString::to_string),
        format!("{}/{}", used.len(), terms.uses),
        state,
        if names.is_empty() { NOTHING.to_owned() } else { names.join(" ") },
    ]
}

/// What is known when a node asks to come in.
#[derive(Debug, Default)]
struct Known {
    /// The key that signs tokens; none before the first.
    fleet: Option<PublicKey>,
    keys: BTreeMap<NodeName, PublicKey>,
    revoked: Vec<Revocation>,
    tokens: BTreeMap<String, TokenRecord>,
}

/// Whether a node that introduces itself brings a token that takes it in: which, with that use of it.
fn judge_token(
    known: &Known,
    (key, report): (&PublicKey, &Report),
    now: Timestamp,
) -> Option<Result<(KeyId, TokenRecord), EnrolRefusal>> {
    let enrolment = report.enrolment.as_ref()?;
    let node = &report.node;
    let judged = || {
        let fleet = known.fleet.as_ref().ok_or(EnrolRefusal::Stranger)?;
        let (id, _) = check(enrolment, fleet, node, key, now)?;
        if known.revoked.iter().any(|revoked| revoked.key == *key) {
            return Err(EnrolRefusal::Revoked { key: key.id().short() });
        }
        if let Some(kept) = known.keys.get(node) {
            let kept = kept.id().short();
            return Err(EnrolRefusal::Taken { node: node.clone(), kept });
        }
        // Whoever has a revoked device has its token, and makes another key.
        if known.revoked.iter().any(|revoked| revoked.node == *node) {
            return Err(EnrolRefusal::Barred { node: node.clone() });
        }
        let mut record = known.tokens.get(id.as_str()).cloned().ok_or(EnrolRefusal::Stranger)?;
        if let Some(at) = record.revoked {
            return Err(EnrolRefusal::TakenBack { at });
        }
        // One that was written down and not carried out is carried out now.
        if record.used.iter().any(|used| used.node == *node && used.key == *key) {
            return Ok((id, record));
        }
        if record.used.len() >= record.terms.uses as usize {
            let by: Vec<_> = record.used.iter().map(|used| used.node.as_str()).collect();
            return Err(EnrolRefusal::Used { by: by.join(", ") });
        }
        record.used.push(Use { node: node.clone(), key: *key, at: now });
        Ok((id, record))
    };
    Some(judged())
}

/// Takes in the nodes whose tokens allow it, where the workspace leaves that to tokens; what was done, and what
/// was not and why, line by line.
pub fn admit(
    workspace: &Workspace,
    said: &[Said],
    now: Timestamp,
) -> Result<Vec<String>, WorkspaceError> {
    let mut lines = Vec::new();
    let reports = said.iter().filter(|said| said.kind == Kind::Report);
    let heard = reports.filter_map(|said| judge::introduction(&said.node, &said.payload));
    let heard: Vec<_> = heard.filter(|(_, report)| report.enrolment.is_some()).collect();
    let mut kept = workspace.nodes()?;
    if heard.iter().all(|(key, report)| kept.get(&report.node) == Some(key)) {
        return Ok(lines);
    }
    let fleet = workspace.enrolment_public()?;
    let _lock = workspace.lock()?;
    for (key, report) in &heard {
        if kept.get(&report.node) == Some(key) {
            continue;
        }
        let (revoked, tokens) = (workspace.revoked()?, workspace.tokens()?);
        let known = Known { fleet, keys: kept.clone(), revoked, tokens };
        let node = &report.node;
        match judge_token(&known, (key, report), now) {
            None => {}
            Some(Err(why)) => lines.push(format!("node '{node}' is not taken in: {why}")),
            Some(Ok(_)) if workspace.approve() == Approve::Operator => lines.push(format!(
                "node '{node}' brings a good token; do: skerry-fleet nodes approve {node}"
            )),
            Some(Ok((id, record))) => {
                workspace.put_token(id.as_str(), &record)?;
                workspace.put_node(node, *key)?;
                kept.insert(node.clone(), *key);
                let (key, id) = (key.id().short(), id.short());
                lines.push(format!("node '{node}' is approved by token {id}, with key {key}"));
            }
        }
    }
    Ok(lines)
}

/// Writes down that an approved node used its token, where it brings one that is good; what was done.
pub fn spend(
    workspace: &Workspace,
    key: &PublicKey,
    report: &Report,
    now: Timestamp,
) -> Result<Option<String>, WorkspaceError> {
    if report.enrolment.is_none() {
        return Ok(None);
    }
    let (fleet, tokens) = (workspace.enrolment_public()?, workspace.tokens()?);
    let known = Known { fleet, tokens, ..Known::default() };
    Ok(match judge_token(&known, (key, report), now) {
        Some(Ok((id, record))) => {
            workspace.put_token(id.as_str(), &record)?;
            Some(format!("its token {} is good, and used now", id.short()))
        }
        Some(Err(why)) => Some(format!("its token is not what approved it: {why}")),
        None => None,
    })
}

#[cfg(test)]
mod tests;
