//! `skerry secret`: values that agents need and that stand in no document.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use skerry_core::ids::{AgentName, DataKey, DataName};

use super::table::{self, NOTHING};
use super::values::{self, Given};
use super::{Format, output};
use crate::client::Client;

const HEADERS: [&str; 3] = ["NAME", "KEYS", "AGENTS"];

/// What can be done with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretVerb {
    /// Set values of a secret; an agent gets a changed value at its next start
    Set(SetArgs),
    /// List secrets and their keys; values are never shown
    Ls(super::config::LsArgs),
    /// Remove a secret, or one key of it
    Rm(RmArgs),
}

/// Sets values of a secret; keys that are not named stay as they are.
///
/// A running agent keeps the value that it was started with: run `skerry restart` to give it a new
/// one. An agent that failed for want of the secret tries again at once.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The secret
    name: DataName,
    /// KEY=- from standard input, KEY to be asked for it, or KEY=VALUE
    ///
    /// Others on this machine may see a VALUE on the command line while the command runs.
    #[arg(value_name = "KEY[=VALUE]", value_parser = values::given)]
    #[arg(required_unless_present = "from_file")]
    values: Vec<Given>,
    /// A value from a file, byte for byte; may be given several times
    #[arg(long, value_name = "KEY=FILE", value_parser = values::given_file)]
    from_file: Vec<Given>,
}

/// Removes a secret, or one key of it.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The secret
    name: DataName,
    /// Only this key
    key: Option<DataKey>,
}

/// Carries it out.
pub async fn secret(client: &Client, verb: SecretVerb) -> anyhow::Result<ExitCode> {
    match verb {
        SecretVerb::Set(args) => {
            let values = values::collect(&[args.values, args.from_file].concat())?;
            client.set_secret(&args.name, &values).await?;
            output::line(args.name.as_str())?;
        }
        SecretVerb::Ls(args) => {
            let list = client.secrets().await?;
            match args.format {
                Format::Json => output::json(&list.secrets)?,
                Format::Table => {
                    let rows: Vec<_> = list
                        .secrets
                        .iter()
                        .map(|(name, entry)| {
                            let keys: Vec<_> = entry.keys.iter().map(DataKey::as_str).collect();
                            vec![name.to_string(), keys.join(","), agents(&entry.agents)]
                        })
                        .collect();
                    output::line(&table::fitted(&HEADERS, rows, output::terminal_width()))?;
                }
            }
        }
        SecretVerb::Rm(args) => {
            client.remove_secret(&args.name, args.key.as_ref()).await?;
            output::line(args.name.as_str())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Names of agents in one cell.
pub fn agents(names: &[AgentName]) -> String {
    let names: Vec<_> = names.iter().map(AgentName::as_str).collect();
    if names.is_empty() { NOTHING.to_owned() } else { names.join(",") }
}
