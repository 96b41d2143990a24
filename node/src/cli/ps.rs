//! `skerry ps`: the agents of this node, one a line.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use skerry_core::health::Health;
use skerry_core::ids::{AgentName, Digest};
use skerry_core::plan::{State, Status};

use super::table::{self, NOTHING};
use super::{Format, image, jobs, output, units};
use crate::api::AgentList;
use crate::client::Client;

const HEADERS: [&str; 9] =
    ["NAME", "STATE", "HEALTH", "IMAGE", "PID", "RESTARTS", "UP", "SOURCE", "DETAIL"];
/// Longer names of images are cut.
const IMAGE_MAX: usize = 24;

/// Lists agents
#[derive(Debug, Clone, Args)]
pub struct PsArgs {
    /// Also those that were stopped or have completed
    #[arg(short, long)]
    all: bool,
    /// Only names
    #[arg(short, long)]
    quiet: bool,
    /// Do not cut lines to the width of the terminal
    #[arg(long)]
    no_trunc: bool,
    /// How to print them
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
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    name: &'a AgentName,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_name: Option<&'a str>,
    #[serde(flatten)]
    status: &'a Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at_ms: Option<u64>,
}

/// Lists agents.
pub async fn ps(client: &Client, state_dir: &Path, args: &PsArgs) -> anyhow::Result<ExitCode> {
    let mut list = client.agents(None).await?;
    list.agents.retain(|_, status| args.all || is_shown(status.state));
    if args.quiet {
        for name in list.agents.keys() {
            output::line(name.as_str())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let images = image::names(state_dir);
    match args.format {
        Format::Json => output::json(&entries(&list, &images))?,
        Format::Table => {
            let width = output::terminal_width().filter(|_| !args.no_trunc);
            output::line(&table::fitted(&HEADERS, rows(&list, &images, units::now_ms()), width))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What rests because it should is not shown; what rests because it failed is.
fn is_shown(state: State) -> bool {
    !matches!(state, State::Stopped | State::Completed)
}

fn entries<'a>(list: &'a AgentList, images: &'a BTreeMap<Digest, String>) -> Vec<Entry<'a>> {
    let entry = |(name, status): (&'a AgentName, &'a Status)| Entry {
        name,
        image_name: images.get(&status.image).map(String::as_str),
        status,
        started_at_ms: list.started_at_ms.get(name).copied(),
    };
    list.agents.iter().map(entry).collect()
}

fn rows(list: &AgentList, images: &BTreeMap<Digest, String>, now_ms: u64) -> Vec<Vec<String>> {
    let nothing = || NOTHING.to_owned();
    let row = |(name, status): (&AgentName, &Status)| {
        let image = match images.get(&status.image) {
            Some(name) => table::cut(name, IMAGE_MAX),
            None => status.image.short(),
        };
        let up = list
            .started_at_ms
            .get(name)
            .filter(|_| status.pid.is_some())
            .map_or_else(nothing, |started| units::span(now_ms.saturating_sub(*started)));
        vec![
            name.to_string(),
            status.state.to_string(),
            health(status),
            image,
            status.pid.map_or_else(nothing, |pid| pid.to_string()),
            status.restarts.to_string(),
            up,
            status.source.map_or_else(nothing, |source| source.to_string()),
            detail(status, now_ms).unwrap_or_else(nothing),
        ]
    };
    list.agents.iter().map(row).collect()
}

/// One word for both: what works may not be ready yet, and what is ready need not have a check.
fn health(status: &Status) -> String {
    match (status.health, status.ready) {
        (Some(Health::Unhealthy), _) => Health::Unhealthy.to_string(),
        (_, Some(false)) => "not-ready".to_owned(),
        (Some(health), _) => health.to_string(),
        (None, Some(true)) => "ready".to_owned(),
        (None, None) => NOTHING.to_owned(),
    }
}

/// With the next run of a job first.
fn detail(status: &Status, now_ms: u64) -> Option<String> {
    let scheduled = status.next_run_ms.filter(|_| status.state == State::Scheduled);
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let next = scheduled.map(|at| format!("next {}", jobs::until(at, now)));
    match (next, &status.detail) {
        (Some(next), Some(detail)) => Some(format!("{next}; {detail}")),
        (next, detail) => next.or_else(|| detail.clone()),
    }
}

#[cfg(test)]
mod tests;
