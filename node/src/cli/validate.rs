//! `skerry validate`: whether files of agents can be followed, told without a node and without root.

use std::process::ExitCode;

use clap::Args;
use skerry_core::manifest::{self, Purpose};

use super::{Format, apply, output};

/// Checks files of agents without a node; exit code 0 if they can be followed, 1 if not
#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {
    /// The file, in YAML or JSON; - is standard input; may be given several times
    #[arg(short, long = "filename", required = true, value_name = "FILE")]
    files: Vec<String>,
    /// What a node gives and allows, in YAML or JSON: budget, tiers, privileged, cpus
    #[arg(long, value_name = "FILE")]
    profile: Option<String>,
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
pub fn validate(args: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let read = |file: &String| apply::read(file);
    let files = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let profile = args.profile.as_ref().map(read).transpose()?;
    let report = manifest::validate(Purpose::Wishes, &files, profile.as_ref());
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Table => output::bytes(report.to_string().as_bytes())?,
    }
    if report.valid { Ok(ExitCode::SUCCESS) } else { Ok(ExitCode::FAILURE) }
}
