//! `skerry status` and `skerry version`: the node itself, and this program.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Format, output};
use crate::api::NodeStatus;
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

#[cfg(test)]
mod tests;
