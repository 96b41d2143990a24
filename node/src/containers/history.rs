//! The last ends of each agent, kept beside its output: one write for each end, and no more.
//!
//! It outlives the node process and the machine's restarts, and goes with the agent's output.

use std::path::Path;

use skerry_core::ids::AgentName;
use skerry_core::observed::Phase;
use skerry_core::plan::Why;

use super::{ContainerError, Containers, Found, io};
use crate::api::{PastExit, Reason};
use crate::durable;

const FILE: &str = "exits.json";
const FILE_MAX: u64 = 256 * 1024;
/// So many are kept.
const KEPT: usize = 10;
/// Longer messages are cut.
pub(super) const MESSAGE_MAX: usize = 1000;

/// What is known of an end besides what is found.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// What it was stopped for, if it was.
    pub why: Option<Why>,
    /// What the check said that it was stopped for.
    pub said: Option<String>,
    /// How often it had been started again before.
    pub restarts: u32,
    /// The run of a job that it was.
    pub execution: Option<String>,
    /// This moment, for ends that nobody timed.
    pub now_ms: i64,
}

impl Containers {
    /// The last ends of an agent, newest first. A file that cannot be read counts as none.
    pub fn exits(&self, name: &AgentName) -> Vec<PastExit> {
        read(&self.log_dir(name))
    }

    /// What an agent was stopped for that is found ended, and what its check had said, as far as that
    /// is written down.
    pub fn stopped_for(&self, name: &AgentName, found: &Found) -> Option<(Why, Option<String>)> {
        let ended = past(found, Circumstances::default())?;
        let last = self.exits(name).into_iter().next()?;
        let same = ended.ran_ms.is_some() && is_same(&last, &ended);
        last.why.filter(|_| same).map(|why| (why, last.message))
    }

    /// Writes down how an agent ended, unless that is written already; what was written.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn note_end(
        &self,
        name: &AgentName,
        found: &Found,
        known: Circumstances,
    ) -> Result<Option<PastExit>, ContainerError> {
        let Some(ended) = past(found, known) else { return Ok(None) };
        let folder = self.log_dir(name);
        let mut all = read(&folder);
        if all.first().is_some_and(|last| is_same(last, &ended)) {
            return Ok(None);
        }
        all.insert(0, ended.clone());
        all.truncate(KEPT);
        // Numbers and texts always serialise.
        let content = serde_json::to_vec(&all).unwrap_or_default();
        let written =
            std::fs::create_dir_all(&folder).and_then(|()| durable::write(&folder, FILE, &content));
        written.map_err(io("write the history in", &folder))?;
        Ok(Some(ended))
    }
}

fn read(folder: &Path) -> Vec<PastExit> {
    let content = durable::read(&folder.join(FILE), FILE_MAX).ok().flatten();
    content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
}

/// Whether both tell of one end: what has times is known by them, and the rest by its run.
fn is_same(last: &PastExit, ended: &PastExit) -> bool {
    match (last.ran_ms, ended.ran_ms) {
        (Some(_), Some(_)) => {
            last.finished_at_ms == ended.finished_at_ms && last.instance == ended.instance
        }
        // One that fails to start in the same way again and again would drive out all else.
        (None, None) => {
            let again = ended.reason == Reason::NotStarted || last.restarts == ended.restarts;
            last.instance == ended.instance && last.message == ended.message && again
        }
        _ => false,
    }
}

fn past(found: &Found, known: Circumstances) -> Option<PastExit> {
    let mut ended = PastExit {
        reason: Reason::Exit,
        instance: found.seen.instance,
        code: None,
        signal: None,
        why: known.why,
        message: known.said,
        ran_ms: None,
        finished_at_ms: known.now_ms,
        restarts: known.restarts,
        execution: known.execution,
    };
    match &found.seen.phase {
        Phase::Exited(exit) => {
            (ended.code, ended.signal) = (exit.code, exit.signal);
            ended.ran_ms = Some(exit.ran_ms);
            ended.finished_at_ms = exit.finished_at_ms;
            ended.reason = match (exit.oom_killed, known.why) {
                (true, _) => Reason::OutOfMemory,
                (false, Some(Why::Unhealthy)) => Reason::Unhealthy,
                (false, Some(Why::Deadline)) => Reason::Deadline,
                (false, Some(Why::Lost)) => Reason::MonitorLost,
                (false, Some(_)) => Reason::Stopped,
                (false, None) if found.stop_requested => Reason::Stopped,
                (false, None) if exit.signal.is_some() => Reason::Signal,
                (false, None) => Reason::Exit,
            };
        }
        Phase::Failed { message } => {
            ended.reason = Reason::NotStarted;
            ended.message = Some(message.chars().take(MESSAGE_MAX).collect());
        }
        Phase::Lost { alive: false } => ended.reason = Reason::MonitorLost,
        Phase::Starting | Phase::Running { .. } | Phase::Lost { alive: true } => return None,
    }
    Some(ended)
}

#[cfg(test)]
mod tests;
