//! The command line: its grammar, and which file carries out which verb.
//!
//! Verbs speak with the node through `client.rs`, never with its store; only `image` works on the
//! content store itself, and `exec` enters a container itself. One file per group of verbs below
//! `cli/`; start with `cli/run.rs`.

mod apply;
mod audit;
mod changes;
mod check;
mod config;
mod down;
mod exec;
mod failure;
mod image;
mod import;
mod inspect;
mod jobs;
mod logs;
mod node_args;
mod output;
mod pack;
mod ps;
mod run;
mod run_spec;
mod secret;
mod stats;
mod status;
mod table;
mod units;
mod validate;
mod values;
mod volume;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

use crate::client::{Change, Client};

pub use exec::probe;
pub use node_args::NodeArgs;
pub use units::bytes;

const SOCKET: &str = "/run/skerry/api.sock";
const STATE_DIR: &str = "/var/lib/skerry";

const EXAMPLES: &str = "\
Examples:
  skerry image import sensor.tar --name sensor
  skerry run --name sensor -m 64Mi --cpus 500m sensor
  skerry apply -f agents.yaml
  skerry logs -f sensor

'skerry VERB --help' says more of each verb.";

/// Runs containers as agents on an edge device, with or without a network
#[derive(Debug, Parser)]
#[command(name = "skerry", version, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, subcommand_value_name = "VERB")]
#[command(subcommand_help_heading = "Verbs")]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

/// Where the node is.
#[derive(Debug, Clone, clap::Args)]
struct Place {
    /// The node's socket; /run/skerry/api.sock by default
    #[arg(long, global = true, value_name = "PATH", env = "SKERRY_SOCKET", hide_env_values = true)]
    #[arg(help_heading = "Global options")]
    socket: Option<PathBuf>,
    /// The node's state; /var/lib/skerry by default
    #[arg(long, global = true, value_name = "DIR", env = "SKERRY_STATE_DIR")]
    #[arg(help_heading = "Global options", hide_env_values = true)]
    state_dir: Option<PathBuf>,
}

impl Place {
    fn client(&self) -> Client {
        Client::new(self.socket.as_deref().unwrap_or_else(|| SOCKET.as_ref()))
    }

    fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| STATE_DIR.into())
    }
}

/// How a table may be printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run an image as a new agent, and wait until it runs
    Run(Box<run_spec::RunArgs>),
    /// Create or change agents as a YAML or JSON file says
    Apply(apply::ApplyArgs),
    /// Check files of agents without a node
    Validate(validate::ValidateArgs),
    /// List agents
    Ps(ps::PsArgs),
    /// Show what an agent has printed
    Logs(logs::LogsArgs),
    /// Run a command inside an agent
    Exec(exec::ExecArgs),
    /// Stop agents, and keep them stopped
    Stop(changes::Names),
    /// Start agents that were stopped or have ended
    Start(changes::Names),
    /// Run agents anew
    Restart(changes::Names),
    /// Remove agents
    Rm(changes::RmArgs),
    /// Show everything known of agents, as JSON
    Inspect(changes::Names),
    /// Show what agents use
    Stats(stats::StatsArgs),
    /// List jobs and their runs; `start JOB` runs one now
    Jobs(jobs::JobsArgs),
    /// Show or export what was accepted, refused and run, by whom
    Audit(audit::AuditArgs),
    /// Stop everything, in order
    Down(down::DownArgs),
    /// Run again what `down` has stopped
    Up,
    /// Set, list and remove secrets
    #[command(subcommand, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
    Secret(secret::SecretVerb),
    /// Set, list, show and remove configs
    #[command(subcommand, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
    Config(config::ConfigVerb),
    /// List and remove volumes
    #[command(subcommand, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
    Volume(volume::VolumeVerb),
    /// Import, list, pack and remove images
    #[command(subcommand, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
    Image(image::ImageVerb),
    /// Take signed documents and images from a stick or a folder
    Import(import::ImportArgs),
    /// Show the node itself
    Status(status::StatusArgs),
    /// Show what the node gives to agents, as JSON for `validate --profile`
    Profile,
    /// Check whether this machine can run Skerry
    Check(check::CheckArgs),
    /// Run the node
    Node(NodeArgs),
    /// Show the version
    Version(status::VersionArgs),
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
    match execute(cli) {
        Ok(code) => code,
        Err(error) => failure::tell(&error),
    }
}

fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { place, verb } = cli;
    match verb {
        Verb::Node(args) => {
            crate::node::main(args.at(place.state_dir))?;
            Ok(ExitCode::SUCCESS)
        }
        // It makes its own runtime, and drops it before it enters the container.
        Verb::Exec(args) => exec::exec(&place, args),
        Verb::Image(verb) => image::image(&place, verb),
        // It forks, so it must come before anything that starts threads.
        Verb::Check(args) => check::check(&place, args),
        Verb::Version(args) => status::version(&args),
        Verb::Validate(args) => validate::validate(&place, &args),
        verb => block_on(ask(&place, verb))?,
    }
}

/// Carries out a verb that speaks with the node.
async fn ask(place: &Place, verb: Verb) -> anyhow::Result<ExitCode> {
    let client = place.client();
    match verb {
        Verb::Run(args) => run::run(&client, &place.state_dir(), *args).await,
        Verb::Apply(args) => apply::apply(&client, &place.state_dir(), args).await,
        Verb::Ps(args) => ps::ps(&client, &place.state_dir(), &args).await,
        Verb::Logs(args) => logs::logs(&client, &args).await,
        Verb::Stop(args) => changes::change(&client, &args, Change::Stop).await,
        Verb::Start(args) => changes::change(&client, &args, Change::Start).await,
        Verb::Restart(args) => changes::change(&client, &args, Change::Restart).await,
        Verb::Rm(args) => changes::rm(&client, &args).await,
        Verb::Inspect(args) => inspect::inspect(&client, &args).await,
        Verb::Import(args) => import::import(&client, &place.state_dir(), &args).await,
        Verb::Stats(args) => stats::stats(&client, &args).await,
        Verb::Status(args) => status::status(&client, &args).await,
        Verb::Jobs(args) => jobs::jobs(&client, &args).await,
        Verb::Audit(args) => audit::audit(&client, &args).await,
        Verb::Down(args) => down::down(&client, &args).await,
        Verb::Up => down::up(&client).await,
        Verb::Secret(verb) => secret::secret(&client, verb).await,
        Verb::Config(verb) => config::config(&client, verb).await,
        Verb::Volume(verb) => volume::volume(&client, verb).await,
        Verb::Profile => {
            output::json(&client.profile().await?)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Node(_)
        | Verb::Exec(_)
        | Verb::Image(_)
        | Verb::Check(_)
        | Verb::Version(_)
        | Verb::Validate(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Runs a future to its end in this thread, and leaves no thread or descriptor behind.
fn block_on<F: Future>(future: F) -> anyhow::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("cannot set up input and output")?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests;
