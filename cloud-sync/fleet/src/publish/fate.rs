//! What became of a published document, as the node's signed reports tell it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use skerry_core::desired::{Source, names_of};
use skerry_core::document::Document;
use skerry_core::ids::{Digest, NodeName};
use skerry_core::plan::{State, Status};
use skerry_core::report::Report;
use skerry_core::trust::PublicKey;

use crate::judge::{self, Judged};
use crate::live::{Kind, Said};

/// What is waited for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The document.
    pub document: Document,
    /// Its digest, by which a node names what is in force.
    pub digest: Digest,
    /// The bundle's digest, by which a node names what it refused.
    pub bundle: Digest,
    /// The highest counter that was ever heard of the node: what is lower is played again.
    pub heard: u64,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is in force, and this is the report that says so.
    Accepted(Box<Report>, Settled),
    /// It was refused, with the rule that it broke.
    Refused(String),
    /// The node has not said; why, as far as is known.
    Unknown(String),
}

/// Whether all agents are where the document wants them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// They are.
    Yes,
    /// This is not.
    NotYet(String),
}

/// Reads reports until the document's fate is known.
#[derive(Debug)]
pub struct Watcher<'a> {
    keys: BTreeMap<NodeName, PublicKey>,
    node: &'a NodeName,
    wanted: &'a Wanted,
    /// How often this bundle had been refused before it was sent.
    refused_before: u32,
    /// A report with this counter or a lower one is an old one, played again.
    counter: u64,
    fate: Fate,
}

impl<'a> Watcher<'a> {
    /// For one document of one node.
    pub fn new(node: &'a NodeName, key: PublicKey, wanted: &'a Wanted) -> Self {
        let fate = Fate::Unknown("no report came at all; is the node connected?".to_owned());
        let keys = BTreeMap::from([(node.clone(), key)]);
        Self {
            keys,
            node,
            wanted,
            refused_before: 0,
            counter: wanted.heard.saturating_sub(1),
            fate,
        }
    }

    /// Takes what was said before the document was sent.
    pub fn before(&mut self, said: &Said) {
        if let Some(report) = self.signed(said) {
            let before = self.refusal(&report);
            self.fate = Fate::Unknown(match &before {
                Some((_, reason)) => format!("it refused this very bundle before: {reason}"),
                None => "no newer report came; is the node connected?".to_owned(),
            });
            self.refused_before = before.map_or(0, |(count, _)| count);
            if self.in_force(&report) {
                self.judge(report);
            }
        }
    }

    /// Takes what was said after it.
    pub fn after(&mut self, said: &Said) {
        if let Some(report) = self.signed(said) {
            self.judge(report);
        }
    }

    /// Whether there is something left to wait for.
    pub fn pending(&self) -> bool {
        matches!(self.fate, Fate::Unknown(_) | Fate::Accepted(_, Settled::NotYet(_)))
    }

    /// What became of the document.
    pub fn fate(self) -> Fate {
        self.fate
    }

    fn signed(&mut self, said: &Said) -> Option<Report> {
        if said.kind != Kind::Report || said.node != self.node.as_str() {
            return None;
        }
        match judge::report(&said.node, &said.payload, &self.keys) {
            Judged::Signed(report) if report.counter > self.counter => {
                self.counter = report.counter;
                Some(*report)
            }
            Judged::Signed(_) | Judged::UnknownKey | Judged::Replayed(_) | Judged::Revoked(_) => {
                None
            }
            Judged::Bad(why) => {
                if matches!(self.fate, Fate::Unknown(_)) {
                    self.fate = Fate::Unknown(format!("its report cannot be trusted: {why}"));
                }
                None
            }
        }
    }

    fn judge(&mut self, report: Report) {
        if self.in_force(&report) {
            let settled = settled(&self.wanted.document, &report);
            self.fate = Fate::Accepted(Box::new(report), settled);
        } else if let Some((count, reason)) = self.refusal(&report)
            && count > self.refused_before
        {
            self.fate = Fate::Refused(reason);
        } else {
            let force = report.document.map_or_else(
                || "no document is in force there".to_owned(),
                |document| format!("document {} is in force there", document.version),
            );
            self.fate = Fate::Unknown(force);
        }
    }

    fn in_force(&self, report: &Report) -> bool {
        report.document.as_ref().is_some_and(|document| {
            document.digest == self.wanted.digest
                && document.version == self.wanted.document.version
        })
    }

    fn refusal(&self, report: &Report) -> Option<(u32, String)> {
        let mut of_this = report.refused.iter().filter(|r| r.digest == self.wanted.bundle);
        let last = of_this.next_back()?;
        let count = report
            .refused
            .iter()
            .filter(|r| r.digest == self.wanted.bundle)
            .fold(0_u32, |sum, r| sum.saturating_add(r.count));
        Some((count, last.reason.clone()))
    }
}

/// Whether every agent of the document is what it must be, and none is left of another.
fn settled(document: &Document, report: &Report) -> Settled {
    let mut names = BTreeSet::new();
    for spec in &document.agents {
        let numbered = names_of(spec);
        names.extend(numbered.iter().cloned());
        if report.clashes.contains(&spec.name) {
            continue;
        }
        // Of a job, what it runs as may not be there yet, and it itself always is.
        let told = if spec.job.is_some() { vec![spec.name.clone()] } else { numbered };
        for name in told {
            let Some(status) = report.agents.get(&name) else {
                return Settled::NotYet(format!("agent {name} was not begun"));
            };
            let there = matches!(
                status.state,
                State::Running | State::Completed | State::Stopped | State::Scheduled
            );
            if !(there && status.current) {
                let line = agent_line(name.as_str(), status);
                return Settled::NotYet(format!("it came no further than {line}"));
            }
        }
        names.insert(spec.name.clone());
    }
    let left = report
        .agents
        .iter()
        .find(|(name, status)| status.source != Some(Source::Local) && !names.contains(*name));
    match left {
        Some((name, _)) => Settled::NotYet(format!("agent {name} was not gone")),
        None => Settled::Yes,
    }
}

/// One agent in plain words.
pub fn agent_line(name: &str, status: &Status) -> String {
    let pid = status.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    let detail = status.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
    format!("{name}: {}{pid}{detail}", status.state)
}

#[cfg(test)]
mod tests;
