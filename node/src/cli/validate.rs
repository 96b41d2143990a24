//! `skerry validate`: whether files of agents can be followed, told without a node and without root,
//! or against what a node gives.

use std::process::ExitCode;

use clap::Args;
use skerry_core::manifest::{self, Against, Purpose};

use super::{Format, Place, apply, block_on, output};

/// Checks files of agents without a node; exit code 0 if they can be followed, 1 if not
#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {
    /// The file; - is standard input; may be given several times
    #[arg(short, long = "filename", required = true, value_name = "FILE")]
    files: Vec<String>,
    /// What a node gives and allows, as 'skerry profile' prints it
    #[arg(long, value_name = "FILE")]
    profile: Option<String>,
    /// Check against what this machine's node gives to agents
    #[arg(long, conflicts_with = "profile")]
    node: bool,
    /// How to print what is wrong
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|json"
    )]
    format: Format,
}

/// Reads and checks the files, and prints everything that is wrong.
pub fn validate(place: &Place, args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let read = |file: &String| apply::read(file);
    let files = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let against = match &args.profile {
        Some(file) => read(file).map(|(name, text)| Against::File(name, text))?,
        None if args.node => Against::Node(Box::new(block_on(place.client().profile())??)),
        None => Against::Nothing,
    };
    let report = manifest::validate(Purpose::Wishes, &files, against);
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Table => output::bytes(report.to_string().as_bytes())?,
    }
    Ok(if report.valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
