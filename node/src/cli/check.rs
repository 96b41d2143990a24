//! `skerry check`: tells what the checks have found. What is looked at, and what it means, is
//! decided in `crate::check`.
//!
//! Exit code 1 when an error was found; warnings are 0. Needs no node, and no network unless asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use skerry_core::reading::nearest;

use super::failure::Usage;
use super::{Format, Place, output, table};
use crate::check::{CHECKS, Facts, Finding, Level, Settings, judge, worst};

/// Checks whether this machine can run Skerry, and says what to do where it cannot
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Only these checks
    #[arg(value_name = "CHECK")]
    checks: Vec<String>,
    /// List the checks and what needs them; look at nothing
    #[arg(long)]
    list: bool,
    /// The node's settings
    #[arg(long, value_name = "FILE", env = "SKERRY_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Try to reach the broker too
    #[arg(long)]
    network: bool,
    /// Only what is not as it should be
    #[arg(short, long)]
    quiet: bool,
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

/// Looks, judges, and tells.
pub fn check(place: &Place, args: CheckArgs) -> anyhow::Result<ExitCode> {
    if let Some(unknown) = args.checks.iter().find(|name| !is_known(name)) {
        return Err(Usage(not_known(unknown)).into());
    }
    if args.list || args.checks.iter().any(|name| name == "list") {
        return list(args.format);
    }
    let settings = Settings {
        config: args.config,
        state_dir: place.state_dir.clone(),
        socket: place.socket.clone(),
        network: args.network,
    };
    let facts = Facts::gather(&settings);
    let mut findings = judge(&facts);
    findings.retain(|f| args.checks.is_empty() || args.checks.iter().any(|n| n == f.check.name));
    let result = worst(&findings);
    let counts = counts(&findings);
    findings.retain(|finding| !args.quiet || finding.level > Level::Skipped);
    match args.format {
        Format::Json => output::json(&Told {
            version: env!("CARGO_PKG_VERSION"),
            arch: std::env::consts::ARCH,
            kernel: &facts.release,
            result,
            counts,
            findings: &findings,
        })?,
        Format::Table => {
            let text = findings.iter().map(text).chain([sum(&counts)]);
            output::line(&text.collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(if result == Level::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What programs are told.
#[derive(Serialize)]
struct Told<'a> {
    version: &'static str,
    arch: &'static str,
    kernel: &'a str,
    result: Level,
    counts: BTreeMap<Level, usize>,
    findings: &'a [Finding],
}

fn is_known(name: &str) -> bool {
    name == "list" || CHECKS.iter().any(|check| check.name == name)
}

fn not_known(name: &str) -> String {
    match nearest(name, CHECKS.iter().map(|check| check.name)) {
        Some(meant) => format!("no check '{name}'; did you mean '{meant}'?"),
        None => format!("no check '{name}'; see: skerry check --list"),
    }
}

fn list(format: Format) -> anyhow::Result<ExitCode> {
    match format {
        Format::Json => output::json(&CHECKS.as_slice())?,
        Format::Table => {
            let row = |check: &crate::check::Check| {
                let options = check.options.join(" ");
                let options = if options.is_empty() { table::NOTHING.to_owned() } else { options };
                vec![check.name.to_owned(), check.needed_for.to_owned(), options]
            };
            let rows: Vec<_> = CHECKS.iter().map(row).collect();
            output::line(&table::table(&["CHECK", "NEEDED FOR", "KERNEL OPTIONS"], &rows))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn counts(findings: &[Finding]) -> BTreeMap<Level, usize> {
    let mut counts = [Level::Ok, Level::Skipped, Level::Warning, Level::Error].map(|l| (l, 0));
    for finding in findings {
        counts.iter_mut().filter(|(level, _)| *level == finding.level).for_each(|(_, n)| *n += 1);
    }
    counts.into_iter().collect()
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Skipped => "skipped",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

/// One finding: a line, and what to do below it.
fn text(finding: &Finding) -> String {
    let mut text =
        format!("{:<8} {:<17} {}", word(finding.level), finding.check.name, finding.says);
    let mut more = |label: &str, words: &str| {
        text.push_str(&format!("\n{:26} {label} {words}", ""));
    };
    if finding.level > Level::Skipped {
        more("needed for:", finding.check.needed_for);
    }
    if let Some(next) = &finding.next {
        more("next:", next);
    }
    text
}

fn sum(counts: &BTreeMap<Level, usize>) -> String {
    let count = |level| counts.get(&level).copied().unwrap_or_default();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    format!(
        "\n{} ok, {warnings} warning{}, {errors} error{}, {} not looked at",
        count(Level::Ok),
        plural(warnings),
        plural(errors),
        count(Level::Skipped)
    )
}
