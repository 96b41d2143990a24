//! Who may go first: dependents end before what they depend on, and start after it.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::Condition;
use crate::book::{Ended, Outcome};
use crate::desired::{DesiredAgent, DesiredJob, names_of};
use crate::ids::AgentName;
use crate::observed::{Observed, Phase};

use super::World;
use super::diff::Need;

/// Of those that must end, the ones whose dependents, as far as these must end too, are gone.
pub(super) fn stops<'a>(
    needs: &'a BTreeMap<AgentName, Need>,
    observed: &Observed,
) -> Vec<&'a AgentName> {
    let all: Vec<&AgentName> = needs
        .iter()
        .filter(|(_, need)| matches!(need, Need::Stop(_)))
        .map(|(name, _)| name)
        .collect();
    let live = all.iter().filter_map(|name| observed.agents.get(*name).map(|seen| (*name, seen)));
    let needed: BTreeSet<&AgentName> = live
        .filter(|(_, seen)| seen.phase.is_live())
        .flat_map(|(name, seen)| seen.spec.depends_on.keys().filter(move |on| *on != name))
        .collect();
    let free: Vec<_> = all.iter().copied().filter(|name| !needed.contains(name)).collect();
    // What runs may stem from several documents, and their dependencies together may go round.
    if free.is_empty() { all } else { free }
}

/// Those that may start now, with whether old traces must go first. Priority goes first.
pub(super) fn starts<'a>(
    needs: &'a BTreeMap<AgentName, Need>,
    world: World<'_>,
) -> Vec<(&'a AgentName, bool)> {
    let mut starts: Vec<_> = needs
        .iter()
        .filter_map(|(name, need)| match need {
            Need::Start { clean } => Some((name, *clean, world.desired.agents.get(name)?)),
            _ => None,
        })
        .filter(|(_, _, wanted)| unmet(wanted, needs, world).is_none())
        .collect();
    starts.sort_by_key(|(_, _, wanted)| std::cmp::Reverse(wanted.spec.priority));
    starts.into_iter().map(|(name, clean, _)| (name, clean)).collect()
}

/// The first dependency that does not hold yet.
pub(super) fn unmet<'a>(
    wanted: &'a DesiredAgent,
    needs: &BTreeMap<AgentName, Need>,
    world: World<'_>,
) -> Option<(&'a AgentName, Condition)> {
    wanted
        .spec
        .depends_on
        .iter()
        .map(|(on, condition)| (on, *condition))
        .find(|(on, condition)| !holds(on, *condition, needs, world))
}

fn holds(
    on: &AgentName,
    condition: Condition,
    needs: &BTreeMap<AgentName, Need>,
    world: World<'_>,
) -> bool {
    if let Some(job) = world.desired.jobs.get(on) {
        return job_holds(job, condition, world);
    }
    if matches!(needs.get(on), Some(Need::Stop(_) | Need::Clean) | None) {
        return false;
    }
    let Some(seen) = world.observed.agents.get(on) else { return false };
    let running = matches!(seen.phase, Phase::Running { .. });
    match condition {
        // One that is about to run again is waited for.
        Condition::Started => {
            !matches!(needs.get(on), Some(Need::Start { .. })) && began(on, world)
        }
        Condition::Healthy => {
            running && world.memory.of(on).is_some_and(|m| m.checks.serves(&seen.spec))
        }
        Condition::Completed => {
            let same = world.desired.agents.get(on).is_some_and(|w| w.instance == seen.instance);
            same && ended_well(on, world)
        }
    }
}

/// Whether an agent ended with exit code 0, and not for its health.
pub(super) fn ended_well(name: &AgentName, world: World<'_>) -> bool {
    let phase = world.observed.agents.get(name).map(|seen| &seen.phase);
    let ill = world.memory.of(name).is_some_and(|memory| memory.ill.is_some());
    !ill && matches!(phase, Some(Phase::Exited(exit)) if exit.is_success())
}

/// Whether what is wanted of an agent runs, or ran and ended: what only had to be started was.
fn began(name: &AgentName, world: World<'_>) -> bool {
    let Some(seen) = world.observed.agents.get(name) else { return false };
    let wanted = world.desired.agents.get(name);
    match seen.phase {
        Phase::Running { .. } => true,
        Phase::Exited(_) | Phase::Lost { .. } => {
            wanted.is_some_and(|w| w.instance == seen.instance && w.halt.is_none())
        }
        Phase::Starting | Phase::Failed { .. } => false,
    }
}

/// A job is completed when its last run succeeded, though nothing of that run may be left, and started
/// when its last run has begun.
fn job_holds(job: &DesiredJob, condition: Condition, world: World<'_>) -> bool {
    let Some(record) = world.book.of(&job.agent.of) else { return false };
    match condition {
        Condition::Completed => {
            record.runs.is_empty()
                && record.last().is_some_and(|last| last.outcome == Outcome::Succeeded)
        }
        Condition::Started if record.runs.is_empty() => {
            // One that could not start has a reason and no exit.
            let began = |last: &Ended| {
                last.started_ms.is_some() && (last.exit.is_some() || last.message.is_none())
            };
            record.last().is_some_and(began)
        }
        Condition::Started => names_of(&job.agent.spec).iter().any(|name| began(name, world)),
        Condition::Healthy => {
            let running = |name: &AgentName| {
                let seen = world.observed.agents.get(name);
                seen.is_some_and(|seen| matches!(seen.phase, Phase::Running { .. }))
            };
            !record.runs.is_empty() && names_of(&job.agent.spec).iter().any(running)
        }
    }
}
