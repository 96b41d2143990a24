//! What the node remembers of its agents between two plans: failures in a row, stops under way,
//! health.
//!
//! It may all be lost with the node process: what is written beside each run is recalled
//! ([`Memory::recall`]), and everything else is seen again. It learns from what is observed
//! ([`Memory::learn`]) and from the steps that were carried out ([`Memory::note`]); [`crate::plan`]
//! reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::agent::AgentSpec;
use crate::desired::Desired;
use crate::health::{Check, Checks};
use crate::ids::{AgentName, Digest};
use crate::observed::{Observed, ObservedAgent, Phase};
use crate::plan::{Step, Why};
use crate::restart::{Verdict, decide};
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
    /// What its checks say in this run.
    pub checks: Checks,
    /// The check that this run was ended for, and what it said.
    pub ill: Option<String>,
    /// Settings that the kernel refused to a running agent.
    pub refused: Option<Refused>,
    run: Option<Tick>,
}

/// Settings that could not be given to a running agent.
#[derive(Debug, Clone)]
pub struct Refused {
    /// What was wanted.
    pub spec: Arc<AgentSpec>,
    /// Why not.
    pub message: String,
    /// When it is tried again.
    pub again: Tick,
}

/// After this time settings that were refused are tried again.
const ADJUST_AGAIN: Span = Span::seconds(60);

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
    fn new(instance: Digest, failures: u32) -> Self {
        Self {
            instance,
            failures,
            restarts: 0,
            ended: None,
            stop: None,
            checks: Checks::default(),
            ill: None,
            refused: None,
            run: None,
        }
    }

    fn saw(&mut self, seen: &ObservedAgent, now: Tick, jitter: u16) {
        match &seen.phase {
            Phase::Lost { alive: true } => self.ended = None,
            // A new run: what was known of the last one's health is over.
            Phase::Starting => {
                self.ended = None;
                self.ill = None;
                self.run = None;
                self.checks = Checks::default();
            }
            Phase::Running { since, .. } => {
                self.ended = None;
                if self.run != Some(*since) {
                    self.run = Some(*since);
                    self.checks = Checks::default();
                }
            }
            Phase::Exited(exit) => {
                self.judge(seen, exit.is_success(), exit.ran_ms, now, jitter);
            }
            Phase::Failed { .. } | Phase::Lost { alive: false } => {
                self.judge(seen, false, 0, now, jitter);
            }
        }
    }

    fn judge(&mut self, seen: &ObservedAgent, success: bool, ran_ms: u64, now: Tick, jitter: u16) {
        if self.ended.is_some() {
            return;
        }
        let (policy, backoff) = (seen.spec.restart(), seen.spec.restart_backoff);
        let verdict = match self.stop.take().map(|stop| stop.why) {
            Some(why) if !why.is_its_own_fault() => Verdict::Again(Span::seconds(0)),
            why => {
                // Tries of a job are counted, however long each took.
                if seen.spec.job.is_none() && ran_ms >= backoff.reset_after.millis {
                    self.failures = 0;
                }
                self.failures = self.failures.saturating_add(1);
                if why == Some(Why::Unhealthy) && self.ill.is_none() {
                    self.ill = Some(self.checks.reason(&seen.spec));
                }
                let success = success && self.ill.is_none();
                decide(policy, backoff, success, self.failures, jitter)
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

    /// How often in a row an instance of an agent has failed.
    pub fn failures(&self, name: &AgentName, instance: Digest) -> u32 {
        self.of(name).filter(|known| known.instance == instance).map_or(0, |known| known.failures)
    }

    /// Takes in what is written of a run that an earlier node process left: how often in a row it had
    /// failed before, and, if it has ended, what it was stopped for and what its check had said.
    pub fn recall(
        &mut self,
        name: &AgentName,
        instance: Digest,
        failures: u32,
        stopped: Option<(Why, Option<String>)>,
        now: Tick,
    ) {
        let mut recalled = Remembered::new(instance, failures);
        if let Some((why, said)) = stopped {
            recalled.stop = Some(Stopping { since: now, killed: None, why });
            recalled.ill = said.filter(|_| why == Why::Unhealthy);
        }
        self.agents.insert(name.clone(), recalled);
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
            // Of a run of a job it is written down how often it was tried.
            let tried = || {
                let wanted = desired.agents.get(name).filter(|w| w.instance == seen.instance);
                let run = wanted.and_then(|wanted| wanted.run.as_ref());
                run.map_or(0, |run| run.attempts.saturating_sub(1))
            };
            let remembered = match self.agents.get_mut(name) {
                Some(known) if known.instance == seen.instance => known,
                Some(other) => {
                    *other = Remembered::new(seen.instance, tried());
                    other
                }
                None => {
                    let new = Remembered::new(seen.instance, tried());
                    self.agents.entry(name.clone()).or_insert(new)
                }
            };
            remembered.saw(seen, now, jitter());
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
            Step::Probe { check, .. } => remembered.checks.sent(*check),
            Step::Start { .. } => {
                remembered.restarts = remembered.restarts.saturating_add(1);
                // It may have ended again before it is looked at: that is another end.
                remembered.ended = None;
                remembered.ill = None;
            }
            Step::Clean { .. } => remembered.stop = None,
            Step::Adjust { .. } => {}
        }
    }

    /// Takes in the answer of a probe, if it is about the run that is going on.
    pub fn probed(
        &mut self,
        name: &AgentName,
        seen: &ObservedAgent,
        check: Check,
        now: Tick,
        result: Result<(), String>,
    ) {
        let (Some(remembered), Phase::Running { since, .. }) =
            (self.agents.get_mut(name), &seen.phase)
        else {
            return;
        };
        if remembered.run == Some(*since) {
            remembered.checks.answered(check, &seen.spec, *since, now, result);
        }
    }

    /// Takes in whether a running agent could be given other settings.
    pub fn adjusted(
        &mut self,
        name: &AgentName,
        spec: &Arc<AgentSpec>,
        now: Tick,
        result: Result<(), String>,
    ) {
        let Some(remembered) = self.agents.get_mut(name) else { return };
        remembered.refused = result.err().map(|message| Refused {
            spec: spec.clone(),
            message,
            again: now.after(ADJUST_AGAIN),
        });
    }

    /// Forgets that agents back off, so that what stood in their way is tried again now.
    pub fn hasten(&mut self) {
        for remembered in self.agents.values_mut() {
            if let Some((Verdict::Again(_), at)) = remembered.ended {
                remembered.ended = Some((Verdict::Again(Span::seconds(0)), at));
            }
        }
    }
}
