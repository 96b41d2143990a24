//! Desired state: the fleet's document and the local wishes, laid over each other.
//!
//! Decides whose wish a name is, which agents a spec with replicas stands for, and what identifies
//! each. A name belongs to one source: what is wished locally keeps its name until it is removed, and
//! the fleet's agent of that name is shown as blocked, with both named. What does not fit into the
//! node is marked by [`crate::admit`]; jobs become agents by [`crate::book`]; the planner
//! ([`crate::plan`]) takes what comes out of here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::accept::Accepted;
use crate::admit::{self, Profile};
use crate::agent::job::PARALLEL_MAX;
use crate::agent::{AgentSpec, Concurrency, Origin};
use crate::document::{Configs, Document};
use crate::ids::{AgentName, Digest};
use crate::observed::ObservedAgent;
use crate::plan::Why;

/// Where a wish comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The fleet's signed document.
    Fleet,
    /// Somebody on the node itself, authorised by the socket's peer credentials.
    Local,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fleet => "fleet",
            Self::Local => "local",
        })
    }
}

/// One agent that somebody on the node asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalWish {
    /// What to run.
    pub spec: AgentSpec,
    /// Stopped by hand: kept, but not run, until it is started again.
    #[serde(default)]
    pub stopped: bool,
    /// Counts `skerry restart`: a change of it alone runs the agent anew.
    #[serde(default)]
    pub generation: u64,
}

/// One agent that must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredAgent {
    /// What to run: one replica, or one run of a job, under its own name, with its tier's settings.
    pub spec: Arc<AgentSpec>,
    /// The name that stands in the document or wish; that of the agent, but for replicas and runs.
    pub of: AgentName,
    /// Who wants it.
    pub source: Source,
    /// What identifies this very wish: what its container is made from, with the configs it reads,
    /// the generation of a local one, the run of a job. A running agent of the same instance is left
    /// alone.
    pub instance: Digest,
    /// Why it must not run now.
    pub halt: Option<Why>,
    /// What keeps it from running, for people.
    pub obstacle: Option<String>,
    /// The run of a job that it is.
    pub run: Option<RunRef>,
    /// The configs that its source has.
    pub configs: Arc<Configs>,
}

impl DesiredAgent {
    /// Whether what is seen is this, to the last setting.
    pub fn is_met_by(&self, seen: &ObservedAgent) -> bool {
        // Most often both specs are one and the same in memory.
        self.instance == seen.instance
            && (Arc::ptr_eq(&self.spec, &seen.spec) || self.spec == seen.spec)
    }
}

/// Which run of which job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRef {
    /// Unique, and the same over retries.
    pub execution: String,
    /// How often it was started before.
    pub attempts: u32,
}

/// One job, between its runs too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredJob {
    /// What each run is made from.
    pub agent: DesiredAgent,
    /// Counts how often somebody asked for a run by hand.
    pub generation: u64,
}

/// All that must be on this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// By name. Of a job, only the runs that are under way.
    pub agents: BTreeMap<AgentName, DesiredAgent>,
    /// By name.
    pub jobs: BTreeMap<AgentName, DesiredJob>,
    /// Agents of the fleet whose name is taken by a local wish.
    pub clashes: Vec<AgentName>,
}

/// What desired state is made from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes<'a> {
    /// The fleet's.
    pub document: Option<&'a Accepted<Document>>,
    /// The node's own.
    pub local: &'a [LocalWish],
    /// The configs of the node's own.
    pub local_configs: Option<&'a Configs>,
}

