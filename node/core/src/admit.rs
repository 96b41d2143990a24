//! Admission: whether agents fit into this node, by its budget and its policy.
//!
//! The sum of what agents request never passes the node's budget, and a refusal says who takes what.
//! A document or wish that does not fit is refused whole ([`check`]); what stops fitting later, as
//! when a document grows beside local wishes, is marked and does not run (by `mark`).

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::agent::placement::NodeLabels;
use crate::agent::{AgentSpec, Resources, Tier};
use crate::desired::{Desired, Source, names_of};
use crate::ids::{AgentName, TierName};
use crate::plan::Why;
use crate::units::{Cpu, Memory};

/// What a node gives and allows. An operator can check agents against it off the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// What all requests together may take; without a number nothing is counted.
    #[serde(default)]
    pub budget: Budget,
    /// Sizes by name.
    #[serde(default)]
    pub tiers: BTreeMap<TierName, Tier>,
    /// Whether an agent may be as strong as root on the host.
    #[serde(default)]
    pub privileged: bool,
    /// How many processors the node has; 0 if that is not known.
    #[serde(default)]
    pub cpus: u32,
    /// What is said of the node, for agents of a group to choose by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: NodeLabels,
}

/// What all requests together may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Processor time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
}

/// Why agents are not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// A size that the node does not know, or that does not go with what the agent says itself.
    #[error("agent '{agent}': resources.tier: {problem}")]
    Tier {
        /// Whose.
        agent: AgentName,
        /// What is wrong.
        problem: String,
    },
    /// The node's policy is against it.
    #[error(
        "agent '{0}': security.privileged: this node's policy does not allow it; set policy.privileged = true in its configuration"
    )]
    Privileged(AgentName),
    /// A processor that the node does not have.
    #[error(
        "agent '{agent}': resources.limits.cpuset: names processor {cpu}; this node has {cpus}, from 0"
    )]
    Cpuset {
        /// Whose.
        agent: AgentName,
        /// The processor.
        cpu: u32,
        /// How many there are.
        cpus: u32,
    },
    /// The budget is too small.
    #[error("{problem}")]
    Budget {
        /// Whose requests are too much.
        agent: AgentName,
        /// What is left, and who takes the rest.
        problem: String,
    },
}

impl AdmitError {
    /// Whose fault it is, and the path within that agent.
    pub fn at(&self) -> (&AgentName, &'static str) {
        match self {
            Self::Tier { agent, .. } => (agent, "resources.tier"),
            Self::Privileged(agent) => (agent, "security.privileged"),
            Self::Cpuset { agent, .. } => (agent, "resources.limits.cpuset"),
            Self::Budget { agent, .. } => (agent, "resources.requests"),
        }
    }
}

/// What is wrong with the name of a size.
pub(crate) fn no_tier(name: &TierName, profile: &Profile) -> String {
    let known: Vec<_> = profile.tiers.keys().map(TierName::as_str).collect();
    match known.as_slice() {
        [] => format!("'{name}' is unknown, and this node's configuration defines no tiers"),
        known => format!("'{name}' is unknown; this node has {}", known.join(", ")),
    }
}

/// What is wrong between what an agent says itself and what its tier fills in.
pub(crate) fn at_odds(name: &TierName, merged: &Resources) -> Option<String> {
    let Resources { requests, limits, .. } = merged;
    let tell = |what: &str, need: &dyn Display, most: &dyn Display| {
        format!("with '{name}', requests.{what} is {need}, over limits.{what}, which is {most}")
    };
    let memory = requests.memory.zip(limits.memory).filter(|(need, most)| need > most);
    let cpu = requests.cpu.zip(limits.cpu).filter(|(need, most)| need > most);
    let memory = memory.map(|(need, most)| tell("memory", &need, &most));
    memory.or_else(|| cpu.map(|(need, most)| tell("cpu", &need, &most)))
}

/// Why a spec's tier cannot be had.
fn tier_problem(spec: &AgentSpec, profile: &Profile) -> Option<String> {
    let name = spec.resources.tier.as_ref()?;
    match profile.tiers.get(name) {
        Some(tier) => at_odds(name, &spec.resources.over(tier)),
        None => Some(no_tier(name, profile)),
    }
}

/// Checks agents of one source, together with others that are there already.
///
/// # Errors
/// The first agent that does not fit, and why.
pub fn check<'a>(
    agents: impl IntoIterator<Item = &'a AgentSpec>,
    others: impl IntoIterator<Item = &'a AgentSpec>,
    profile: &Profile,
) -> Result<(), AdmitError> {
    let mut account = Account::default();
    for spec in others {
        account.add(spec, profile);
    }
    for spec in agents.into_iter().filter(|spec| spec.is_for(&profile.labels)) {
        allow(spec, profile)?;
        if let Some(refusal) = account.refuse(spec, profile) {
            return Err(AdmitError::Budget { agent: spec.name.clone(), problem: refusal });
        }
        account.add(spec, profile);
    }
    Ok(())
}

/// Checks one agent against the node's policy.
fn allow(spec: &AgentSpec, profile: &Profile) -> Result<(), AdmitError> {
    let agent = || spec.name.clone();
    if let Some(problem) = tier_problem(spec, profile) {
        return Err(AdmitError::Tier { agent: agent(), problem });
    }
    if spec.security.privileged && !profile.privileged {
        return Err(AdmitError::Privileged(agent()));
    }
    let highest = spec.resources.limits.cpuset.as_ref().map(crate::agent::Cpuset::highest);
    match highest {
        Some(cpu) if profile.cpus > 0 && cpu >= profile.cpus => {
            Err(AdmitError::Cpuset { agent: agent(), cpu, cpus: profile.cpus })
        }
        _ => Ok(()),
    }
}

