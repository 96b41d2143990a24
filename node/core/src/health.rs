//! Health: what a row of probe results means.
//!
//! A pure machine of threshold and start period ([`Machine`]), and the three of them that an agent can
//! have ([`Checks`]): until it has started, nothing else is asked. The shell runs the probes;
//! [`crate::plan`] asks when the next one is due and what an unhealthy agent deserves.

use serde::{Deserialize, Serialize};

use crate::agent::{AgentSpec, HealthCheck, OnUnhealthy};
use crate::time::Tick;
use crate::units::Span;

/// Until the first success a probe is due at least this often, so that a dependent starts soon.
const EAGER: Span = Span { millis: 500 };

/// What is known of an agent's health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// No probe has succeeded yet, and not enough have failed.
    #[default]
    Starting,
    /// The last probes say so.
    Healthy,
    /// As many in a row as the threshold have failed.
    Unhealthy,
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}

/// The machine of one run of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    health: Health,
    failures: u32,
    last: Option<Tick>,
    in_flight: bool,
    message: Option<String>,
}

impl Machine {
    /// What is known now.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Why the last probe failed, if it did.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// When the next probe is due; `None` while one runs.
    pub fn due(&self, check: &HealthCheck, started: Tick) -> Option<Tick> {
        if self.in_flight {
            return None;
        }
        let interval = match self.health {
            Health::Starting => check.interval.min(EAGER),
            Health::Healthy | Health::Unhealthy => check.interval,
        };
        Some(self.last.map_or(started, |last| last.after(interval)))
    }

    /// A probe was sent out.
    pub fn sent(&mut self) {
        self.in_flight = true;
    }

    /// A probe came back. Failures within the start period are not counted.
    pub fn answered(
        &mut self,
        check: &HealthCheck,
        started: Tick,
        now: Tick,
        result: Result<(), String>,
    ) {
        self.in_flight = false;
        self.last = Some(now);
        match result {
            Ok(()) => {
                self.health = Health::Healthy;
                self.failures = 0;
                self.message = None;
            }
            Err(message) => {
                self.message = Some(message);
                let spared =
                    self.health == Health::Starting && now.since(started) < check.start_period;
                if !spared {
                    self.failures = self.failures.saturating_add(1);
                }
                if self.failures >= check.retries {
                    self.health = Health::Unhealthy;
                }
            }
        }
    }
}

/// Which of an agent's checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Whether it has started.
    Startup,
    /// Whether it can serve.
    Readiness,
    /// Whether it works.
    Health,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Readiness, Self::Health];

    /// How this is found out, as the spec says.
    pub fn of(self, spec: &AgentSpec) -> Option<&HealthCheck> {
        match self {
            Self::Startup => spec.startup.as_ref(),
            Self::Readiness => spec.readiness.as_ref(),
            Self::Health => spec.health_check.as_ref(),
        }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Health => "health check",
        })
    }
}

/// The checks of one run of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    startup: Machine,
    readiness: Machine,
    health: Machine,
    /// When it had started; the others begin then.
    started: Option<Tick>,
}

impl Checks {
    fn machine(&mut self, check: Check) -> &mut Machine {
        match check {
            Check::Startup => &mut self.startup,
            Check::Readiness => &mut self.readiness,
            Check::Health => &mut self.health,
        }
    }

    fn seen(&self, check: Check) -> &Machine {
        match check {
            Check::Startup => &self.startup,
            Check::Readiness => &self.readiness,
            Check::Health => &self.health,
        }
    }

    /// From when a check is asked, if it is asked at all.
    fn since(&self, check: Check, spec: &AgentSpec, run: Tick) -> Option<Tick> {
        check.of(spec)?;
        match (check, spec.startup.is_some(), self.startup.health()) {
            (Check::Startup, _, Health::Healthy) => None,
            (Check::Startup, _, _) | (_, false, _) => Some(run),
            (_, true, Health::Healthy) => self.started.or(Some(run)),
            (_, true, _) => None,
        }
    }

    /// When a check is due next; `None` while it is asked, or need not be.
    pub fn due(&self, check: Check, spec: &AgentSpec, run: Tick) -> Option<Tick> {
        self.seen(check).due(check.of(spec)?, self.since(check, spec, run)?)
    }

    /// A probe was sent out.
    pub fn sent(&mut self, check: Check) {
        self.machine(check).sent();
    }

    /// A probe came back.
    pub fn answered(
        &mut self,
        check: Check,
        spec: &AgentSpec,
        run: Tick,
        now: Tick,
        result: Result<(), String>,
    ) {
        let since = self.since(check, spec, run).unwrap_or(run);
        let Some(how) = check.of(spec) else {
            // It was taken out of the spec meanwhile. If it comes back it is asked from the beginning.
            *self.machine(check) = Machine::default();
            return;
        };
        self.machine(check).answered(how, since, now, result);
        if check == Check::Startup && self.startup.health() == Health::Healthy {
            self.started = Some(now);
        }
    }

    /// Its health as a whole, if it has a check that says so.
    pub fn health(&self, spec: &AgentSpec) -> Option<Health> {
        match (&spec.startup, &spec.health_check) {
            (None, None) => None,
            (Some(_), _) if self.startup.health() != Health::Healthy => Some(self.startup.health()),
            (_, Some(_)) => Some(self.health.health()),
            (Some(_), None) => Some(Health::Healthy),
        }
    }

    /// Whether it can serve, if it has a check that says so.
    pub fn ready(&self, spec: &AgentSpec) -> Option<bool> {
        spec.readiness.as_ref().map(|_| self.readiness.health() == Health::Healthy)
    }

    /// Whether who depends on its health may start.
    pub fn serves(&self, spec: &AgentSpec) -> bool {
        let works = self.health(spec).is_none_or(|health| health == Health::Healthy);
        works && self.ready(spec).unwrap_or(true)
    }

    /// The check that it must be started again for, if it must.
    pub fn must_restart(&self, spec: &AgentSpec) -> Option<Check> {
        if spec.startup.is_some() && self.startup.health() == Health::Unhealthy {
            return Some(Check::Startup);
        }
        let restarts = spec
            .health_check
            .as_ref()
            .is_some_and(|check| check.on_unhealthy.unwrap_or_default() == OnUnhealthy::Restart);
        (restarts && self.health.health() == Health::Unhealthy).then_some(Check::Health)
    }

    /// What it was or must be started again for: which check, and what that said.
    pub fn reason(&self, spec: &AgentSpec) -> String {
        // Its spec may have changed since.
        let check = self.must_restart(spec).unwrap_or(Check::Health);
        match self.seen(check).message() {
            Some(message) => format!("{check}: {message}"),
            None => format!("{check} failed"),
        }
    }

    /// Why the last probe failed, if one did.
    pub fn message(&self) -> Option<String> {
        Check::ALL.into_iter().find_map(|check| {
            self.seen(check).message().map(|message| format!("{check}: {message}"))
        })
    }
}

#[cfg(test)]
mod tests;
