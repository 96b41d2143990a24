//! How the plan is told to people: one word and one sentence for each agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::book::Outcome;
use crate::desired::{DesiredAgent, DesiredJob, Source};
use crate::health::Health;
use crate::ids::{AgentName, Digest};
use crate::observed::{Exit, Phase};
use crate::restart::Verdict;

use super::diff::Need;
use super::{Why, World, order};

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
    /// It ended well, and is done.
    Completed,
    /// It ended with another exit code than 0, by a signal or unhealthy, or could not start, and
    /// nothing will run it again.
    Failed,
    /// It failed as often as it may.
    GaveUp,
    /// It was stopped by hand.
    Stopped,
    /// Something outside stands in its way.
    Blocked,
    /// A job between two runs.
    Scheduled,
    /// A word of a later version.
    #[serde(other)]
    Unknown,
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
            Self::Failed => "failed",
            Self::GaveUp => "gave-up",
            Self::Stopped => "stopped",
            Self::Blocked => "blocked",
            Self::Scheduled => "scheduled",
            Self::Unknown => "unknown",
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
    /// What is there is what is wanted, to the last setting.
    #[serde(default)]
    pub current: bool,
    /// Its process id on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its health, if it has a check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Whether it can serve, if it has a check that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Times it was started again since the node process began.
    pub restarts: u32,
    /// How it ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// The run of a job that is under way, or was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// When a job is due next, in milliseconds since 1970 by the node's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_ms: Option<i64>,
}

pub(super) fn tell(
    world: World<'_>,
    needs: &BTreeMap<AgentName, Need>,
) -> BTreeMap<AgentName, Status> {
    let agents = needs
        .iter()
        .filter_map(|(name, need)| Some((name.clone(), tell_agent(name, *need, world, needs)?)));
    let mut all: BTreeMap<_, _> = agents.collect();
    for (name, job) in &world.desired.jobs {
        if world.desired.agents.contains_key(name) {
            continue;
        }
        let status = tell_job(job, world, all.get(name));
        all.insert(name.clone(), status);
    }
    all
}

fn tell_agent(
    name: &AgentName,
    need: Need,
    world: World<'_>,
    needs: &BTreeMap<AgentName, Need>,
) -> Option<Status> {
    let wanted = world.desired.agents.get(name);
    let seen = world.observed.agents.get(name);
    let remembered = world.memory.of(name);
    let (image, instance) = seen
        .map(|s| (s.spec.image, s.instance))
        .or_else(|| wanted.map(|w| (w.spec.image, w.instance)))?;
    let (state, detail) = state(name, need, world, needs);
    let running = match seen.map(|s| &s.phase) {
        Some(Phase::Running { pid, .. }) => Some(*pid),
        _ => None,
    };
    let checks = remembered.zip(seen).filter(|_| running.is_some());
    Some(Status {
        state,
        detail,
        source: wanted.map(|w| w.source),
        image,
        instance,
        current: seen.is_none_or(|seen| wanted.is_some_and(|wanted| wanted.is_met_by(seen))),
        pid: running,
        health: checks.and_then(|(m, seen)| m.checks.health(&seen.spec)),
        ready: checks.and_then(|(m, seen)| m.checks.ready(&seen.spec)),
        restarts: remembered.map_or(0, |m| m.restarts),
        exit: match seen.map(|s| &s.phase) {
            Some(Phase::Exited(exit)) => Some(exit.clone()),
            _ => None,
        },
        execution: wanted.and_then(|w| w.run.as_ref()).map(|run| run.execution.clone()),
        next_run_ms: world.book.of(name).and_then(|record| record.next_ms),
    })
}

/// A job between its runs; `last` is what is still to be seen of the last one.
fn tell_job(job: &DesiredJob, world: World<'_>, last: Option<&Status>) -> Status {
    let record = world.book.of(&job.agent.of);
    let ended = record.and_then(crate::book::Record::last);
    let outcome = ended.map(|ended| ended.outcome);
    let scheduled = job.agent.spec.job.as_ref().is_some_and(|job| job.schedule.is_some());
    let problem = record.and_then(|record| record.problem.clone());
    let (state, detail) = match (&job.agent.obstacle, job.agent.halt, problem) {
        (Some(obstacle), _, _) => (State::Blocked, Some(obstacle.clone())),
        (None, Some(Why::Stopped), _) => (State::Stopped, None),
        (None, Some(why), _) => (State::Stopped, Some(why.to_string())),
        (None, None, Some(problem)) => (State::Blocked, Some(problem)),
        (None, None, None) => {
            let detail = ended.map(|ended| match (ended.outcome, ended.ending()) {
                (Outcome::Failed, Some(how)) => format!("last run failed: {how}"),
                (outcome, _) => format!("last run {outcome}"),
            });
            match (scheduled, outcome) {
                (true, _) => (State::Scheduled, detail),
                (false, Some(Outcome::Succeeded)) => (State::Completed, None),
                (false, Some(_)) => (State::GaveUp, detail),
                (false, None) => (State::Waiting, None),
            }
        }
    };
    Status {
        state,
        detail,
        source: Some(job.agent.source),
        image: job.agent.spec.image,
        instance: last.map_or(job.agent.instance, |last| last.instance),
        current: true,
        pid: None,
        health: None,
        ready: None,
        restarts: 0,
        exit: ended.and_then(|ended| ended.exit.clone()),
        execution: ended.map(|ended| ended.execution.clone()),
        next_run_ms: record.and_then(|record| record.next_ms),
    }
}

