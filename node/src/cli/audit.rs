//! `skerry audit`: what was accepted, refused and run on this node, and by whose authority.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use skerry_core::audit::{Entry, entries};

use super::table::{self, NOTHING};
use super::{Format, output};
use crate::client::Client;
use crate::durable;

const HEADERS: [&str; 6] = ["ENTRY", "TIME", "WHAT", "SUBJECT", "BY", "DETAIL"];

/// Shows what was accepted, refused and run, newest last
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    #[command(subcommand)]
    verb: Option<AuditVerb>,
    /// So many of the newest entries; 0 for all that are kept
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    last: usize,
    /// How to print them
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    #[arg(value_name = "table|json")]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum AuditVerb {
    /// Write the log to a file, signed by the node; 'skerry-fleet audit verify' checks it
    Export {
        /// The file; - for standard output
        file: PathBuf,
    },
}

/// Lists or exports the log.
pub async fn audit(client: &Client, args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let log = client.audit().await?;
    match &args.verb {
        Some(AuditVerb::Export { file }) if file.as_os_str() == "-" => output::bytes(&log)?,
        Some(AuditVerb::Export { file }) => {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            durable::write(folder.unwrap_or_else(|| ".".as_ref()), name, &log)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        None => list(&entries(&log), args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(entries: &[Entry], args: &AuditArgs) -> anyhow::Result<()> {
    let from = if args.last == 0 { 0 } else { entries.len().saturating_sub(args.last) };
    let shown = entries.get(from..).unwrap_or_default();
    if args.format == Format::Json {
        return output::json(&shown);
    }
    let rows = shown.iter().map(row).collect();
    output::line(&table::fitted(&HEADERS, rows, output::terminal_width()))
}

fn row(entry: &Entry) -> Vec<String> {
    let event = &entry.event;
    let time = Timestamp::from_second(entry.at_ms.div_euclid(1000));
    let subject = match event.version {
        Some(version) => format!("{} version {version}", event.subject),
        None => event.subject.clone(),
    };
    let by: Vec<_> = event.by.iter().map(|by| by.chars().take(12).collect::<String>()).collect();
    vec![
        entry.seq.to_string(),
        time.map_or_else(|_| NOTHING.to_owned(), |time| time.to_string()),
        event.kind.name().to_owned(),
        subject,
        if by.is_empty() { NOTHING.to_owned() } else { by.join(" ") },
        event.detail.clone().unwrap_or_else(|| NOTHING.to_owned()),
    ]
}
