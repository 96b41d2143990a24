//! `skerry status` and `skerry version`: the node itself, and this program.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use skerry_core::report::TimeSource;
use skerry_core::trust::Freshness;

use super::{Format, output};
use crate::api::{NodeStatus, TrustState};
use crate::client::Client;

/// Shows the node itself
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// How to print it
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|json"
    )]
    format: Format,
}

/// Shows the version of this program
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    /// How to print it
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|json"
    )]
    format: Format,
}

/// Prints the node's status.
pub async fn status(client: &Client, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let status = client.status().await?;
    match args.format {
        Format::Json => output::json(&status)?,
        Format::Table => output::line(&text(&status))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the version; needs no node.
pub fn version(args: &VersionArgs) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        version: &'static str,
        arch: &'static str,
    }
    let version = env!("CARGO_PKG_VERSION");
    match args.format {
        Format::Json => output::json(&Version { version, arch: std::env::consts::ARCH })?,
        Format::Table => output::line(&format!("skerry {version}"))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(status: &NodeStatus) -> String {
    let document = status.document.as_ref().map_or_else(
        || "none yet".to_owned(),
        |d| format!("version {}, for {}, {}", d.version, d.audience, d.digest.short()),
    );
    let counts: Vec<_> = status.agents.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let agents = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let local = if status.local_wishes { "allowed" } else { "not allowed" };
    let mut lines = vec![
        ("Node", status.node.clone()),
        ("Version", format!("{}, pid {}", status.version, status.pid)),
        ("Key id", status.key_id.clone()),
        ("Public key", status.public_key.clone()),
        ("Document", document),
        ("Trust", trust(status)),
        ("Time", time(status)),
        ("Agents", agents),
        ("Link", status.link.clone()),
        ("Outbox", format!("{} waiting", status.outbox)),
        ("Cgroups", status.cgroup.clone()),
        ("Local", format!("run and apply are {local}")),
    ];
    if status.down {
        lines.push(("Down", "everything is stopped until: skerry up".to_owned()));
    }
    lines.extend(status.store_notice.clone().map(|notice| ("Store", notice)));
    lines.extend(
        status.troubles.iter().flat_map(|trouble| {
            [("Trouble", trouble.what.clone()), ("  next", trouble.next.clone())]
        }),
    );
    lines.extend(status.refused.iter().map(|refused| {
        let times =
            if refused.count > 1 { format!(" ({} times)", refused.count) } else { String::new() };
        ("Refused", format!("{}{times}: {}", refused.digest.short(), refused.reason))
    }));
    let line = |(name, value): (&str, String)| format!("{:<12}{value}", format!("{name}:"));
    lines.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Which releases are trusted, and until when.
fn trust(status: &NodeStatus) -> String {
    let Some(state) = &status.trust else { return "not known".to_owned() };
    let each = [("director", &state.director), ("images", &state.images)];
    let told = each.into_iter().filter_map(|(name, files)| {
        let files = files.as_ref()?;
        let release = files.timestamp.map_or_else(String::new, |n| format!(" release {n},"));
        Some(format!("{name}: root {},{release} until {}", files.root, files.expires))
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() { "no root".to_owned() } else { told.join("; ") }
}

/// How far the time is believed.
fn time(status: &NodeStatus) -> String {
    let Some(TrustState { time, .. }) = status.trust.as_deref() else {
        return "not known".to_owned();
    };
    let source = match time.source {
        TimeSource::Signed => "signed by the fleet",
        TimeSource::Clock => "this device's clock",
    };
    match time.freshness {
        Freshness::Proven => format!("{source}; not before {}", time.floor),
        Freshness::Unproven => format!(
            "{source}, which is behind what has certainly passed ({}): whether documents are current is \
             unproven; agents are not touched",
            time.floor
        ),
    }
}

#[cfg(test)]
mod tests;
