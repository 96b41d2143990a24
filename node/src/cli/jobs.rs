//! `skerry jobs`: when jobs run, and what came of their last runs.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use skerry_core::book::{Ended, Outcome};
use skerry_core::ids::AgentName;

use super::failure::Refusal;
use super::table::{self, NOTHING};
use super::{Format, output, units};
use crate::api::JobDetail;
use crate::client::Client;

const JOBS: [&str; 6] = ["NAME", "SCHEDULE", "RUNNING", "LAST", "ENDED", "NEXT"];
const RUNS: [&str; 6] = ["EXECUTION", "DUE", "OUTCOME", "TOOK", "TRIES", "EXIT"];

/// Lists jobs; with a name, the runs of that job, newest first
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// Only this job, with its runs
    name: Option<AgentName>,
    /// How to print them
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|json"
    )]
    format: Format,
}

/// Lists jobs or runs.
pub async fn jobs(client: &Client, args: &JobsArgs) -> anyhow::Result<ExitCode> {
    let mut list = client.jobs().await?;
    let width = output::terminal_width();
    match (&args.name, args.format) {
        (None, Format::Json) => output::json(&list.jobs)?,
        (None, Format::Table) => {
            let now = i64::try_from(units::now_ms()).unwrap_or(i64::MAX);
            let rows = list.jobs.iter().map(|(name, job)| row(name, job, now)).collect();
            output::line(&table::fitted(&JOBS, rows, width))?;
        }
        (Some(name), format) => {
            let Some(job) = list.jobs.remove(name) else {
                let text = format!("'{name}' is no job on this node; see: skerry jobs");
                return Err(Refusal(text).into());
            };
            match format {
                Format::Json => output::json(&job)?,
                Format::Table => output::line(&table::fitted(&RUNS, runs(&job), width))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(name: &AgentName, job: &JobDetail, now_ms: i64) -> Vec<String> {
    let nothing = || NOTHING.to_owned();
    let last = job.history.first();
    let ago = |ended: &Ended| {
        let span = u64::try_from(now_ms.saturating_sub(ended.finished_ms)).unwrap_or_default();
        format!("{} ago", units::span(span))
    };
    let next = match (&job.problem, job.next_run_ms) {
        (Some(problem), _) => problem.clone(),
        (None, Some(at)) => until(at, now_ms),
        (None, None) => nothing(),
    };
    vec![
        name.to_string(),
        job.schedule.clone().unwrap_or_else(|| "once".to_owned()),
        job.running.len().to_string(),
        last.map_or_else(nothing, |ended| outcome(ended.outcome).to_owned()),
        last.map_or_else(nothing, ago),
        next,
    ]
}

/// `in 5m12s`.
pub fn until(at_ms: i64, now_ms: i64) -> String {
    match u64::try_from(at_ms.saturating_sub(now_ms)) {
        Ok(left) => format!("in {}", units::span(left)),
        Err(_) => "now".to_owned(),
    }
}

fn runs(job: &JobDetail) -> Vec<Vec<String>> {
    let nothing = || NOTHING.to_owned();
    let running = job.running.iter().rev().map(|run| {
        let cells = ["running".to_owned(), nothing(), run.attempts.to_string(), nothing()];
        [vec![run.execution.clone(), moment(run.scheduled_ms)], cells.to_vec()].concat()
    });
    let ended = job.history.iter().map(|ended| {
        let took = ended.started_ms.map(|started| ended.finished_ms.saturating_sub(started));
        let took = took.and_then(|took| u64::try_from(took).ok());
        vec![
            ended.execution.clone(),
            moment(ended.scheduled_ms),
            outcome(ended.outcome).to_owned(),
            took.map_or_else(nothing, units::span),
            ended.attempts.to_string(),
            ended.ending().unwrap_or_else(nothing),
        ]
    });
    running.chain(ended).collect()
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Deadline => "deadline",
        Outcome::Superseded => "superseded",
        Outcome::Skipped => "skipped",
        Outcome::Interrupted => "interrupted",
    }
}

/// In UTC, to the second.
fn moment(at_ms: i64) -> String {
    let seconds = Timestamp::from_second(at_ms.div_euclid(1000));
    seconds.map_or_else(|_| NOTHING.to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_to_the_second_and_the_next_one_from_now() {
        assert_eq!(moment(1_767_225_600_123), "2026-01-01T00:00:00Z");
        assert_eq!(until(70_000, 5_000), "in 1m5s");
        assert_eq!(until(5_000, 70_000), "now");
    }
}
