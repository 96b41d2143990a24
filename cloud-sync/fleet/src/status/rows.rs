//! One row for each node, from what was heard. Pure. What nobody signed is never shown as if it had been.

use std::collections::BTreeMap;

use serde::Serialize;
use skerry_core::ids::Digest;
use skerry_core::plan::{State, Status};
use skerry_core::report::{RefusedDocument, Report, Trouble, TrustState};

use crate::heard::Break;
use crate::judge::Judged;
use crate::live::{Kind, Said};
use crate::output::clean;
use crate::roster::Roster;
use crate::table::{NOTHING, table};

/// What a signature is worth, in a word or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Signature {
    /// The node's own.
    #[serde(rename = "ok")]
    Ok,
    /// The node's key is not kept here.
    #[serde(rename = "unknown key")]
    UnknownKey,
    /// Not the node's.
    #[serde(rename = "BAD")]
    Bad,
    /// The node's own, and no newer one than was heard before.
    #[serde(rename = "REPLAYED")]
    Replayed,
    /// Of a key that counts no longer.
    #[serde(rename = "REVOKED")]
    Revoked,
}

impl Signature {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::UnknownKey => "unknown key",
            Self::Bad => "BAD",
            Self::Replayed => "REPLAYED",
            Self::Revoked => "REVOKED",
        }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its name.
    pub node: String,
    /// Whether it is there, by its last signed word or will.
    pub online: Option<bool>,
    /// What its report's signature is worth; nothing if there is no report.
    pub signature: Option<Signature>,
    /// The version in force.
    pub document: Option<u64>,
    /// The digest of the document in force.
    pub document_digest: Option<Digest>,
    /// Agents that run.
    pub running: Option<usize>,
    /// All agents.
    pub total: Option<usize>,
    /// How old the report is, by this clock and the node's, in milliseconds.
    pub age_ms: Option<i64>,
    /// Its refusals, newest last.
    pub refused: Vec<RefusedDocument>,
    /// What it trusts, and by which time it judges.
    pub trust: Option<TrustState>,
    /// Its agents, by name.
    pub agents: BTreeMap<String, Status>,
    /// What stands in its own way, with what to do about it.
    pub troubles: Vec<Trouble>,
    /// What its reports named of its audit log and does not fit together; as long as it has the same key.
    pub audit_break: Option<Break>,
    /// What there is to say: why it cannot be trusted, or the last refusal.
    pub note: Option<String>,
}

/// One row for each node that is known or heard, by name.
pub fn rows(said: &[Said], roster: &mut Roster, now_ms: i64) -> Vec<Row> {
    let mut rows: BTreeMap<String, Row> =
        roster.names().map(|name| (name.to_string(), silent(name.as_str()))).collect();
    for (name, row) in &mut rows {
        if let Some(why) = roster.silenced(name) {
            (row.signature, row.note) = (Some(Signature::Revoked), Some(why));
        }
    }
    for said in said {
        let row = rows.entry(said.node.clone()).or_insert_with(|| silent(&said.node));
        match said.kind {
            Kind::Presence => row.online = roster.online(&said.node, &said.payload),
            Kind::Report => {
                let online = row.online;
                *row = Row { online, ..heard(said, roster, now_ms) };
            }
        }
    }
    for (name, row) in &mut rows {
        row.audit_break = roster.broken(name);
        let notes = row.note.take().into_iter().chain(row.audit_break.map(|it| it.to_string()));
        row.note = notes.reduce(|one, other| format!("{one}; {other}"));
    }
    rows.into_values().collect()
}

fn silent(node: &str) -> Row {
    Row {
        node: node.to_owned(),
        online: None,
        signature: None,
        document: None,
        document_digest: None,
        running: None,
        total: None,
        age_ms: None,
        refused: Vec::new(),
        trust: None,
        agents: BTreeMap::new(),
        troubles: Vec::new(),
        audit_break: None,
        note: Some("no report yet".to_owned()),
    }
}

