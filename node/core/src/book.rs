//! The book of jobs: which runs are due, which are under way, and what became of the last ones.
//!
//! A pure machine over what is desired, observed and remembered; the shell keeps it in its store, and
//! writes it before anything that it says is done. Times of a wall clock are marks, never orders: a
//! clock that jumps by years runs a job once at most, and never stops it for good. Intervals are
//! counted by the monotonic clock. [`Book::turn`] tells the story.

mod record;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::agent::{Concurrency, Job};
use crate::desired::{Desired, DesiredJob, RunRef, numbered, of_run};
use crate::ids::AgentName;
use crate::memory::Memory;
use crate::observed::{Observed, Phase};
use crate::plan::Why;
use crate::restart::Verdict;
use crate::schedule::{self, Timetable};
use crate::time::Tick;
use crate::units::Span;

pub use record::{Ended, Outcome, Record, Run};

/// This moment, by both clocks, and the boot in which the monotonic one counts.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// The monotonic clock.
    pub tick: Tick,
    /// The wall clock, in milliseconds since 1970.
    pub wall_ms: i64,
    /// The boot.
    pub boot: &'a str,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// The book must be written before anything else is done.
    pub changed: bool,
    /// When it must be looked at again.
    pub wake_at: Option<Tick>,
}

/// Looks time zones up.
pub type Zones<'a> = &'a dyn Fn(&str) -> Option<TimeZone>;

/// Every job, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Book {
    jobs: BTreeMap<AgentName, Record>,
}

impl Book {
    /// What is written of a job.
    pub fn of(&self, job: &AgentName) -> Option<&Record> {
        self.jobs.get(job)
    }

    /// Takes in what happened and what time it is: ends the runs that have ended, stops those that
    /// take too long, and makes those that are due. `fresh` gives a random number for each new run.
    pub fn turn(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        memory: &Memory,
        zones: Zones<'_>,
        now: Now<'_>,
        mut fresh: impl FnMut() -> u32,
    ) -> Turn {
        let before = self.jobs.len();
        self.jobs.retain(|name, _| desired.jobs.contains_key(name));
        let mut turn = Turn { changed: self.jobs.len() != before, wake_at: None };
        for (name, job) in &desired.jobs {
            let Some(spec) = job.agent.spec.job.as_ref() else { continue };
            let record = self.jobs.entry(name.clone()).or_insert_with(|| {
                turn.changed = true;
                Record::first(job.generation, now.wall_ms)
            });
            turn.changed |= settle(record, job, spec, observed, memory, now);
            turn.changed |= hasten(record, spec, now, &mut turn.wake_at);
            if job.agent.halt.is_none() {
                let (due, changed) = is_due(record, job, spec, zones, now, &mut turn.wake_at);
                turn.changed |= changed;
                if let Some(scheduled_ms) = due {
                    turn.changed = true;
                    let execution = execution(name, scheduled_ms, fresh());
                    begin(record, spec, Run::new(execution, scheduled_ms), now);
                }
            }
            record.history.truncate(spec.history as usize);
            record.next_ms = next_due(record, spec, zones, now);
            record.problem = no_zone(spec, zones);
        }
        turn
    }

    /// What is desired, with the runs that are under way as agents.
    pub fn lay_over(&self, desired: &Arc<Desired>) -> Arc<Desired> {
        if self.jobs.values().all(|record| record.runs.is_empty()) {
            return desired.clone();
        }
        let mut with_runs = Desired::clone(desired);
        for (name, record) in &self.jobs {
            let Some(job) = desired.jobs.get(name) else { continue };
            for run in &record.runs {
                let Some(agent_name) = run_name(name, job, run) else { continue };
                // Who waits for the name of a run that is being stopped comes after it.
                with_runs
                    .agents
                    .entry(agent_name.clone())
                    .or_insert_with(|| of_run(job, agent_name, run.reference(), run.ending));
            }
        }
        Arc::new(with_runs)
    }

    /// Notes that a run is about to be started, for the first time or again. False if it is not one
    /// of a job.
    pub fn starting(&mut self, run: &RunRef, now: Now<'_>) -> bool {
        let mut runs = self.jobs.values_mut().flat_map(|record| &mut record.runs);
        match runs.find(|known| known.execution == run.execution) {
            Some(known) => {
                known.attempts = known.attempts.saturating_add(1);
                known.boot = now.boot.to_owned();
                if known.started_ms.is_none() {
                    known.started_ms = Some(now.wall_ms);
                    known.started_tick = now.tick;
                }
                true
            }
            None => false,
        }
    }
}

/// `backup-1767225600-9f3c01aa`: unique, and sorted by time within a job.
fn execution(job: &AgentName, scheduled_ms: i64, random: u32) -> String {
    format!("{job}-{}-{random:08x}", scheduled_ms / 1000)
}

fn run_name(name: &AgentName, job: &DesiredJob, run: &Run) -> Option<AgentName> {
    let allowed = job.agent.spec.job.as_ref().is_some_and(|j| j.concurrency == Concurrency::Allow);
    if allowed { numbered(name, run.slot) } else { Some(name.clone()) }
}

