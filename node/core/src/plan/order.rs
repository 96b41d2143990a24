//! Who may go first: dependents end before what they depend on, and start after it.

use std::collections::BTreeMap;

use crate::agent::Condition;
use crate::desired::{Desired, DesiredAgent};
use crate::health::Health;
use crate::ids::AgentName;
use crate::memory::Memory;
use crate::observed::{Observed, Phase};

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
    let needed_by_another = |name: &AgentName| {
        all.iter().any(|other| {
            observed.agents.get(*other).is_some_and(|seen| {
                seen.phase.is_live() && *other != name && seen.spec.depends_on.contains_key(name)
            })
        })
    };
    let free: Vec<_> = all.iter().copied().filter(|name| !needed_by_another(name)).collect();
    // What runs may stem from several documents, and their dependencies together may go round.
    if free.is_empty() { all } else { free }
}

/// Those that may start now, with whether old traces must go first.
pub(super) fn starts<'a>(
    needs: &'a BTreeMap<AgentName, Need>,
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
) -> Vec<(&'a AgentName, bool)> {
    needs
        .iter()
        .filter_map(|(name, need)| match need {
            Need::Start { clean } => Some((name, *clean)),
            _ => None,
        })
        .filter(|(name, _)| {
            desired
                .agents
                .get(*name)
                .is_some_and(|wanted| unmet(wanted, needs, desired, observed, memory).is_none())
        })
        .collect()
}

/// The first dependency that does not hold yet.
pub(super) fn unmet<'a>(
    wanted: &'a DesiredAgent,
    needs: &BTreeMap<AgentName, Need>,
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
) -> Option<(&'a AgentName, Condition)> {
    wanted
        .spec
        .depends_on
        .iter()
        .map(|(on, condition)| (on, *condition))
        .find(|(on, condition)| !holds(on, *condition, needs, desired, observed, memory))
}

fn holds(
    on: &AgentName,
    condition: Condition,
    needs: &BTreeMap<AgentName, Need>,
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
) -> bool {
    if matches!(needs.get(on), Some(Need::Stop(_) | Need::Clean) | None) {
        return false;
    }
    let Some(seen) = observed.agents.get(on) else { return false };
    let running = matches!(seen.phase, Phase::Running { .. });
    match condition {
        Condition::Started => running,
        Condition::Healthy => {
            running && memory.of(on).is_some_and(|m| m.health.health() == Health::Healthy)
        }
        Condition::Completed => {
            let same = desired.agents.get(on).is_some_and(|w| w.instance == seen.instance);
            same && matches!(&seen.phase, Phase::Exited(exit) if exit.is_success())
        }
    }
}
