//! `skerry stats`: what agents use, again and again.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use skerry_core::ids::AgentName;
use tokio::time::{Instant, sleep_until};

use super::table::{self, NOTHING};
use super::{Format, output, units};
use crate::api::{AgentStats, StatsList};
use crate::client::Client;

const HEADERS: [&str; 9] =
    ["NAME", "CPU", "THROTTLED", "MEMORY", "LIMIT", "READ", "WRITTEN", "PIDS", "OOM KILLS"];
/// Between the two readings that the first figures come from.
const FIRST: Duration = Duration::from_millis(500);
/// Between two tables.
const PERIOD: Duration = Duration::from_secs(2);
/// Cursor to the top left, and clear what is below.
const REDRAW: &str = "\x1b[H\x1b[J";

/// Shows what agents use
#[derive(Debug, Clone, Args)]
pub struct StatsArgs {
    /// Only these agents
    #[arg(value_name = "NAME")]
    names: Vec<AgentName>,
    /// Once only
    #[arg(long)]
    no_stream: bool,
    /// How to print it; json prints a line each time
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|json"
    )]
    format: Format,
}

/// One agent in the JSON form.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: AgentName,
    /// Of one core: 100 is one core in full use.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f64>,
    /// Of the time, while it wanted a processor and had no share left.
    #[serde(skip_serializing_if = "Option::is_none")]
    throttled_percent: Option<f64>,
    #[serde(flatten)]
    stats: AgentStats,
}

/// Prints what agents use, every two seconds until it is interrupted.
pub async fn stats(client: &Client, args: &StatsArgs) -> anyhow::Result<ExitCode> {
    for name in &args.names {
        // Says so if there is no such agent; one that does not run has no figures.
        client.agent(name).await?;
    }
    let mut before = (Instant::now(), client.stats().await?);
    let mut next = before.0 + FIRST;
    loop {
        sleep_until(next).await;
        let now = (Instant::now(), client.stats().await?);
        let entries = entries(&before.1, now.1.clone(), now.0 - before.0, &args.names);
        print(&entries, args.format)?;
        if args.no_stream {
            return Ok(ExitCode::SUCCESS);
        }
        next = now.0 + PERIOD;
        before = now;
    }
}

fn print(entries: &[Entry], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => output::json_line(&entries),
        Format::Table => {
            let width = output::terminal_width();
            let start = if width.is_some() { REDRAW } else { "" };
            output::line(&format!("{start}{}", table::table(&HEADERS, &rows(entries))))
        }
    }
}

fn entries(before: &StatsList, now: StatsList, passed: Duration, only: &[AgentName]) -> Vec<Entry> {
    let earlier: &BTreeMap<AgentName, AgentStats> = &before.agents;
    let wanted = |name: &AgentName| only.is_empty() || only.contains(name);
    let entry = |(name, stats): (AgentName, AgentStats)| {
        let then = earlier.get(&name);
        // An agent that was started anew between the readings counts from zero again.
        let share = |used: fn(&AgentStats) -> Option<u64>| {
            percent(used(&stats)?.checked_sub(then.and_then(used)?)?, passed)
        };
        let cpu_percent = share(|stats| stats.cpu_usec);
        let throttled_percent = share(|stats| stats.throttled_usec);
        Entry { name, cpu_percent, throttled_percent, stats }
    };
    now.agents.into_iter().filter(|(name, _)| wanted(name)).map(entry).collect()
}

/// To one decimal place.
fn percent(used_usec: u64, passed: Duration) -> Option<f64> {
    let share = Duration::from_micros(used_usec).as_secs_f64() / passed.as_secs_f64();
    share.is_finite().then_some((share * 1000.0).round() / 10.0)
}

fn rows(entries: &[Entry]) -> Vec<Vec<String>> {
    let nothing = || NOTHING.to_owned();
    let of = |value: Option<u64>, limit: Option<u64>| match (value, limit) {
        (Some(value), Some(limit)) => format!("{value} / {limit}"),
        (Some(value), None) => value.to_string(),
        _ => NOTHING.to_owned(),
    };
    let row = |entry: &Entry| {
        let stats = &entry.stats;
        vec![
            entry.name.to_string(),
            entry.cpu_percent.map_or_else(nothing, |percent| format!("{percent:.1}%")),
            entry.throttled_percent.map_or_else(nothing, |percent| format!("{percent:.1}%")),
            memory(stats),
            stats.memory_limit_bytes.map_or_else(nothing, units::bytes),
            stats.read_bytes.map_or_else(nothing, units::bytes),
            stats.written_bytes.map_or_else(nothing, units::bytes),
            of(stats.pids, stats.pids_limit),
            stats.oom_kills.map_or_else(nothing, |kills| kills.to_string()),
        ]
    };
    entries.iter().map(row).collect()
}

/// In bytes, and as a share of the limit.
fn memory(stats: &AgentStats) -> String {
    let Some(used) = stats.memory_bytes else { return NOTHING.to_owned() };
    match stats.memory_limit_bytes.filter(|limit| *limit > 0) {
        Some(limit) => {
            let percent = u128::from(used) * 100 / u128::from(limit);
            format!("{} ({percent}%)", units::bytes(used))
        }
        None => units::bytes(used),
    }
}

#[cfg(test)]
mod tests;