fn heard(said: &Said, roster: &mut Roster, now_ms: i64) -> Row {
    let (signature, note) = match roster.report(&said.node, &said.payload) {
        Judged::Signed(report) => return signed(*report, now_ms),
        Judged::UnknownKey => (
            Signature::UnknownKey,
            format!("it is not approved; do: skerry-fleet nodes approve {}", said.node),
        ),
        Judged::Bad(why) => (Signature::Bad, format!("its report is not trusted: {why}")),
        Judged::Replayed(why) => (Signature::Replayed, format!("its report is not taken: {why}")),
        Judged::Revoked(why) => (Signature::Revoked, why),
    };
    Row { signature: Some(signature), note: Some(note), ..silent(&said.node) }
}

fn signed(report: Report, now_ms: i64) -> Row {
    let running = report.agents.values().filter(|status| status.state == State::Running).count();
    let clash = report.clashes.first().map(|name| {
        format!("agent {name} is not the fleet's: a local agent on the node has its name")
    });
    let refusal = report.refused.last().map(|last| {
        let times = if last.count > 1 { format!(" ({} times)", last.count) } else { String::new() };
        format!("last refusal{times}: {}", last.reason)
    });
    let unproven =
        |trust: &&TrustState| trust.time.freshness == skerry_core::trust::Freshness::Unproven;
    let doubt = report.trust.as_ref().filter(unproven).map(|trust| {
        let floor = trust.time.floor;
        format!("its clock is behind {floor}: freshness unproven; see: skerry-fleet time serve")
    });
    Row {
        node: report.node.to_string(),
        online: None,
        signature: Some(Signature::Ok),
        document: report.document.as_ref().map(|document| document.version),
        document_digest: report.document.as_ref().map(|document| document.digest),
        running: Some(running),
        total: Some(report.agents.len()),
        age_ms: Some(now_ms.saturating_sub(report.at_ms)),
        refused: report.refused,
        agents: report.agents.into_iter().map(|(name, s)| (name.to_string(), s)).collect(),
        note: trouble_note(&report.troubles).or(clash).or(refusal).or(doubt),
        trust: report.trust,
        troubles: report.troubles,
        audit_break: None,
    }
}

/// That there is trouble, by its kinds; what it is stands below the table.
fn trouble_note(troubles: &[Trouble]) -> Option<String> {
    let mut kinds: Vec<_> = troubles.iter().map(|trouble| trouble.kind.as_str()).collect();
    kinds.dedup();
    (!kinds.is_empty()).then(|| format!("trouble: {}", kinds.join(", ")))
}

/// The rows for people: a table, and below it what stands in the nodes' way.
pub fn text(rows: &[Row]) -> String {
    let headers = ["NODE", "ONLINE", "DOCUMENT", "AGENTS", "REPORT AGE", "SIGNATURE", "NOTE"];
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let troubles = rows.iter().flat_map(|row| row.troubles.iter().map(|t| (&row.node, t)));
    let lines = troubles.map(|(node, trouble)| {
        let Trouble { kind, what, next, .. } = trouble;
        format!("\n{}: {}: {}\n  next: {}", clean(node), clean(kind), clean(what), clean(next))
    });
    std::iter::once(table(&headers, &cells)).chain(lines).collect::<Vec<_>>().join("\n")
}

fn cells(row: &Row) -> Vec<String> {
    let nothing = || NOTHING.to_owned();
    vec![
        row.node.clone(),
        row.online.map_or_else(nothing, |online| if online { "yes" } else { "no" }.to_owned()),
        row.document.map_or_else(nothing, |version| version.to_string()),
        row.running.zip(row.total).map_or_else(nothing, |(some, all)| format!("{some}/{all}")),
        row.age_ms.map_or_else(nothing, age),
        row.signature.map_or_else(nothing, |signature| signature.word().to_owned()),
        row.note.clone().unwrap_or_else(nothing),
    ]
}

/// How long ago, in the largest unit that fits. A node's clock may be wrong, and it shows.
fn age(ms: i64) -> String {
    match ms / 1000 {
        ..-5 => "in the future".to_owned(),
        -5..60 => format!("{}s", (ms / 1000).max(0)),
        seconds @ 60..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
