//! What the node remembers of its agents between two plans: failures in a row, stops under way,
//! health.
//!
//! It may all be lost with the node process: then back-off begins anew and everything else is seen
//! again. It learns from what is observed ([`Memory::learn`]) and from the steps that were carried
//! out ([`Memory::note`]); [`crate::plan`] reads it.

use std::collections::BTreeMap;

use crate::agent::Restart;
use crate::desired::Desired;
use crate::health::Machine;
use crate::ids::{AgentName, Digest};
use crate::observed::{Observed, ObservedAgent, Phase};
use crate::plan::{Step, Why};
use crate::restart::{STABLE, Verdict, decide};
use crate::time::Tick;
use crate::units::Span;

/// What is remembered of all agents.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    agents: BTreeMap<AgentName, Remembered>,
}

/// What is remembered of one instance of one agent.
#[derive(Debug, Clone)]
pub struct Remembered {
    instance: Digest,
    /// Failures in a row.
    pub failures: u32,
    /// Times it was started again.
    pub restarts: u32,
    /// What was decided when it ended, and when that was.
    pub ended: Option<(Verdict, Tick)>,
    /// The stop that is under way.
    pub stop: Option<Stopping>,
    /// Its health in this run.
    pub health: Machine,
    run: Option<Tick>,
}

/// A stop that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping {
    /// When it was asked politely.
    pub since: Tick,
    /// When it was killed, if that was needed.
    pub killed: Option<Tick>,
    /// What for.
    pub why: Why,
}

impl Remembered {
    fn new(instance: Digest) -> Self {
        Self {
            instance,
            failures: 0,
            restarts: 0,
            ended: None,
            stop: None,
            health: Machine::default(),
            run: None,
        }
    }

    fn saw(&mut self, seen: &ObservedAgent, policy: Restart, now: Tick, jitter: u16) {
        match &seen.phase {
            Phase::Lost { alive: true } => self.ended = None,
            // A new run: what was known of the last one's health is over.
            Phase::Starting => {
                self.ended = None;
                self.run = None;
                self.health = Machine::default();
            }
            Phase::Running { since, .. } => {
                self.ended = None;
                if self.run != Some(*since) {
                    self.run = Some(*since);
                    self.health = Machine::default();
                }
            }
            Phase::Exited(exit) => {
                self.judge(policy, exit.is_success(), exit.ran_ms, now, jitter);
            }
            Phase::Failed { .. } | Phase::Lost { alive: false } => {
                self.judge(policy, false, 0, now, jitter);
            }
        }
    }

    fn judge(&mut self, policy: Restart, success: bool, ran_ms: u64, now: Tick, jitter: u16) {
        if self.ended.is_some() {
            return;
        }
        let verdict = match self.stop.take().map(|stop| stop.why) {
            Some(Why::Removed | Why::Replaced | Why::Stopped) => Verdict::Again(Span::seconds(0)),
            why => {
                if ran_ms >= STABLE.millis {
                    self.failures = 0;
                }
                self.failures = self.failures.saturating_add(1);
                let success = success && why != Some(Why::Unhealthy);
                decide(policy, success, self.failures, jitter)
            }
        };
        self.ended = Some((verdict, now));
    }
}

impl Memory {
    /// What is remembered of an agent.
    pub fn of(&self, name: &AgentName) -> Option<&Remembered> {
        self.agents.get(name)
    }

    /// Takes in what is observed. Each end is judged once; `jitter` gives a random number for each.
    pub fn learn(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        now: Tick,
        mut jitter: impl FnMut() -> u16,
    ) {
        self.agents.retain(|name, _| {
            desired.agents.contains_key(name) || observed.agents.contains_key(name)
        });
        for (name, seen) in &observed.agents {
            let remembered =
                self.agents.entry(name.clone()).or_insert_with(|| Remembered::new(seen.instance));
            if remembered.instance != seen.instance {
                *remembered = Remembered::new(seen.instance);
            }
            remembered.saw(seen, seen.spec.restart, now, jitter());
        }
    }

    /// Takes in a step that was carried out.
    pub fn note(&mut self, step: &Step, now: Tick) {
        let Some(remembered) = self.agents.get_mut(step.agent()) else { return };
        match step {
            Step::Terminate { why, .. } => {
                remembered.stop = Some(Stopping { since: now, killed: None, why: *why });
            }
            Step::Kill { why, .. } => {
                let since = remembered.stop.map_or(now, |stop| stop.since);
                remembered.stop = Some(Stopping { since, killed: Some(now), why: *why });
            }
            Step::Probe { .. } => remembered.health.sent(),
            Step::Start { .. } => remembered.restarts = remembered.restarts.saturating_add(1),
            Step::Clean { .. } => remembered.stop = None,
        }
    }

    /// Takes in the answer of a probe, if it is about the run that is going on.
    pub fn probed(
        &mut self,
        name: &AgentName,
        seen: &ObservedAgent,
        now: Tick,
        result: Result<(), String>,
    ) {
        let (Some(remembered), Phase::Running { since, .. }, Some(check)) =
            (self.agents.get_mut(name), &seen.phase, &seen.spec.health_check)
        else {
            return;
        };
        if remembered.run == Some(*since) {
            remembered.health.answered(check, *since, now, result);
        }
    }
}
