//! How the plan is told to people: one word and one sentence for each agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::desired::{Desired, Source};
use crate::health::Health;
use crate::ids::{AgentName, Digest};
use crate::memory::Memory;
use crate::observed::{Exit, Observed, Phase};
use crate::restart::Verdict;

use super::diff::Need;
use super::order;

/// One word for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    Running,
    /// Its container is being made.
    Starting,
    /// It was asked to end.
    Stopping,
    /// It waits for a dependency.
    Waiting,
    /// It ended, and starts again after a while.
    BackOff,
    /// It ended, and is done.
    Completed,
    /// It failed as often as it may.
    GaveUp,
    /// It was stopped by hand.
    Stopped,
    /// Something outside stands in its way.
    Blocked,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Waiting => "waiting",
            Self::BackOff => "back-off",
            Self::Completed => "completed",
            Self::GaveUp => "gave-up",
            Self::Stopped => "stopped",
            Self::Blocked => "blocked",
        })
    }
}

/// What is told of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// One word.
    pub state: State,
    /// One sentence, where the word is not enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Who wants it; nobody, if it is being removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The image of what runs, or of what is wanted.
    pub image: Digest,
    /// The instance of what runs, or of what is wanted.
    pub instance: Digest,
    /// Its process id on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its health, if it has a check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Times it was started again since the node process began.
    pub restarts: u32,
    /// How it ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

pub(super) fn tell(
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
    needs: &BTreeMap<AgentName, Need>,
) -> BTreeMap<AgentName, Status> {
    let tell_one = |(name, need): (&AgentName, &Need)| {
        let wanted = desired.agents.get(name);
        let seen = observed.agents.get(name);
        let remembered = memory.of(name);
        let (image, instance) = seen
            .map(|s| (s.spec.image, s.instance))
            .or_else(|| wanted.map(|w| (w.spec.image, w.instance)))?;
        let (state, detail) = state(name, *need, desired, observed, memory, needs);
        let running = match seen.map(|s| &s.phase) {
            Some(Phase::Running { pid, .. }) => Some(*pid),
            _ => None,
        };
        let checked = running.is_some() && seen.is_some_and(|s| s.spec.health_check.is_some());
        let status = Status {
            state,
            detail,
            source: wanted.map(|w| w.source),
            image,
            instance,
            pid: running,
            health: remembered.filter(|_| checked).map(|m| m.health.health()),
            restarts: remembered.map_or(0, |m| m.restarts),
            exit: match seen.map(|s| &s.phase) {
                Some(Phase::Exited(exit)) => Some(exit.clone()),
                _ => None,
            },
        };
        Some((name.clone(), status))
    };
    needs.iter().filter_map(tell_one).collect()
}

fn state(
    name: &AgentName,
    need: Need,
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
    needs: &BTreeMap<AgentName, Need>,
) -> (State, Option<String>) {
    let wanted = desired.agents.get(name);
    let seen = observed.agents.get(name);
    match need {
        Need::Stop(why) => (State::Stopping, Some(why.to_string())),
        Need::Clean => (State::Stopping, Some("its traces are removed".to_owned())),
        Need::NoImage => {
            let image = wanted.map(|w| w.spec.image.to_string()).unwrap_or_default();
            let detail =
                format!("image {image} is not in the store; import it: skerry image import FILE");
            match seen.map(|s| s.phase.is_live()) {
                Some(true) => (State::Running, Some(format!("cannot change yet: {detail}"))),
                _ => (State::Blocked, Some(detail)),
            }
        }
        Need::Start { .. } => {
            let unmet = wanted.and_then(|w| order::unmet(w, needs, desired, observed, memory));
            match unmet {
                Some((on, condition)) => {
                    (State::Waiting, Some(format!("for '{on}' to be {condition}")))
                }
                None => (State::Starting, None),
            }
        }
        Need::WaitUntil(_) | Need::Rest => {
            at_rest(name, wanted.is_some_and(|w| w.stopped), observed, memory)
        }
    }
}

fn at_rest(
    name: &AgentName,
    stopped: bool,
    observed: &Observed,
    memory: &Memory,
) -> (State, Option<String>) {
    let ending = match observed.agents.get(name).map(|seen| &seen.phase) {
        Some(Phase::Running { .. }) => {
            let message = memory.of(name).and_then(|m| m.health.message()).map(str::to_owned);
            return (State::Running, message);
        }
        Some(Phase::Starting) => return (State::Starting, None),
        Some(Phase::Exited(exit)) => Some(exit.to_string()),
        Some(Phase::Failed { message }) => Some(message.clone()),
        Some(Phase::Lost { .. }) => Some("its monitor was killed".to_owned()),
        None => None,
    };
    let state = match memory.of(name).and_then(|m| m.ended) {
        _ if stopped => State::Stopped,
        Some((Verdict::Again(_), _)) => State::BackOff,
        Some((Verdict::GiveUp, _)) => State::GaveUp,
        Some((Verdict::Done, _)) | None => State::Completed,
    };
    (state, ending)
}
