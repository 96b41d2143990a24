//! Jobs: agents that run to their end, once or by a schedule.
//!
//! Decides what a valid job is. When one is due is decided in [`crate::schedule`].

use serde::{Deserialize, Serialize};

use super::fault::{Fault, fault};
use crate::schedule::Timetable;
use crate::units::Span;

/// The most runs of one job at once, under `concurrency: allow`.
pub const PARALLEL_MAX: u32 = 16;

/// It runs to its end, once or by a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// When: five fields of cron (`*/15 * * * *`), `@hourly` and its like, or `@every 90s`. Left out,
    /// it runs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The time zone of the schedule, such as `Europe/Berlin`; UTC by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What happens when it is due and the last run has not ended.
    #[serde(default)]
    pub concurrency: Concurrency,
    /// How often a failed run is tried again.
    #[serde(default)]
    pub retries: u32,
    /// A run that takes longer, with its retries, is killed and has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// How many ended runs are remembered.
    #[serde(default = "history")]
    pub history: u32,
}

fn history() -> u32 {
    5
}

/// What happens when a job is due and its last run has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Concurrency {
    /// The new run is left out, and told as skipped.
    #[default]
    Forbid,
    /// The old run is stopped, and the new one takes its place.
    Replace,
    /// They run side by side, under the names `NAME-0` to `NAME-15`.
    Allow,
}

impl Job {
    /// One run, now, with no retries.
    pub fn once() -> Self {
        Self {
            schedule: None,
            time_zone: None,
            concurrency: Concurrency::default(),
            retries: 0,
            deadline: None,
            history: history(),
        }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        match &self.schedule {
            Some(text) => {
                let timetable = Timetable::parse(text);
                let timetable = timetable.or_else(|problem| fault("schedule", problem))?;
                if !timetable.ever_comes() {
                    return fault("schedule", format!("'{text}' is a day that never comes"));
                }
                if self.time_zone.is_some() && matches!(timetable, Timetable::Every(_)) {
                    return fault("timeZone", "has no meaning for @every");
                }
            }
            None if self.time_zone.is_some() => {
                return fault("timeZone", "has no meaning without schedule");
            }
            None if self.concurrency != Concurrency::Forbid => {
                return fault("concurrency", "has no meaning without schedule");
            }
            None => {}
        }
        let plain = |b: u8| {
            b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+' | b',' | b'.')
        };
        if self.time_zone.as_ref().is_some_and(|z| {
            z.is_empty() || z.len() > 64 || !z.bytes().all(plain) || z.starts_with(['/', '.'])
        }) {
            return fault("timeZone", "is not the name of a time zone, such as Europe/Berlin");
        }
        if self.retries > 100 {
            return fault("retries", "is over 100");
        }
        let year = Span::seconds(366 * 86_400);
        if self.deadline.is_some_and(|deadline| deadline.millis < 1000 || deadline > year) {
            return fault("deadline", "must be at least 1s and at most 8784h, a year");
        }
        if self.history == 0 || self.history > 100 {
            return fault("history", "must be 1 to 100");
        }
        Ok(())
    }
}
