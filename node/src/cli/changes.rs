//! `stop`, `start`, `restart` and `rm`: change agents that are there, and wait until it is done.
//!
//! With several names each is tried, each failure is told, and the exit code says whether any
//! failed. An agent with replicas is changed as a whole, and is there when all of them are.

use std::process::ExitCode;

use clap::Args;
use skerry_core::desired::Source;
use skerry_core::ids::AgentName;
use skerry_core::plan::State;

use super::failure::{self, Partly, Refusal};
use super::output;
use super::wait::{self, Goal};
use crate::api::{AgentList, Applied};
use crate::client::{Change, Client, ClientError};

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
    let list = client.agents(None).await?;
    let names = wholes(&args.names, &list);
    let mut tally = Tally { all: names.len(), ..Tally::default() };
    let mut asked = Vec::new();
    for name in names {
        match ask(client, &list, &name, change).await {
            Ok(applied) => {
                asked.push(Asked { parts: list.parts(&name), name, revision: applied.revision });
            }
            Err(error) => tally.fail(error.into()),
        }
    }
    tally.wait(client, goal, &asked).await
}

/// The names, with all replicas of an agent taken as the agent itself.
fn wholes(names: &[AgentName], list: &AgentList) -> Vec<AgentName> {
    let mut wholes = names.to_vec();
    for (whole, parts) in &list.replicas {
        if parts.iter().all(|part| names.contains(part)) {
            wholes.retain(|name| name != whole && !parts.contains(name));
            wholes.push(whole.clone());
        }
    }
    wholes
}

/// Asks for a change. What ended for good was never stopped: to start it is to run it anew.
async fn ask(
    client: &Client,
    list: &AgentList,
    name: &AgentName,
    change: Change,
) -> Result<Applied, ClientError> {
    let applied = client.change(name, change).await?;
    let ended = |part: &AgentName| {
        let state = list.agents.get(part).map(|status| status.state);
        matches!(state, Some(State::Completed | State::Failed | State::GaveUp))
    };
    if change == Change::Start
        && applied.unchanged.contains(name)
        && list.parts(name).iter().all(ended)
    {
        return client.change(name, Change::Restart).await;
    }
    Ok(applied)
}

/// Removes agents: asks for all of them first, then waits for each.
///
/// What another of them depends on is refused until that one has gone, so what was refused is tried
/// again as long as that gets anywhere.
pub async fn rm(client: &Client, args: &RmArgs) -> anyhow::Result<ExitCode> {
    let mut list = client.agents(None).await?;
    let mut left = wholes(&args.names.names, &list);
    let mut tally = Tally { all: left.len(), ..Tally::default() };
    let mut asked = Vec::new();
    loop {
        let (before, mut refused) = (left.len(), Vec::new());
        for name in left {
            match remove(client, &list, &name, args.force).await {
                Ok(revision) => asked.push(Asked { parts: list.parts(&name), name, revision }),
                Err(error) => refused.push((name, error)),
            }
        }
        if refused.is_empty() || refused.len() == before {
            refused.into_iter().for_each(|(_, error)| tally.fail(error));
            return tally.wait(client, Goal::Gone, &asked).await;
        }
        left = refused.into_iter().map(|(name, _)| name).collect();
        list = client.agents(None).await?;
    }
}

/// Asks for the removal of an agent; the revision says since when it is on its way.
async fn remove(
    client: &Client,
    list: &AgentList,
    name: &AgentName,
    force: bool,
) -> anyhow::Result<u64> {
    // One replica cannot be removed: the node says so.
    let is_part = list.replicas.values().any(|parts| parts.contains(name));
    for part in list.parts(name).iter().filter(|_| !force && !is_part) {
        let Some(status) = list.agents.get(part) else { continue };
        // An agent of the fleet cannot be stopped here either: the node says so.
        let ours = status.source != Some(Source::Fleet);
        if ours && matches!(status.state, State::Running | State::Starting | State::Waiting) {
            let state = status.state;
            let text = format!(
                "agent '{part}' is {state}; stop it first: skerry stop {name}, \
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

/// An agent that a change was asked of.
struct Asked {
    name: AgentName,
    /// What must get there.
    parts: Vec<AgentName>,
    /// Since when the change is on its way.
    revision: u64,
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
        asked: &[Asked],
    ) -> anyhow::Result<ExitCode> {
        for Asked { name, parts, revision } in asked {
            let mut reached = Ok(());
            for part in parts {
                if reached.is_ok() {
                    reached = wait::until(client, part, goal, *revision).await;
                }
            }
            match reached {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_replicas_are_the_agent_and_some_of_them_are_not() {
        let name = |text: &str| text.parse::<AgentName>().unwrap();
        let names = |text: &str| text.split(' ').map(name).collect::<Vec<_>>();
        let replicas = [(name("web"), names("web-0 web-1"))].into();
        let list = AgentList { replicas, ..AgentList::default() };
        assert_eq!(wholes(&names("web-0 a web-1"), &list), names("a web"));
        assert_eq!(wholes(&names("web-0 web web-1"), &list), names("web"));
        assert_eq!(wholes(&names("a web-1"), &list), names("a web-1"));
    }
}
