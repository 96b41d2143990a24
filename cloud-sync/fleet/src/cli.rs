//! The command line: its grammar, and which file carries out which verb.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::workspace::{Overrides, Workspace};
use crate::{
    audit, broker, ceremony, demo, enrol, expiry, images, init, key, nodes, output, publish,
    rotate, sign, status, time, validate, watch,
};

const EXAMPLES: &str = "\
Examples:
  skerry-fleet init --broker mqtt://broker.example:1883
  skerry-fleet images add sensor.tar --name sensor
  skerry-fleet nodes pending
  skerry-fleet nodes approve box-1
  skerry-fleet sign -f agents.yaml --node box-1
  skerry-fleet publish --node box-1 --wait 60s
  skerry-fleet status

'skerry-fleet VERB --help' says more of each verb.";

/// Signs what a fleet of Skerry nodes must run, sends it, and shows what became of it
#[derive(Debug, Parser)]
#[command(name = "skerry-fleet", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_value_name = "VERB")]
#[command(subcommand_help_heading = "Verbs")]
struct Cli {
    /// The workspace: keys, documents, nodes; ./fleet by default
    #[arg(long, global = true, value_name = "DIR", env = "SKERRY_FLEET_DIR")]
    #[arg(help_heading = "Global options", hide_env_values = true)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a workspace: keys, and the root that nodes are given
    Init(init::InitArgs),
    /// Say which images are genuine; only those can be in a document
    #[command(subcommand)]
    Images(images::ImagesVerb),
    /// Check files of agents, as signing does
    Validate(validate::ValidateArgs),
    /// Sign the agents of a file as the next document of a node or a group
    Sign(sign::SignArgs),
    /// Sign the documents as they are anew, before their metadata expires
    Refresh(sign::RefreshArgs),
    /// Replace keys that may be stolen, or a root that soon expires
    Rotate(rotate::RotateArgs),
    /// List, show, make and replace keys
    #[command(subcommand)]
    Key(key::KeyVerb),
    /// Make a root that several people sign, by passing a file on
    #[command(subcommand)]
    Root(ceremony::RootVerb),
    /// Send the signed document of a node or a group
    Publish(publish::PublishArgs),
    /// Keep the nodes' public keys, by which their reports are recognised
    #[command(subcommand)]
    Nodes(nodes::NodesVerb),
    /// Make, list and revoke tokens, by which new nodes are taken in without being asked for one by one
    #[command(subcommand)]
    Token(enrol::TokenVerb),
    /// Check what nodes wrote down of what they accepted, refused and ran
    #[command(subcommand)]
    Audit(audit::AuditVerb),
    /// Show what all nodes last said of themselves
    Status(status::StatusArgs),
    /// Show changes as they happen, until interrupted
    Watch,
    /// Tell nodes the time, signed, for those whose clock may be wrong
    #[command(subcommand)]
    Time(time::TimeVerb),
    /// Run a small broker on this machine
    Broker(broker::BrokerArgs),
    /// Show the whole of Skerry at work on this machine, and clean up; needs root
    Demo(demo::DemoArgs),
}

/// The grammar of the command line.
#[cfg(feature = "generate")]
pub fn grammar() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Reads the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    // Ends the process itself on `--help` (0) and on wrong usage (2).
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => output::tell(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot set up input and output")?;
    let dir = cli.dir.unwrap_or_else(|| PathBuf::from("fleet"));
    let open = || opened(&dir, &cli.overrides);
    match cli.verb {
        Verb::Init(args) => init::init(&dir, &cli.overrides, &args)?,
        Verb::Validate(args) => return validate::validate(&args),
        Verb::Sign(args) => sign::sign(&open()?, &args)?,
        Verb::Refresh(args) => sign::refresh(&open()?, &args)?,
        Verb::Images(verb) => images::images(&open()?, &verb)?,
        Verb::Rotate(args) => rotate::rotate(&open()?, &args)?,
        Verb::Nodes(verb) => runtime.block_on(nodes::nodes(&open()?, &verb))?,
        Verb::Key(verb) => key::key(open, &verb)?,
        Verb::Root(verb) => ceremony::root(open, &verb)?,
        Verb::Token(verb) => enrol::token(&open()?, &verb)?,
        Verb::Audit(verb) => return audit::audit(open, &verb),
        Verb::Publish(args) => {
            let workspace = open()?;
            expiry::warn(&workspace)?;
            return runtime.block_on(publish::publish(&workspace, &args));
        }
        Verb::Status(args) => {
            let workspace = open()?;
            expiry::warn(&workspace)?;
            runtime.block_on(status::status(&workspace, &args))?;
        }
        Verb::Watch => runtime.block_on(watch::watch(&open()?))?,
        Verb::Time(verb) => runtime.block_on(time::time(&open()?, &verb))?,
        Verb::Broker(args) => runtime.block_on(broker::run(&args))?,
        Verb::Demo(args) => return runtime.block_on(demo::demo(&args)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The workspace, and what was interrupted in it finished.
fn opened(dir: &Path, overrides: &Overrides) -> anyhow::Result<Workspace> {
    let workspace = Workspace::open(dir, overrides)?;
    for line in rotate::finish(&workspace)? {
        output::note(&line);
    }
    Ok(workspace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_audience_is_one_node_or_one_group() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(drop);
        assert!(parse("skerry-fleet sign -f a.yaml --node box-1").is_ok());
        assert!(parse("skerry-fleet sign -f a.yaml --group all --dir x").is_ok());
        assert!(parse("skerry-fleet sign -f a.yaml --node box-1 --group all").is_err());
        assert!(parse("skerry-fleet sign -f a.yaml").is_err());
        assert!(parse("skerry-fleet publish --node box-1 --wait 60s").is_ok());
        assert!(parse("skerry-fleet publish x.bundle --node box-1").is_err());
        assert!(parse("skerry-fleet publish --node Box_1").is_err());
    }

    #[test]
    fn what_is_no_broker_and_no_tenant_is_refused_before_it_is_written_down() {
        let refused = |line: &str| {
            let refused = Cli::try_parse_from(line.split(' ')).map(drop);
            refused.expect_err("it is wrong").to_string()
        };
        let said = refused("skerry-fleet init --broker http://x");
        assert!(said.contains("'http://x' must begin with mqtt:// or mqtts://"), "{said}");
        let said = refused("skerry-fleet init --tenant a/b");
        assert!(said.contains("'a/b' for '--tenant <NAME>'"), "{said}");
    }
}
