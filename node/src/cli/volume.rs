//! `skerry volume`: folders that the node keeps for agents, and that stay when agents go.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use skerry_core::ids::VolumeName;

use super::config::LsArgs;
use super::failure::{self, Partly};
use super::secret::agents;
use super::table::{self, NOTHING};
use super::{Format, output, units};
use crate::client::Client;

const HEADERS: [&str; 5] = ["NAME", "SIZE", "LIMIT", "AGENTS", "PATH"];

/// What can be done with volumes.
#[derive(Debug, Subcommand)]
pub enum VolumeVerb {
    /// List volumes, what they take on disk, and who uses them
    Ls(LsArgs),
    /// Remove volumes with all that is in them; refused while an agent uses one
    Rm(RmArgs),
}

/// Removes volumes with all that is in them.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The volumes
    #[arg(required = true, value_name = "NAME")]
    names: Vec<VolumeName>,
}

/// Carries it out.
pub async fn volume(client: &Client, verb: VolumeVerb) -> anyhow::Result<ExitCode> {
    match verb {
        VolumeVerb::Ls(args) => {
            let list = client.volumes().await?;
            match args.format {
                Format::Json => output::json(&list.volumes)?,
                Format::Table => {
                    let rows: Vec<_> = list
                        .volumes
                        .iter()
                        .map(|(name, entry)| {
                            let bytes =
                                entry.bytes.map_or_else(|| NOTHING.to_owned(), units::bytes);
                            vec![name.to_string(), bytes, agents(&entry.agents), entry.path.clone()]
                        })
                        .collect();
                    output::line(&table::table(&HEADERS, &rows))?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        VolumeVerb::Rm(args) => remove(client, &args.names).await,
    }
}

async fn remove(client: &Client, names: &[VolumeName]) -> anyhow::Result<ExitCode> {
    let mut failed = 0;
    for name in names {
        match client.remove_volume(name).await {
            Ok(_) => output::line(name.as_str())?,
            Err(error) if names.len() == 1 => return Err(error.into()),
            Err(error) => {
                failed += 1;
                failure::say(&error.into());
            }
        }
    }
    match failed {
        0 => Ok(ExitCode::SUCCESS),
        failed => Err(Partly { failed, all: names.len() }.into()),
    }
}
