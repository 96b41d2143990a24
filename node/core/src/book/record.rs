//! What the book says of one job. Data only; [`super`] decides.

use serde::{Deserialize, Serialize};

use crate::desired::RunRef;
use crate::ids::Digest;
use crate::observed::{Exit, Phase};
use crate::plan::Why;
use crate::time::Tick;

/// Longer reasons are cut: some hundred may be kept of each job.
const MESSAGE_MAX: usize = 300;

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Up to which moment its schedule was followed.
    pub(super) mark_ms: i64,
    /// The same, while the clock is behind that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) low_ms: Option<i64>,
    /// The boot in which `due` counts.
    #[serde(default)]
    pub(super) boot: String,
    /// When it is due by its interval.
    #[serde(default)]
    pub(super) due: Tick,
    /// What ran, of a job that runs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) once: Option<Digest>,
    /// The generation that was followed.
    #[serde(default)]
    pub(super) generation: u64,
    /// When it is due next by its schedule, in milliseconds since 1970; reckoned anew at each turn.
    #[serde(skip)]
    pub next_ms: Option<i64>,
    /// Why it cannot be reckoned.
    #[serde(skip)]
    pub problem: Option<String>,
    /// Runs under way, oldest first.
    #[serde(default)]
    pub runs: Vec<Run>,
    /// Runs that have ended, newest first.
    #[serde(default)]
    pub history: Vec<Ended>,
}

impl Record {
    pub(super) fn first(generation: u64, wall_ms: i64) -> Self {
        Self {
            mark_ms: wall_ms,
            low_ms: None,
            boot: String::new(),
            due: Tick(u64::MAX),
            once: None,
            generation,
            next_ms: None,
            problem: None,
            runs: Vec::new(),
            history: Vec::new(),
        }
    }
}

impl Record {
    /// What came of the last run that ran.
    pub fn last(&self) -> Option<&Ended> {
        let ran = |ended: &&Ended| !matches!(ended.outcome, Outcome::Skipped | Outcome::Superseded);
        self.history.iter().find(ran)
    }
}

/// One run under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Unique, and the same over retries.
    pub execution: String,
    /// The moment that it was due, in milliseconds since 1970.
    pub scheduled_ms: i64,
    /// When it was started first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// How often it was started.
    #[serde(default)]
    pub attempts: u32,
    #[serde(default)]
    pub(super) started_tick: Tick,
    #[serde(default)]
    pub(super) boot: String,
    #[serde(default)]
    pub(super) slot: u32,
    /// Why it is being stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ending: Option<Why>,
}

impl Run {
    pub(super) fn new(execution: String, scheduled_ms: i64) -> Self {
        Self {
            execution,
            scheduled_ms,
            started_ms: None,
            attempts: 0,
            started_tick: Tick(0),
            boot: String::new(),
            slot: 0,
            ending: None,
        }
    }

    pub(super) fn reference(&self) -> RunRef {
        RunRef { execution: self.execution.clone(), attempts: self.attempts }
    }

    /// The end of a run, with what is found of its last try and what its check said of that.
    pub(super) fn end(
        &self,
        outcome: Outcome,
        found: Option<(&Phase, Option<&String>)>,
        finished_ms: i64,
    ) -> Ended {
        let (exit, message) = match found {
            Some((Phase::Exited(exit), ill)) => (Some(exit.clone()), ill),
            Some((Phase::Failed { message }, _)) => (None, Some(message)),
            _ => (None, None),
        };
        let message = message.map(|message| message.chars().take(MESSAGE_MAX).collect());
        Ended {
            execution: self.execution.clone(),
            scheduled_ms: self.scheduled_ms,
            started_ms: self.started_ms,
            finished_ms,
            attempts: self.attempts,
            outcome,
            exit,
            message,
        }
    }
}

/// One run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// Which.
    pub execution: String,
    /// The moment that it was due, in milliseconds since 1970.
    pub scheduled_ms: i64,
    /// When it was started first; never, if it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// When it had ended.
    pub finished_ms: i64,
    /// How often it was started.
    pub attempts: u32,
    /// What came of it.
    pub outcome: Outcome,
    /// How its last try ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Why its last try could not be started, or what the check said that it was stopped for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Ended {
    /// How its last try ended or why it was not started, as far as that is known.
    pub fn ending(&self) -> Option<String> {
        match (&self.exit, &self.message) {
            (Some(exit), ill) => Some(exit.told(ill.as_ref())),
            (None, message) => message.clone(),
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It ended with exit code 0.
    Succeeded,
    /// It failed as often as it may.
    Failed,
    /// It took longer than it may.
    Deadline,
    /// The next run took its place.
    Superseded,
    /// The last run had not ended.
    Skipped,
    /// The device went off, and no retry was left.
    Interrupted,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Deadline => "took longer than its deadline",
            Self::Superseded => "gave way to the next run",
            Self::Skipped => "left out, since the last run had not ended",
            Self::Interrupted => "interrupted by a restart of the device",
        })
    }
}
