//! Observed state: what is found on the node right now, judged by evidence and never by memory.
//!
//! Data only. The shell fills it from run folders, locks and pidfds; [`crate::plan`] compares it
//! with what is desired.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent::AgentSpec;
use crate::ids::{AgentName, Digest};
use crate::time::Tick;

/// What is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Agents that left any trace, by name.
    pub agents: BTreeMap<AgentName, ObservedAgent>,
    /// Images that are in the store and whole.
    pub images: BTreeSet<Digest>,
}

/// One agent's trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedAgent {
    /// The instance it was started as ([`crate::desired::DesiredAgent::instance`]).
    pub instance: Digest,
    /// The spec it was started from.
    pub spec: Arc<AgentSpec>,
    /// How far it is.
    pub phase: Phase,
}

/// How far an agent's container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Its monitor lives, and has not said that the program runs.
    Starting,
    /// The program runs.
    Running {
        /// Its process id as the host sees it.
        pid: u32,
        /// When it began.
        since: Tick,
    },
    /// It ran, and ended.
    Exited(Exit),
    /// It could not be started.
    Failed {
        /// What went wrong, in plain words.
        message: String,
    },
    /// Its monitor is gone without a word.
    Lost {
        /// Some of its processes still run.
        alive: bool,
    },
}

impl Phase {
    /// Processes of it exist, or may.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Starting | Self::Running { .. } | Self::Lost { alive: true })
    }
}

/// How an agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// The exit code, if it ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The kernel killed it for want of memory.
    pub oom_killed: bool,
    /// How long it ran, in milliseconds.
    pub ran_ms: u64,
    /// When it ended, as milliseconds since 1970 by the node's clock.
    pub finished_at_ms: i64,
}

impl Exit {
    /// It ended by itself with code 0.
    pub fn is_success(&self) -> bool {
        self.code == Some(0) && !self.oom_killed
    }

    /// In words, with what a check had said if it was stopped for that.
    pub fn told(&self, ill: Option<&String>) -> String {
        match ill {
            Some(ill) => format!("unhealthy: {ill}; {self}"),
            None => self.to_string(),
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.oom_killed, self.code, self.signal) {
            (true, _, _) => f.write_str("killed: out of memory"),
            (_, Some(code), _) => write!(f, "exit code {code}"),
            (_, _, Some(signal)) => write!(f, "killed by signal {signal}"),
            _ => f.write_str("ended, cause unknown"),
        }
    }
}
