//! `skerry-fleet watch`: what changes on the nodes, line by line, until interrupted.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use skerry_core::report::Report;

use crate::enrol;
use crate::judge::Judged;
use crate::live::{Kind, Live, LiveError, Said};
use crate::output;
use crate::roster::Roster;
use crate::workspace::Workspace;

mod changes;

/// Between two attempts to reach the broker again.
const AGAIN: Duration = Duration::from_secs(3);

/// Prints changes until Ctrl-C. A broker that goes away is told, and waited for.
pub async fn watch(workspace: &Workspace) -> anyhow::Result<()> {
    tokio::select! {
        ended = follow(workspace) => ended,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

async fn follow(workspace: &Workspace) -> anyhow::Result<()> {
    let mut seen = Seen { roster: Roster::load(workspace)?, nodes: BTreeMap::new() };
    // The first time, a broker that is not there is a mistake to be told.
    let mut live = Live::open(workspace.broker(), None).await?;
    stamped(&format!("listening to {}; Ctrl-C ends", workspace.broker().url))?;
    loop {
        let lost = hear(workspace, &mut live, &mut seen).await?;
        stamped(&format!("{lost}; trying again"))?;
        live = loop {
            tokio::time::sleep(AGAIN).await;
            if let Ok(live) = Live::open(workspace.broker(), None).await {
                break live;
            }
        };
        stamped("listening again")?;
    }
}

async fn hear(
    workspace: &Workspace,
    live: &mut Live,
    seen: &mut Seen,
) -> anyhow::Result<LiveError> {
    loop {
        match live.next().await {
            Ok(said) => {
                let admitted =
                    enrol::admit(workspace, std::slice::from_ref(&said), Timestamp::now())?;
                seen.roster.read(workspace, &said.node)?;
                for line in admitted.into_iter().chain(seen.take(&said)) {
                    stamped(&line)?;
                }
                seen.roster.keep(workspace);
            }
            Err(lost) => return Ok(lost),
        }
    }
}

fn stamped(line: &str) -> anyhow::Result<()> {
    let now = Timestamp::now().to_string();
    // The time of day alone: 2026-01-01T12:34:56.789Z.
    let time = now.get(11..19).unwrap_or_default();
    output::line(&format!("{time}Z  {}", output::clean(line)))
}

/// What was heard last of each node.
struct Seen {
    roster: Roster,
    nodes: BTreeMap<String, Node>,
}

#[derive(Default)]
struct Node {
    online: Option<bool>,
    report: Option<Report>,
    distrust: Option<String>,
}

impl Seen {
    /// What is new in what a node says, in plain words.
    fn take(&mut self, said: &Said) -> Vec<String> {
        let name = &said.node;
        let node = self.nodes.entry(name.clone()).or_default();
        if said.kind == Kind::Presence {
            let online = self.roster.online(name, &said.payload);
            if online.is_none() || node.online == online {
                return Vec::new();
            }
            node.online = online;
            let word = if online == Some(true) { "online" } else { "offline" };
            return vec![format!("{name} is {word}")];
        }
        let broken = self.roster.broken(name);
        let distrust = match self.roster.report(name, &said.payload) {
            Judged::Signed(report) => {
                if node.report.as_ref() == Some(&*report) {
                    return Vec::new();
                }
                let mut lines = changes::tell(node.report.as_ref(), &report);
                let now = self
                    .roster
                    .broken(name)
                    .filter(|now| broken != Some(*now) || node.report.is_none());
                lines.extend(now.map(|now| format!("audit log of {name}: {now}")));
                (node.report, node.distrust) = (Some(*report), None);
                return lines;
            }
            Judged::UnknownKey => {
                format!("{name} is not approved; do: skerry-fleet nodes approve {name}")
            }
            Judged::Bad(why) => format!("a report of {name} is not trusted: {why}"),
            Judged::Replayed(why) => format!("a report of {name} is not taken: {why}"),
            Judged::Revoked(why) => format!("{name} speaks, and {why}"),
        };
        if node.distrust.as_ref() == Some(&distrust) {
            return Vec::new();
        }
        node.distrust = Some(distrust.clone());
        vec![distrust]
    }
}
