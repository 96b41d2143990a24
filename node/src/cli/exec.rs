//! `skerry exec`: a command inside a running agent.
//!
//! Asks the node only where the agent's records are; then enters the container from this very
//! process, which must have one thread at that moment. Exit codes are the command's own, or as
//! docker's: 126 cannot be run, 127 not found.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use skerry_core::ids::AgentName;
use skerry_core::plan::State;

use super::Place;
use super::failure::Refusal;
use super::run_spec::variable;

/// Runs a command inside a running agent
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// As this user, by number; the agent's own by default
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// In this folder; the agent's own by default
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Set a variable on top of the agent's; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// With a terminal
    #[arg(short, long)]
    tty: bool,
    /// With standard input
    #[arg(short, long)]
    interactive: bool,
    /// The agent
    name: AgentName,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs the command, and returns its exit code.
pub fn exec(place: &Place, args: &ExecArgs) -> anyhow::Result<ExitCode> {
    let client = place.client();
    let detail = super::block_on(client.agent(&args.name))??;
    if detail.status.state != State::Running {
        let text = format!(
            "agent '{name}' does not run (it is {state}); see: skerry ps -a",
            name = args.name,
            state = detail.status.state,
        );
        return Err(Refusal(text).into());
    }
    enter(Path::new(&detail.run_dir), args)
}

fn enter(_run_dir: &Path, _args: &ExecArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("exec is not part of this build")
}
