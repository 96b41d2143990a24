//! `stop`, `start`, `restart` and `rm`: change agents that are there, and wait until it is done.
//!
//! With several names each is tried, each failure is told, and the exit code says whether any
//! failed.

use std::process::ExitCode;

use clap::Args;
use skerry_core::ids::AgentName;
use skerry_core::plan::State;

use super::failure::{self, Partly, Refusal};
use super::output;
use super::wait::{self, Goal};
use crate::client::{Change, Client};

/// Agents by name.
#[derive(Debug, Clone, Args)]
pub struct Names {
    /// The agents
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<AgentName>,
}

/// Removes agents, and waits until they are gone
#[derive(Debug, Clone, Args)]
pub struct RmArgs {
    /// Also those that run; they are stopped first
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    names: Names,
}

/// Stops, starts or restarts agents.
pub async fn change(client: &Client, args: &Names, change: Change) -> anyhow::Result<ExitCode> {
    let mut tally = Tally::default();
    for name in &args.names {
        tally.count(name, change_one(client, name, change).await)?;
    }
    tally.end()
}

async fn change_one(client: &Client, name: &AgentName, change: Change) -> anyhow::Result<()> {
    let applied = client.change(name, change).await?;
    let goal = match change {
        Change::Stop => Goal::Stopped,
        Change::Start | Change::Restart => Goal::Running,
    };
    wait::until(client, name, goal, applied.revision).await
}

/// Removes agents.
pub async fn rm(client: &Client, args: &RmArgs) -> anyhow::Result<ExitCode> {
    let mut tally = Tally::default();
    for name in &args.names.names {
        tally.count(name, remove(client, name, args.force).await)?;
    }
    tally.end()
}

async fn remove(client: &Client, name: &AgentName, force: bool) -> anyhow::Result<()> {
    if !force {
        let status = client.agent(name).await?.status;
        if matches!(status.state, State::Running | State::Starting | State::Waiting) {
            let state = status.state;
            let text = format!(
                "agent '{name}' is {state}; stop it first: skerry stop {name}, \
                 or remove it anyway: skerry rm -f {name}"
            );
            return Err(Refusal(text).into());
        }
    }
    let applied = match client.remove(name).await {
        // As with `rm -f` of a file: that it is gone is what was asked for.
        Err(error) if force && error.is_not_found() => return Ok(()),
        answer => answer?,
    };
    wait::until(client, name, Goal::Gone, applied.revision).await
}

/// Tells each failure at once and counts them.
#[derive(Default)]
struct Tally {
    failed: usize,
    all: usize,
    last: Option<anyhow::Error>,
}

impl Tally {
    /// Prints the name of what succeeded.
    fn count(&mut self, name: &AgentName, result: anyhow::Result<()>) -> anyhow::Result<()> {
        self.all += 1;
        match result {
            Ok(()) => output::line(name.as_str()),
            Err(error) => {
                self.failed += 1;
                if let Some(earlier) = self.last.replace(error) {
                    failure::say(&earlier);
                }
                Ok(())
            }
        }
    }

    /// With a single name its own error is the verb's.
    fn end(self) -> anyhow::Result<ExitCode> {
        match self.last {
            None => Ok(ExitCode::SUCCESS),
            Some(error) if self.all == 1 => Err(error),
            Some(error) => {
                failure::say(&error);
                Err(Partly { failed: self.failed, all: self.all }.into())
            }
        }
    }
}
