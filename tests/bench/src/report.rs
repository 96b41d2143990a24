//! Writes the result down: tables, ratios, and whether each goal is met. Pure: it is given all
//! figures, and judges nothing but the goals in `goals`.

use std::fmt::Write as _;

use crate::crowd::Figures as Crowd;
use crate::inside::Inside;
use crate::machine::Machine;
use crate::node::NodeFigures;
use crate::planning::Planning;
use crate::race::Times;
use crate::stats::{Spread, spread};

/// One contestant's figures.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Its commands.
    pub how: String,
    /// What its sandbox looked like from inside.
    pub inside: Inside,
    /// Starts directly after one another.
    pub back_to_back: Times,
    /// Starts after the machine rested.
    pub rested: Times,
}

/// Everything that was measured.
pub struct Outcome {
    /// Where and when.
    pub machine: Machine,
    /// The command to repeat it.
    pub command: String,
    /// Versions of the programs.
    pub versions: Vec<String>,
    /// The contestants, in the order of the table.
    pub entries: Vec<Entry>,
    /// The node, where it was measured.
    pub node: Option<NodeFigures>,
    /// Many agents at once, where that was measured.
    pub crowd: Option<Crowd>,
    /// The planner alone.
    pub planning: Planning,
    /// The size of the device binary in bytes.
    pub binary: Option<u64>,
    /// What could not be measured, and why.
    pub left_out: Vec<String>,
    /// Whether the goals are judged.
    pub judged: bool,
}

/// A goal and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// What is wanted.
    pub wanted: String,
    /// What was measured; none when it was not.
    pub measured: Option<String>,
    /// Whether it is met.
    pub met: bool,
}

type Column = fn(&Entry) -> &Times;

/// The whole report as Markdown, which is also readable on a terminal.
pub fn write(outcome: &Outcome) -> String {
    let mut text = String::new();
    head(&mut text, outcome);
    starts(
        &mut text,
        outcome,
        "Start, back to back (bursts of five, the first not counted)",
        |entry| &entry.back_to_back,
    );
    starts(&mut text, outcome, "Start, each after 100 ms of rest", |entry| &entry.rested);
    sandboxes(&mut text, outcome);
    if let Some(node) = &outcome.node {
        let _ = writeln!(text, "## The node\n\n{}", node.table());
    }
    if let Some(crowd) = &outcome.crowd {
        let _ = writeln!(text, "## Many agents\n\n{}", crowd.table(Some(&outcome.planning)));
    }
    if outcome.judged {
        let _ = writeln!(text, "## Goals\n\n| goal | measured | |\n|---|---|---|");
        for goal in goals(outcome) {
            let verdict = match (&goal.measured, goal.met) {
                (None, _) => "not measured",
                (Some(_), true) => "met",
                (Some(_), false) => "**missed**",
            };
            let measured = goal.measured.as_deref().unwrap_or("–");
            let _ = writeln!(text, "| {} | {measured} | {verdict} |", goal.wanted);
        }
    }
    for what in &outcome.left_out {
        let _ = writeln!(text, "\nLeft out: {what}");
    }
    text
}

fn head(text: &mut String, outcome: &Outcome) {
    let machine = &outcome.machine;
    let _ = writeln!(
        text,
        "# Benchmarks\n\nWritten by `{}`; do not edit.\n\n- {}\n- {}, {} MiB of memory\n- {}, cgroups {}\n\
         - load average at the beginning: {}",
        outcome.command,
        machine.date,
        machine.processor,
        machine.memory_mib,
        machine.system,
        machine.cgroups,
        machine.load,
    );
    for version in &outcome.versions {
        let _ = writeln!(text, "- {version}");
    }
    let _ = writeln!(
        text,
        "\nTimes are from the request (before the first process is spawned) to the first \
         instruction of the program in the container, which reads the clock itself. All \
         contestants take turns in one run, with the same root file system, mounts and limits. \
         *whole* is until nothing is left of the container. Compare ratios, not milliseconds.\n"
    );
}

