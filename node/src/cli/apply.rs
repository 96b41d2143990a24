//! `skerry apply`: the agents of this node as files say.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use skerry_core::ids::AgentName;
use skerry_core::manifest::{FILE_MAX, Manifest};

use super::failure::{self, Refusal};
use super::{Format, image, output};
use crate::api::{Applied, Apply};
use crate::client::Client;

/// Creates or changes agents as YAML or JSON files say; others stay as they are
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    /// The file; - is standard input; may be given several times
    #[arg(short, long = "filename", required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Also remove local agents that are not in the files
    #[arg(long)]
    prune: bool,
    /// Check everything, change nothing
    #[arg(long)]
    dry_run: bool,
    /// How to print what changed
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|json"
    )]
    format: Format,
}

/// Reads the files, resolves the images, hands all over, and prints what came of it.
pub async fn apply(client: &Client, state_dir: &Path, args: ApplyArgs) -> anyhow::Result<ExitCode> {
    let mut manifest = Manifest::default();
    let mut resolve =
        |image: &str| image::resolve(state_dir, image).map_err(|error| failure::sentence(&error));
    for file in &args.files {
        let (name, text) = read(file)?;
        manifest.read(&name, &text, &mut resolve);
    }
    // What holds between agents is the node's to judge: it knows those that are there already.
    let (agents, configs) = manifest.finish()?;
    if agents.is_empty() && configs.is_empty() && !args.prune {
        return Err(
            Refusal("the files hold no agent; with --prune, all would be removed".into()).into()
        );
    }
    let wish = Apply { agents, configs, prune: args.prune, dry_run: args.dry_run };
    let applied = client.apply(&wish).await?;
    match args.format {
        Format::Json => output::json(&applied)?,
        Format::Table => output::bytes(text(&applied, args.dry_run).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of a file for messages, and what it holds.
pub fn read(file: &str) -> anyhow::Result<(String, String)> {
    let mut text = String::new();
    let name = if file == "-" { "standard input" } else { file };
    let source: Box<dyn Read> = match file {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(File::open(path).with_context(|| format!("cannot open {path}"))?),
    };
    source
        .take(FILE_MAX as u64 + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {name}"))?;
    if text.len() > FILE_MAX {
        return Err(Refusal(format!("{name} has more than {FILE_MAX} bytes")).into());
    }
    Ok((name.to_owned(), text))
}

/// A line for each agent.
fn text(applied: &Applied, dry_run: bool) -> String {
    let note = if dry_run { " (nothing was done)" } else { "" };
    let lines = |names: &[AgentName], what: &str| -> String {
        names.iter().map(|name| format!("{name}: {what}{note}\n")).collect()
    };
    [
        lines(&applied.created, "created"),
        lines(&applied.changed, "changed"),
        lines(&applied.unchanged, "unchanged"),
        lines(&applied.removed, "removed"),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agent_has_its_line() {
        let names = |text: &str| text.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let applied = Applied {
            created: names("a b"),
            unchanged: names("c"),
            removed: names("d"),
            ..Applied::default()
        };
        assert_eq!(text(&applied, false), "a: created\nb: created\nc: unchanged\nd: removed\n");
        assert!(text(&applied, true).starts_with("a: created (nothing was done)\n"));
    }
}