impl Desired {
    /// Lays the local wishes over the accepted document, and marks what does not fit into the node.
    pub fn merge(wishes: Wishes<'_>, profile: &Profile) -> Self {
        let mut desired = Self::default();
        let configs = Arc::new(wishes.local_configs.cloned().unwrap_or_default());
        for wish in wishes.local {
            let base = base(&wish.spec, Source::Local, wish.generation, &configs, profile);
            let halt = wish.stopped.then_some(Why::Stopped);
            desired.put(DesiredAgent { halt, ..base }, wish.generation);
        }
        if let Some(document) = wishes.document {
            let configs = Arc::new(document.get().configs.clone());
            let ours = |spec: &&AgentSpec| spec.is_for(&profile.labels);
            for spec in document.get().agents.iter().filter(ours) {
                let base = base(spec, Source::Fleet, 0, &configs, profile);
                if own_names(spec).iter().any(|name| desired.has(name)) {
                    desired.clashes.push(spec.name.clone());
                    continue;
                }
                desired.put(base, 0);
            }
        }
        desired.spread_dependencies();
        admit::mark(&mut desired, profile);
        desired
    }

    fn has(&self, name: &AgentName) -> bool {
        self.agents.contains_key(name) || self.jobs.contains_key(name)
    }

    fn put(&mut self, agent: DesiredAgent, generation: u64) {
        if agent.spec.job.is_some() {
            self.jobs.insert(agent.of.clone(), DesiredJob { agent, generation });
            return;
        }
        if agent.spec.replicas.is_none() {
            self.agents.insert(agent.of.clone(), agent);
            return;
        }
        for name in names_of(&agent.spec) {
            let replica = under_name(&agent, name.clone());
            self.agents.insert(name, replica);
        }
    }

    /// A dependency on an agent with replicas is one on each of them.
    fn spread_dependencies(&mut self) {
        let mut replicas: BTreeMap<AgentName, Vec<AgentName>> = BTreeMap::new();
        for (name, agent) in &self.agents {
            if *name != agent.of {
                replicas.entry(agent.of.clone()).or_default().push(name.clone());
            }
        }
        if replicas.is_empty() {
            return;
        }
        for agent in self.agents.values_mut() {
            if !agent.spec.depends_on.keys().any(|on| replicas.contains_key(on)) {
                continue;
            }
            let spec = Arc::make_mut(&mut agent.spec);
            let named = std::mem::take(&mut spec.depends_on);
            spec.depends_on = named
                .into_iter()
                .flat_map(|(on, condition)| {
                    let each = replicas.get(&on).cloned().unwrap_or_else(|| vec![on]);
                    each.into_iter().map(move |on| (on, condition))
                })
                .collect();
        }
    }

    /// Whether a name is one under which a job runs.
    pub fn is_of_job(&self, name: &AgentName) -> bool {
        if self.jobs.contains_key(name) {
            return true;
        }
        let job = name.as_str().rsplit_once('-').and_then(|(job, _)| job.parse().ok());
        let job = job.and_then(|job: AgentName| self.jobs.get(&job));
        job.is_some_and(|job| names_of(&job.agent.spec).contains(name))
    }

    /// The same, with everything stopped.
    #[must_use]
    pub fn halted(&self, why: Why) -> Self {
        let mut halted = self.clone();
        for agent in halted.agents.values_mut() {
            agent.halt = agent.halt.or(Some(why));
        }
        halted
    }
}

/// The names under which a spec runs: its own, its replicas', or those that runs of a job may have.
pub fn names_of(spec: &AgentSpec) -> Vec<AgentName> {
    let numbered = |count: u32| (0..count).filter_map(|n| numbered(&spec.name, n)).collect();
    match (&spec.job, spec.replicas) {
        (Some(job), _) if job.concurrency == Concurrency::Allow => numbered(PARALLEL_MAX),
        (None, Some(count)) => numbered(count),
        _ => vec![spec.name.clone()],
    }
}

/// The names that nobody else may have: those it runs under, and its own.
pub fn own_names(spec: &AgentSpec) -> Vec<AgentName> {
    let mut names = names_of(spec);
    if !names.contains(&spec.name) {
        names.push(spec.name.clone());
    }
    names
}

/// `NAME-3`; none if that is too long for a name.
pub fn numbered(name: &AgentName, number: u32) -> Option<AgentName> {
    format!("{name}-{number}").parse().ok()
}