/// Ends the runs that have ended.
fn settle(
    record: &mut Record,
    job: &DesiredJob,
    spec: &Job,
    observed: &Observed,
    memory: &Memory,
    now: Now<'_>,
) -> bool {
    let mut changed = false;
    let name = &job.agent.of;
    let mut ended = Vec::new();
    record.runs.retain_mut(|run| {
        let Some(agent) = run_name(name, job, run) else { return false };
        let instance = of_run(job, agent.clone(), run.reference(), None).instance;
        let seen = observed.agents.get(&agent).filter(|seen| seen.instance == instance);
        let outcome = match seen {
            Some(seen) if seen.phase.is_live() => None,
            Some(seen) => {
                let verdict = memory.of(&agent).and_then(|m| m.ended).map(|(verdict, _)| verdict);
                outcome(run, &seen.phase, verdict)
            }
            None => gone(run, spec, now, &mut changed),
        };
        let Some(outcome) = outcome else { return true };
        let ill = memory.of(&agent).and_then(|memory| memory.ill.as_ref());
        ended.push(run.end(outcome, seen.map(|seen| (&seen.phase, ill)), now.wall_ms));
        false
    });
    changed |= !ended.is_empty();
    for one in ended {
        record.history.insert(0, one);
    }
    changed
}

/// What became of a run whose container has ended; none if it is to be tried again.
fn outcome(run: &Run, phase: &Phase, verdict: Option<Verdict>) -> Option<Outcome> {
    let success = matches!(phase, Phase::Exited(exit) if exit.is_success());
    match (run.ending, verdict) {
        (Some(Why::Deadline), _) => Some(Outcome::Deadline),
        (Some(_), _) => Some(Outcome::Superseded),
        (None, Some(Verdict::Done)) if success => Some(Outcome::Succeeded),
        (None, Some(Verdict::Done | Verdict::GiveUp)) => Some(Outcome::Failed),
        (None, Some(Verdict::Again(_)) | None) => None,
    }
}

/// What becomes of a run that left no trace: it waits for its first start or its next one, or a
/// restart of the device interrupted it.
fn gone(run: &mut Run, spec: &Job, now: Now<'_>, changed: &mut bool) -> Option<Outcome> {
    match run.ending {
        Some(Why::Deadline) => return Some(Outcome::Deadline),
        Some(_) => return Some(Outcome::Superseded),
        None => {}
    }
    if run.attempts == 0 || run.boot == now.boot {
        return None;
    }
    if run.attempts > spec.retries {
        return Some(Outcome::Interrupted);
    }
    run.boot = now.boot.to_owned();
    *changed = true;
    None
}

/// Stops runs that take longer than they may.
fn hasten(record: &mut Record, spec: &Job, now: Now<'_>, wake_at: &mut Option<Tick>) -> bool {
    let Some(deadline) = spec.deadline else { return false };
    let mut changed = false;
    for run in &mut record.runs {
        if run.started_ms.is_none() || run.ending.is_some() {
            continue;
        }
        if run.boot != now.boot || run.started_tick > now.tick {
            // Interrupted by a restart of the device: its time begins again.
            (run.started_tick, run.boot) = (now.tick, now.boot.to_owned());
            changed = true;
        }
        let due = run.started_tick.after(deadline);
        if now.tick >= due {
            run.ending = Some(Why::Deadline);
            changed = true;
        } else {
            wake(wake_at, due);
        }
    }
    changed
}

fn wake(wake_at: &mut Option<Tick>, at: Tick) {
    *wake_at = Some(wake_at.map_or(at, |before| before.min(at)));
}

/// Whether a run is due, for which moment, and whether the record changed.
fn is_due(
    record: &mut Record,
    job: &DesiredJob,
    spec: &Job,
    zones: Zones<'_>,
    now: Now<'_>,
    wake_at: &mut Option<Tick>,
) -> (Option<i64>, bool) {
    let mut changed = false;
    if job.generation < record.generation {
        // A new wish of the same name counts from the beginning.
        record.generation = job.generation;
        changed = true;
    }
    if job.generation > record.generation {
        record.generation = job.generation;
        // Somebody asked for it now; what its schedule says goes on as before.
        record.once = Some(job.agent.instance);
        return (Some(now.wall_ms), true);
    }
    let timetable = spec.schedule.as_deref().map(Timetable::parse);
    let (due, moved) = match timetable {
        None if record.once == Some(job.agent.instance) => (None, false),
        None => {
            record.once = Some(job.agent.instance);
            (Some(now.wall_ms), true)
        }
        Some(Ok(Timetable::Every(span))) => every(record, span, now, wake_at),
        Some(Ok(Timetable::Cron(cron))) => {
            let zone = spec.time_zone.as_deref().map_or(Some(TimeZone::UTC), zones);
            // A zone that is not known here is an obstacle, which is told elsewhere.
            match zone {
                Some(zone) => by_clock(record, &cron, &zone, now, wake_at),
                None => (None, false),
            }
        }
        // Checked before it was accepted.
        Some(Err(_)) => (None, false),
    };
    (due, changed || moved)
}