fn starts(text: &mut String, outcome: &Outcome, title: &str, column: Column) {
    let base = |name: &str| median(outcome, name, column);
    let (floor, runc) = (base("floor"), base("runc run"));
    let _ = writeln!(
        text,
        "## {title}\n\n| | p50 ms | p90 ms | least | × floor | of `runc run` | whole p50 | starts |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|"
    );
    for entry in &outcome.entries {
        let times = column(entry);
        let (Some(start), Some(whole)) = (spread(&times.start), spread(&times.whole)) else {
            continue;
        };
        let Spread { least, p50, p90, count } = start;
        let ratio = |base: Option<f64>| {
            base.map_or_else(|| "–".to_owned(), |base| format!("{:.2}", p50 / base))
        };
        let _ = writeln!(
            text,
            "| {} | {p50:.2} | {p90:.2} | {least:.2} | {} | {} | {:.2} | {count} |",
            entry.name,
            ratio(floor),
            ratio(runc),
            whole.p50,
        );
    }
    text.push('\n');
}

fn median(outcome: &Outcome, name: &str, column: Column) -> Option<f64> {
    let entry = outcome.entries.iter().find(|entry| entry.name == name)?;
    spread(&column(entry).start).map(|spread| spread.p50)
}

fn sandboxes(text: &mut String, outcome: &Outcome) {
    let _ = writeln!(
        text,
        "## What each one made\n\n| | commands | own namespaces | mounts | capabilities | \
         no_new_privs | seccomp filter |\n|---|---|--:|--:|---|---|---|"
    );
    let host = outcome.entries.iter().find(|entry| entry.name == "plain process");
    let floor = outcome.entries.iter().find(|entry| entry.name == "floor");
    let mut differences = String::new();
    for entry in &outcome.entries {
        let inside = &entry.inside;
        let shared = |kind: &str, number: &str| {
            host.and_then(|host| host.inside.namespaces.get(kind)).is_some_and(|n| n == number)
        };
        let own = inside.namespaces.iter().filter(|(kind, number)| !shared(kind, number)).count();
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        let _ = writeln!(
            text,
            "| {} | {} | {own} | {} | {} | {} | {} |",
            entry.name,
            entry.how,
            inside.mounts.len(),
            capabilities(&inside.capabilities),
            yes(inside.no_new_privs),
            yes(inside.seccomp),
        );
        if let Some(floor) = floor.filter(|_| entry.name != "plain process") {
            let more = join(inside.mounts.difference(&floor.inside.mounts));
            let less = join(floor.inside.mounts.difference(&inside.mounts));
            if !(more.is_empty() && less.is_empty()) {
                let _ = writeln!(differences, "- {}: more: {more}; less: {less}", entry.name);
            }
        }
    }
    if !differences.is_empty() {
        let _ = writeln!(text, "\nMounts that differ from the floor's:\n\n{differences}");
    }
    text.push('\n');
}

fn capabilities(mask: &str) -> &str {
    match mask.trim_start_matches('0') {
        "" => "none",
        some => some,
    }
}

fn join<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The contestant whose start is judged.
const OURS: &str = "skerry monitor";

/// Every goal, with what was measured.
pub fn goals(outcome: &Outcome) -> Vec<Goal> {
    let mut goals = Vec::new();
    let columns: [(&str, Column); 2] =
        [("back to back", |e| &e.back_to_back), ("rested 100 ms", |e| &e.rested)];
    for (how, column) in columns {
        let ours = median(outcome, OURS, column);
        for (base, most) in [("runc run", 1.0 / 3.0), ("floor", 2.0)] {
            let ratio = ours.zip(median(outcome, base, column)).map(|(ours, base)| ours / base);
            let wanted = format!("start, {how}: at most {most:.2} × `{base}`");
            goals.push(goal(wanted, ratio, most, "×"));
        }
    }
    let node = outcome.node.as_ref();
    let mib = |kib: f64| kib / 1024.0;
    let rows = [
        ("node with 10 agents idle: PSS", node.map(|n| mib(n.node_pss())), 5.0, "MiB"),
        ("monitor: PSS (the largest of 10)", node.map(|n| mib(n.monitor_pss())), 0.3, "MiB"),
        ("API ready", node.and_then(NodeFigures::ready), 30.0, "ms"),
        ("wake-ups of the node, idle", node.map(|n| n.wakeups()), 1.0, "a second"),
        ("static binary", outcome.binary.map(in_mib), 6.0, "MiB"),
    ];
    for (what, measured, most, unit) in rows {
        goals.push(goal(format!("{what}: at most {most} {unit}"), measured, most, unit));
    }
    goals
}

fn goal(wanted: String, measured: Option<f64>, most: f64, unit: &str) -> Goal {
    let met = measured.is_some_and(|value| value <= most);
    Goal { wanted, measured: measured.map(|value| format!("{value:.2} {unit}")), met }
}

#[expect(clippy::cast_precision_loss, reason = "a file's size is far below 2^53")]
fn in_mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests;
