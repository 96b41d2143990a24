//! `stop`, `start`, `restart` and `rm`: change agents that are there, and wait until it is done.
//!
//! With several names each is tried, each failure is told, and the exit code says whether any
//! failed.

use std::process::ExitCode;

use clap::Args;
use skerry_core::desired::Source;
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

/// Stops, starts or restarts agents: asks for all of them first, then waits for each.
pub async fn change(client: &Client, args: &Names, change: Change) -> anyhow::Result<ExitCode> {
    let goal = match change {
        Change::Stop => Goal::Stopped,
        Change::Start | Change::Restart => Goal::Running,
    };
    let mut tally = Tally { all: args.names.len(), ..Tally::default() };
    let mut asked = Vec::new();
    for name in &args.names {
        match client.change(name, change).await {
            Ok(applied) => asked.push((name, applied.revision)),
            Err(error) => tally.fail(error.into()),
        }
    }
    tally.wait(client, goal, &asked).await
}

/// Removes agents: asks for all of them first, then waits for each.
///
/// What another of them depends on is refused until that one has gone, so what was refused is tried
/// again as long as that gets anywhere.
pub async fn rm(client: &Client, args: &RmArgs) -> anyhow::Result<ExitCode> {
    let mut left: Vec<&AgentName> = args.names.names.iter().collect();
    let mut tally = Tally { all: left.len(), ..Tally::default() };
    let mut asked = Vec::new();
    loop {
        let (before, mut refused) = (left.len(), Vec::new());
        for name in left {
            match remove(client, name, args.force).await {
                Ok(revision) => asked.push((name, revision)),
                Err(error) => refused.push((name, error)),
            }
        }
        if refused.is_empty() || refused.len() == before {
            refused.into_iter().for_each(|(_, error)| tally.fail(error));
            return tally.wait(client, Goal::Gone, &asked).await;
        }
        left = refused.into_iter().map(|(name, _)| name).collect();
    }
}

/// Asks for the removal of an agent; the revision says since when it is on its way.
async fn remove(client: &Client, name: &AgentName, force: bool) -> anyhow::Result<u64> {
    if !force {
        let status = client.agent(name).await?.status;
        // An agent of the fleet cannot be stopped here either: the node says so.
        let ours = status.source != Some(Source::Fleet);
        if ours && matches!(status.state, State::Running | State::Starting | State::Waiting) {
            let state = status.state;
            let text = format!(
                "agent '{name}' is {state}; stop it first: skerry stop {name}, \
                 or remove it anyway: skerry rm -f {name}"
            );
            return Err(Refusal(text).into());
        }
    }
    match client.remove(name).await {
        // As with `rm -f` of a file: that it is gone is what was asked for.
        Err(error) if force && error.is_not_found() => Ok(0),
        answer => Ok(answer?.revision),
    }
}

/// Tells failures and counts them; with a single name its failure is the verb's own.
#[derive(Default)]
struct Tally {
    failed: usize,
    all: usize,
    only: Option<anyhow::Error>,
}

impl Tally {
    fn fail(&mut self, error: anyhow::Error) {
        self.failed += 1;
        if self.all == 1 {
            self.only = Some(error);
        } else {
            failure::say(&error);
        }
    }

    /// Waits for each that was asked for, prints its name, and ends the verb.
    async fn wait(
        mut self,
        client: &Client,
        goal: Goal,
        asked: &[(&AgentName, u64)],
    ) -> anyhow::Result<ExitCode> {
        for (name, revision) in asked {
            match wait::until(client, name, goal, *revision).await {
                Ok(()) => output::line(name.as_str())?,
                Err(error) => self.fail(error),
            }
        }
        match (self.failed, self.only) {
            (0, _) => Ok(ExitCode::SUCCESS),
            (_, Some(error)) => Err(error),
            (failed, None) => Err(Partly { failed, all: self.all }.into()),
        }
    }
}
