//! Health: what a row of probe results means.
//!
//! A pure machine of threshold and start period. The shell runs the probes; [`crate::plan`] asks
//! when the next one is due and what an unhealthy agent deserves.

use serde::{Deserialize, Serialize};

use crate::agent::HealthCheck;
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

#[cfg(test)]
mod tests;
