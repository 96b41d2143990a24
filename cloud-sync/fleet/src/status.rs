//! `skerry-fleet status`: what all nodes last said of themselves, from what the broker keeps.

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::enrol;
use crate::live::Live;
use crate::output;
use crate::roster::Roster;
use crate::workspace::Workspace;

mod rows;

pub use rows::{Row, rows, text};

/// How a table may be printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Shows what all nodes last said of themselves; nothing is shown whose signature is not good
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// How to print it
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    #[arg(value_name = "table|json")]
    format: Format,
}

/// Prints one row for each node that is known or heard.
pub async fn status(workspace: &Workspace, args: &StatusArgs) -> anyhow::Result<()> {
    let rows = gather(workspace).await?;
    match args.format {
        Format::Json => output::json(&rows),
        Format::Table => output::line(&text(&rows)),
    }
}

/// One row for each node that is known or heard.
pub async fn gather(workspace: &Workspace) -> anyhow::Result<Vec<Row>> {
    let mut live = Live::open(workspace.broker(), None).await?;
    let said = live.settle().await?;
    live.close().await;
    for line in enrol::admit(workspace, &said, Timestamp::now())? {
        output::note(&line);
    }
    let mut roster = Roster::load(workspace)?;
    let rows = rows(&said, &mut roster, Timestamp::now().as_millisecond());
    roster.keep(workspace);
    Ok(rows)
}