/// Who takes what.
#[derive(Default)]
struct Account {
    memory: u64,
    cpu: u64,
    takers: Vec<(AgentName, u64, u64)>,
}

/// What a spec takes with all its replicas; runs of a job are counted as one.
fn wants(spec: &AgentSpec, profile: &Profile) -> (u64, u64) {
    let tier = spec.resources.tier.as_ref().and_then(|name| profile.tiers.get(name));
    let resources = tier.map_or_else(|| spec.resources.clone(), |tier| spec.resources.over(tier));
    let times = match spec.job {
        Some(_) => 1,
        None => names_of(spec).len() as u64,
    };
    let memory = resources.requests.memory.map_or(0, |memory| memory.0);
    let cpu = resources.requests.cpu.map_or(0, |cpu| u64::from(cpu.millis));
    (memory.saturating_mul(times), cpu.saturating_mul(times))
}

impl Account {
    fn add(&mut self, spec: &AgentSpec, profile: &Profile) {
        let (memory, cpu) = wants(spec, profile);
        self.memory = self.memory.saturating_add(memory);
        self.cpu = self.cpu.saturating_add(cpu);
        if memory > 0 || cpu > 0 {
            self.takers.push((spec.name.clone(), memory, cpu));
        }
    }

    /// Why a spec does not fit beside the others, if it does not.
    fn refuse(&self, spec: &AgentSpec, profile: &Profile) -> Option<String> {
        let (memory, cpu) = wants(spec, profile);
        let Budget { memory: memory_max, cpu: cpu_max } = profile.budget;
        let over = |taken: u64, more: u64, most: Option<u64>| {
            more > 0 && most.is_some_and(|most| taken.saturating_add(more) > most)
        };
        if over(self.memory, memory, memory_max.map(|m| m.0)) {
            let show = |bytes: u64| Memory(bytes).to_string();
            let left = memory_max.map_or(0, |m| m.0.saturating_sub(self.memory));
            return Some(self.tell("memory", spec, &show, memory, left, |t| t.1));
        }
        if over(self.cpu, cpu, cpu_max.map(|c| u64::from(c.millis))) {
            let show = |millis: u64| format!("{millis}m");
            let left = cpu_max.map_or(0, |c| u64::from(c.millis).saturating_sub(self.cpu));
            return Some(self.tell("cpu", spec, &show, cpu, left, |t| t.2));
        }
        None
    }

    fn tell(
        &self,
        what: &str,
        spec: &AgentSpec,
        show: &dyn Fn(u64) -> String,
        wanted: u64,
        left: u64,
        taken: impl Fn(&(AgentName, u64, u64)) -> u64,
    ) -> String {
        let mut takers: Vec<_> = self
            .takers
            .iter()
            .map(|t| (taken(t), &t.0))
            .filter(|(amount, _)| *amount > 0)
            .collect();
        takers.sort_by(|a, b| b.cmp(a));
        let named = takers.iter().take(5).map(|(amount, name)| format!("{name} {}", show(*amount)));
        let named: Vec<_> = named.collect();
        let more = takers.len().saturating_sub(named.len());
        let list = match (named.as_slice(), more) {
            ([], _) => "nobody takes any".to_owned(),
            (named, 0) => format!("taken by {}", named.join(", ")),
            (named, more) => format!("taken by {} and {more} more", named.join(", ")),
        };
        let total = self.takers.iter().map(&taken).sum::<u64>().saturating_add(left);
        format!(
            "agent '{}' requests {what} {}; {} of this node's {} is left: {list}",
            spec.name,
            show(wanted),
            show(left),
            show(total)
        )
    }
}

/// Marks what does not fit: the fleet's agents go before local ones, then by priority.
pub(crate) fn mark(desired: &mut Desired, profile: &Profile) {
    let mut order: Vec<_> = desired
        .agents
        .iter()
        .map(|(name, agent)| {
            (agent.source, std::cmp::Reverse(agent.spec.priority), name.clone(), false)
        })
        .chain(desired.jobs.iter().map(|(name, job)| {
            let (source, spec) = (job.agent.source, &job.agent.spec);
            (source, std::cmp::Reverse(spec.priority), name.clone(), true)
        }))
        .collect();
    order.sort();
    let mut account = Account::default();
    for (_, _, name, is_job) in order {
        let agent = if is_job {
            desired.jobs.get_mut(&name).map(|job| &mut job.agent)
        } else {
            desired.agents.get_mut(&name)
        };
        let Some(agent) = agent else { continue };
        if agent.halt.is_some() || agent.obstacle.is_some() {
            continue;
        }
        let refusal = allow(&agent.spec, profile).err().map(|error| error.to_string());
        match refusal.or_else(|| account.refuse(&agent.spec, profile)) {
            Some(refusal) => {
                agent.obstacle = Some(refusal);
                agent.halt = Some(Why::NotAdmitted);
            }
            None => account.add(&agent.spec, profile),
        }
    }
}

/// The specs of one source, as they stand in its document or wishes.
pub fn of_source(desired: &Desired, source: Source) -> impl Iterator<Item = &AgentSpec> {
    let jobs = desired.jobs.values().map(|job| &job.agent);
    desired
        .agents
        .values()
        .chain(jobs)
        .filter(move |agent| agent.source == source && agent.run.is_none())
        .map(|agent| &*agent.spec)
}

#[cfg(test)]
mod tests;