fn every(
    record: &mut Record,
    span: Span,
    now: Now<'_>,
    wake_at: &mut Option<Tick>,
) -> (Option<i64>, bool) {
    let mut changed = false;
    if record.boot != now.boot {
        // How long the device was off is known only if its clock was not set back.
        let off = u64::try_from(now.wall_ms.saturating_sub(record.mark_ms)).unwrap_or(0);
        let first = record.boot.is_empty();
        let waited = if first { 0 } else { off.min(span.millis) };
        record.boot = now.boot.to_owned();
        record.due = now.tick.after(Span { millis: span.millis - waited });
        changed = true;
    }
    // A changed interval holds from now on.
    record.due = record.due.min(now.tick.after(span));
    if now.tick < record.due {
        wake(wake_at, record.due);
        return (None, changed);
    }
    let next = record.due.after(span);
    record.due = if next > now.tick { next } else { now.tick.after(span) };
    record.mark_ms = now.wall_ms;
    wake(wake_at, record.due);
    (Some(now.wall_ms), true)
}

/// By a wall clock that may be wrong. `mark_ms` is the latest moment up to which the schedule was
/// followed. While the clock is behind it, nobody knows which of the two is right: the schedule is
/// followed from where the clock is now, by a second mark, and once the clock has passed the first
/// one again, what was done before it is not done twice.
fn by_clock(
    record: &mut Record,
    cron: &croner::Cron,
    zone: &TimeZone,
    now: Now<'_>,
    wake_at: &mut Option<Tick>,
) -> (Option<i64>, bool) {
    let mut changed = false;
    let behind = now.wall_ms < record.mark_ms;
    let from = match (behind, record.low_ms) {
        (false, _) => record.mark_ms,
        (true, Some(low)) if low <= now.wall_ms => low,
        (true, _) => {
            record.low_ms = Some(now.wall_ms);
            changed = true;
            now.wall_ms
        }
    };
    let Some(next) = schedule::next(cron, zone, from) else { return (None, changed) };
    if next > now.wall_ms {
        let millis = u64::try_from(next.saturating_sub(now.wall_ms)).unwrap_or(0);
        wake(wake_at, now.tick.after(Span { millis }));
        return (None, changed);
    }
    if behind {
        record.low_ms = Some(now.wall_ms);
    } else {
        (record.mark_ms, record.low_ms) = (now.wall_ms, None);
    }
    // Of all that were missed, the last one is run.
    (Some(schedule::last(cron, zone, now.wall_ms).unwrap_or(next)), true)
}

/// Takes a new run in, as the job's concurrency wants.
fn begin(record: &mut Record, spec: &Job, mut run: Run, now: Now<'_>) {
    match spec.concurrency {
        Concurrency::Forbid if !record.runs.is_empty() => {
            record.history.insert(0, run.end(Outcome::Skipped, None, now.wall_ms));
            return;
        }
        Concurrency::Forbid => {}
        Concurrency::Replace => {
            let (waiting, under_way) =
                std::mem::take(&mut record.runs).into_iter().partition(|r| r.attempts == 0);
            record.runs = under_way;
            let waiting: Vec<Run> = waiting;
            for old in waiting {
                record.history.insert(0, old.end(Outcome::Superseded, None, now.wall_ms));
            }
            for old in &mut record.runs {
                old.ending = old.ending.or(Some(Why::Superseded));
            }
        }
        Concurrency::Allow => {
            let taken = |slot: &u32| record.runs.iter().any(|r| r.slot == *slot);
            match (0..crate::agent::job::PARALLEL_MAX).find(|slot| !taken(slot)) {
                Some(slot) => run.slot = slot,
                None => {
                    record.history.insert(0, run.end(Outcome::Skipped, None, now.wall_ms));
                    return;
                }
            }
        }
    }
    record.runs.push(run);
}

/// When a job is due next by its schedule, in milliseconds since 1970 by the node's clock.
fn next_due(record: &Record, job: &Job, zones: Zones<'_>, now: Now<'_>) -> Option<i64> {
    match Timetable::parse(job.schedule.as_deref()?).ok()? {
        Timetable::Every(_) => {
            let left = i64::try_from(record.due.since(now.tick).millis).ok()?;
            now.wall_ms.checked_add(left)
        }
        Timetable::Cron(cron) => {
            let zone = job.time_zone.as_deref().map_or(Some(TimeZone::UTC), zones)?;
            schedule::next(&cron, &zone, now.wall_ms)
        }
    }
}

fn no_zone(job: &Job, zones: Zones<'_>) -> Option<String> {
    let zone = job.time_zone.as_deref().filter(|zone| zones(zone).is_none())?;
    Some(format!(
        "time zone '{zone}' is not known on this device; install its time zone data (tzdata), or leave timeZone out for UTC"
    ))
}

#[cfg(test)]
mod tests;
