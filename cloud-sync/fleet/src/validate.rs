//! `skerry-fleet validate`: what signing would say of files of agents. It signs nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use skerry_core::manifest::{self, Against, Purpose};

use crate::{files, output};

/// How the result may be printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Checks files of agents, as signing does; exit code 0 if they can be signed, 1 if not
#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {
    /// The agents, in YAML or JSON; may be given several times, and is checked as one document
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What a node gives and allows, in YAML or JSON: budget, tiers, privileged, cpus
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
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
    let read = |file: &PathBuf| -> anyhow::Result<_> {
        Ok((file.display().to_string(), files::read_text(file)?))
    };
    let files = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let against = match &args.profile {
        None => Against::Nothing,
        Some(file) => read(file).map(|(name, text)| Against::File(name, text))?,
    };
    let report = manifest::validate(Purpose::Document, &files, against);
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Table => output::line(report.to_string().trim_end())?,
    }
    Ok(if report.valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
