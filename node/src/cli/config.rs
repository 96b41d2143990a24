//! `skerry config`: texts that local agents read as variables or files.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use skerry_core::ids::{DataKey, DataName};

use super::failure::{Refusal, Usage};
use super::table;
use super::values::{self, Given};
use super::{Format, output};
use crate::client::Client;

const HEADERS: [&str; 2] = ["NAME", "KEYS"];

/// What can be done with configs.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Set values of a config; agents that read it run anew
    Set(SetArgs),
    /// List configs and their keys
    Ls(LsArgs),
    /// Show the values of a config
    Show(ShowArgs),
    /// Remove a config, or one key of it
    Rm(RmArgs),
}

/// Sets values of a config of this node's own agents; keys that are not named stay as they are.
/// Agents that read it run anew. Configs of the fleet's agents come with its document.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The config
    name: DataName,
    /// KEY=VALUE, or KEY=- from standard input
    #[arg(value_name = "KEY=VALUE", value_parser = values::given)]
    #[arg(required_unless_present = "from_file")]
    values: Vec<Given>,
    /// A value from a text file; may be given several times
    #[arg(long, value_name = "KEY=FILE", value_parser = values::given_file)]
    from_file: Vec<Given>,
}

/// How a list is printed.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// How to print it
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|json"
    )]
    pub format: Format,
}

/// Shows the values of a config.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The config
    name: DataName,
    /// Only this key's value, as it is
    key: Option<DataKey>,
}

/// Removes a config, or one key of it.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The config
    name: DataName,
    /// Only this key
    key: Option<DataKey>,
}

/// Carries it out.
pub async fn config(client: &Client, verb: ConfigVerb) -> anyhow::Result<ExitCode> {
    match verb {
        ConfigVerb::Set(args) => set(client, args).await?,
        ConfigVerb::Ls(args) => {
            let all = client.configs().await?;
            let keys: Vec<_> = all
                .iter()
                .map(|(name, values)| (name, values.keys().cloned().collect::<Vec<_>>()))
                .collect();
            match args.format {
                Format::Json => output::json(&all)?,
                Format::Table => {
                    let row = |(name, keys): (&DataName, Vec<DataKey>)| {
                        let keys: Vec<_> = keys.iter().map(DataKey::as_str).collect();
                        vec![name.to_string(), keys.join(",")]
                    };
                    let rows = keys.into_iter().map(row).collect();
                    output::line(&table::fitted(&HEADERS, rows, output::terminal_width()))?;
                }
            }
        }
        ConfigVerb::Show(args) => show(client, &args).await?,
        ConfigVerb::Rm(args) => remove(client, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(client: &Client, args: SetArgs) -> anyhow::Result<()> {
    let given = values::collect(&[args.values, args.from_file].concat())?;
    let mut values = client.configs().await?.remove(&args.name).unwrap_or_default();
    for (key, value) in given {
        let Ok(text) = String::from_utf8(value) else {
            let why = "is no text; a config holds texts only (a secret holds any bytes)";
            return Err(Usage(format!("the value of '{key}' {why}")).into());
        };
        values.insert(key, text);
    }
    client.set_config(&args.name, &values).await?;
    output::line(args.name.as_str())
}

async fn show(client: &Client, args: &ShowArgs) -> anyhow::Result<()> {
    let Some(values) = client.configs().await?.remove(&args.name) else {
        return Err(unknown(&args.name).into());
    };
    match &args.key {
        None => output::json(&values),
        Some(key) => match values.get(key) {
            Some(value) => output::bytes(value.as_bytes()),
            None => Err(no_key(&args.name, key).into()),
        },
    }
}

async fn remove(client: &Client, args: &RmArgs) -> anyhow::Result<()> {
    match &args.key {
        None => client.remove_config(&args.name).await?,
        Some(key) => {
            let Some(mut values) = client.configs().await?.remove(&args.name) else {
                return Err(unknown(&args.name).into());
            };
            if values.remove(key).is_none() {
                return Err(no_key(&args.name, key).into());
            }
            match values.is_empty() {
                true => client.remove_config(&args.name).await?,
                false => client.set_config(&args.name, &values).await?,
            }
        }
    };
    output::line(args.name.as_str())
}

fn unknown(name: &DataName) -> Refusal {
    Refusal(format!("config '{name}' is not known on this node; see: skerry config ls"))
}

fn no_key(name: &DataName, key: &DataKey) -> Refusal {
    Refusal(format!("config '{name}' has no key '{key}'; see: skerry config show {name}"))
}
