//! Waits until an agent is where a verb wants it, or cannot get there.
//!
//! [`judge`] decides, from what the node says; [`until`] asks the node again at each change of its
//! revision. No polling: the node answers when something has changed.

use std::time::Duration;

use skerry_core::desired::Source;
use skerry_core::ids::AgentName;
use skerry_core::observed::Exit;
use skerry_core::plan::{State, Status};
use tokio::time::Instant;

use super::failure::Refusal;
use crate::client::Client;

/// Longer than any start or ordinary stop takes; then the user is told, and the node goes on.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where an agent is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// It runs, or ran to a good end.
    Running,
    /// It does not run.
    Stopped,
    /// It is not there any more, or is the fleet's.
    Gone,
}

/// What is to be thought of an agent's status.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Reached,
    NotYet,
    Never,
}

fn judge(goal: Goal, status: Option<&Status>) -> Verdict {
    match (goal, status) {
        (Goal::Running, None) => Verdict::Never,
        (Goal::Stopped | Goal::Gone, None) => Verdict::Reached,
        (Goal::Running, Some(status)) => match status.state {
            State::Running => Verdict::Reached,
            State::Starting | State::Stopping | State::Waiting | State::Unknown => Verdict::NotYet,
            State::Completed if status.exit.as_ref().is_some_and(Exit::is_success) => {
                Verdict::Reached
            }
            // It runs when it is due.
            State::Scheduled => Verdict::Reached,
            State::Completed
            | State::Failed
            | State::BackOff
            | State::GaveUp
            | State::Stopped
            | State::Blocked => Verdict::Never,
        },
        (Goal::Stopped, Some(status)) => match status.state {
            State::Running | State::Starting | State::Stopping => Verdict::NotYet,
            _ => Verdict::Reached,
        },
        (Goal::Gone, Some(status)) if status.source == Some(Source::Fleet) => Verdict::Reached,
        (Goal::Gone, Some(_)) => Verdict::NotYet,
    }
}

/// Waits until the agent is there, as of `revision` or later.
///
/// # Errors
/// It cannot get there, or it takes too long; or the node does not answer.
pub async fn until(
    client: &Client,
    name: &AgentName,
    goal: Goal,
    revision: u64,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut list = client.agents(None).await?;
    loop {
        let status = list.agents.get(name);
        let verdict = if list.revision < revision { Verdict::NotYet } else { judge(goal, status) };
        match verdict {
            Verdict::Reached => return Ok(()),
            Verdict::Never => return Err(never(name, status).into()),
            Verdict::NotYet => {}
        }
        let next = client.agents(Some(list.revision));
        list = match tokio::time::timeout_at(deadline, Box::pin(next)).await {
            Ok(list) => list?,
            Err(_) => return Err(late(name, list.agents.get(name)).into()),
        };
    }
}

fn never(name: &AgentName, status: Option<&Status>) -> Refusal {
    let Some(status) = status else {
        return Refusal(format!("agent '{name}' was removed before it ran"));
    };
    let told = told(status);
    // An image or a clash stands in the way of what never ran; there is no output to look at.
    match status.state {
        State::Blocked => Refusal(format!("agent '{name}' does not run: {told}")),
        _ => Refusal(format!("agent '{name}' does not run: {told}; see: skerry logs {name}")),
    }
}

fn late(name: &AgentName, status: Option<&Status>) -> Refusal {
    let told = status.map_or_else(|| "unknown to the node".to_owned(), told);
    let seconds = PATIENCE.as_secs();
    Refusal(format!(
        "agent '{name}' is still {told} after {seconds} seconds; the node goes on; see: skerry ps -a"
    ))
}

fn told(status: &Status) -> String {
    match &status.detail {
        Some(detail) => format!("{} ({detail})", status.state),
        None => status.state.to_string(),
    }
}

#[cfg(test)]
mod tests;