fn base(
    spec: &AgentSpec,
    source: Source,
    generation: u64,
    configs: &Arc<Configs>,
    profile: &Profile,
) -> DesiredAgent {
    let mut spec = spec.clone();
    // It has chosen this node; how makes no difference any more.
    spec.node_selector.clear();
    let mut obstacle = None;
    if let Some(name) = &spec.resources.tier {
        match profile.tiers.get(name) {
            Some(tier) => {
                let merged = spec.resources.over(tier);
                obstacle = admit::at_odds(name, &merged)
                    .map(|problem| format!("resources.tier: {problem}"));
                spec.resources = merged;
            }
            None => obstacle = Some(admit::no_tier(name, profile)),
        }
    }
    // A job that is asked for by hand begins a run, and leaves the one under way alone.
    let generation = if spec.job.is_some() { 0 } else { generation };
    let instance = instance(&spec, generation, configs);
    let agent = DesiredAgent {
        of: spec.name.clone(),
        spec: Arc::new(spec),
        source,
        instance,
        halt: None,
        obstacle,
        run: None,
        configs: configs.clone(),
    };
    match missing_config(&agent) {
        Some(missing) if agent.obstacle.is_none() => {
            DesiredAgent { obstacle: Some(missing), ..agent }
        }
        _ => agent,
    }
}

fn missing_config(agent: &DesiredAgent) -> Option<String> {
    let optional = |name: &crate::ids::DataName| {
        agent.spec.env.values().all(|value| match value {
            crate::agent::EnvValue::From(r) => r.name != *name || r.optional,
            crate::agent::EnvValue::Text(_) => true,
        }) && agent.spec.env_file.iter().all(|f| f.name != *name || f.optional)
            && agent.spec.volumes.iter().all(|v| v.source.as_deref() != Some(name.as_str()))
    };
    agent
        .spec
        .references()
        .filter(|(origin, _)| *origin == Origin::Config)
        .find(|(_, name)| !agent.configs.contains_key(name) && !optional(name))
        .map(|(_, name)| match agent.source {
            Source::Fleet => format!("config '{name}' is not in the fleet's document"),
            Source::Local => {
                format!("config '{name}' is not on this node; set it: skerry config set {name} KEY=VALUE")
            }
        })
}

/// One of several agents that a wish stands for.
fn under_name(agent: &DesiredAgent, name: AgentName) -> DesiredAgent {
    let mut one = agent.clone();
    let spec = Arc::make_mut(&mut one.spec);
    spec.name = name;
    spec.replicas = None;
    let mark = format!("{}/{}", agent.instance, spec.name);
    one.instance = Digest::of(mark.as_bytes());
    one
}

/// The agent that is one run of a job.
pub(crate) fn of_run(
    job: &DesiredJob,
    name: AgentName,
    run: RunRef,
    halt: Option<Why>,
) -> DesiredAgent {
    let mut agent = job.agent.clone();
    Arc::make_mut(&mut agent.spec).name = name;
    let mark = format!("{}@{}", job.agent.instance, run.execution);
    agent.instance = Digest::of(mark.as_bytes());
    agent.halt = halt.or(agent.halt);
    agent.run = Some(run);
    agent
}

/// What identifies an agent that reads no config and is neither a replica nor a run.
pub fn plain_instance(spec: &AgentSpec, generation: u64) -> Digest {
    instance(spec, generation, &Configs::new())
}

fn instance(spec: &AgentSpec, generation: u64, configs: &Configs) -> Digest {
    let container = spec.container_digest();
    let mut marks = String::new();
    if generation > 0 {
        marks.push_str(&format!("#{generation}"));
    }
    let mut read: Vec<_> = spec
        .references()
        .filter(|(origin, _)| *origin == Origin::Config)
        .filter_map(|(_, name)| configs.get(&name).map(|values| (name, values)))
        .collect();
    read.sort_unstable();
    read.dedup();
    if !read.is_empty() {
        // Maps of texts always serialise.
        let text = serde_json::to_vec(&read).unwrap_or_default();
        marks.push_str(&format!("%{}", Digest::of(&text)));
    }
    if marks.is_empty() { container } else { Digest::of(format!("{container}{marks}").as_bytes()) }
}