fn state(
    name: &AgentName,
    need: Need,
    world: World<'_>,
    needs: &BTreeMap<AgentName, Need>,
) -> (State, Option<String>) {
    let wanted = world.desired.agents.get(name);
    let live = world.observed.agents.get(name).is_some_and(|seen| seen.phase.is_live());
    let blocked = |detail: String| match live {
        true => (State::Running, Some(format!("cannot change yet: {detail}"))),
        false => (State::Blocked, Some(detail)),
    };
    match need {
        Need::Stop(why) => (State::Stopping, Some(why.to_string())),
        Need::Clean => (State::Stopping, Some("its traces are removed".to_owned())),
        Need::NoImage => {
            let image = wanted.map(|w| w.spec.image.to_string()).unwrap_or_default();
            blocked(format!(
                "image {image} is not in the store; import it: skerry image import FILE"
            ))
        }
        Need::Obstacle => blocked(wanted.and_then(|w| w.obstacle.clone()).unwrap_or_default()),
        Need::Start { .. } => match wanted.and_then(|w| order::unmet(w, needs, world)) {
            Some((on, condition)) => {
                let now = standing(on, world, needs).unwrap_or_default();
                (State::Waiting, Some(format!("for '{on}' to be {condition}{now}")))
            }
            None => (State::Starting, None),
        },
        Need::AdjustLater(_) => {
            let refused = world.memory.of(name).and_then(|m| m.refused.as_ref());
            let detail = refused.map(|r| format!("cannot change yet: {}", r.message));
            (State::Running, detail)
        }
        Need::WaitUntil(_) | Need::Rest | Need::Adjust => at_rest(name, wanted, world),
    }
}

/// How a dependency stands that does not run: why who waits for it waits.
fn standing(on: &AgentName, world: World<'_>, needs: &BTreeMap<AgentName, Need>) -> Option<String> {
    let (state, detail) = match (world.desired.jobs.get(on), needs.get(on)) {
        (Some(job), _) if !world.desired.agents.contains_key(on) => {
            let told = tell_job(job, world, None);
            (told.state, told.detail)
        }
        // Dependencies of several sources together may go round.
        (_, None | Some(Need::Start { .. })) => return None,
        (_, Some(need)) => state(on, *need, world, needs),
    };
    match (state, detail) {
        (State::Running | State::Starting | State::Waiting, _) => None,
        (state, Some(detail)) => Some(format!(", which is {state}: {detail}")),
        (state, None) => Some(format!(", which is {state}")),
    }
}

fn at_rest(
    name: &AgentName,
    wanted: Option<&DesiredAgent>,
    world: World<'_>,
) -> (State, Option<String>) {
    let remembered = world.memory.of(name);
    let ill = remembered.and_then(|m| m.ill.as_ref());
    let phase = world.observed.agents.get(name).map(|seen| &seen.phase);
    let ending = match phase {
        Some(Phase::Running { .. }) => {
            return (State::Running, remembered.and_then(|m| m.checks.message()));
        }
        Some(Phase::Starting) => return (State::Starting, None),
        Some(Phase::Exited(exit)) => Some(exit.told(ill)),
        Some(Phase::Failed { message }) => Some(message.clone()),
        Some(Phase::Lost { .. }) => Some("its monitor was killed".to_owned()),
        None => None,
    };
    match wanted.and_then(|w| w.halt) {
        Some(Why::Stopped) => return (State::Stopped, ending),
        Some(why) => return (State::Stopped, Some(why.to_string())),
        None => {}
    }
    let state = match remembered.and_then(|m| m.ended) {
        Some((Verdict::Again(_), _)) => State::BackOff,
        Some((Verdict::GiveUp, _)) => State::GaveUp,
        Some((Verdict::Done, _)) | None if order::ended_well(name, world) => State::Completed,
        Some((Verdict::Done, _)) | None => State::Failed,
    };
    (state, ending)
}
