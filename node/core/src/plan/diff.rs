//! What each agent needs, looked at by itself.

use std::collections::BTreeMap;

use crate::desired::{Desired, DesiredAgent};
use crate::ids::AgentName;
use crate::memory::{Memory, Remembered};
use crate::observed::{Observed, ObservedAgent, Phase};
use crate::restart::Verdict;
use crate::time::Tick;

use super::Why;

/// What one agent needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it is as it must be.
    Rest,
    /// Its processes must end.
    Stop(Why),
    /// Its traces must go, and nothing comes after.
    Clean,
    /// It must start, once its dependencies allow; old traces go first.
    Start {
        /// There are old traces.
        clean: bool,
    },
    /// It backs off.
    WaitUntil(Tick),
    /// It cannot start: its image is not in the store.
    NoImage,
    /// It cannot start, for a reason that the desired agent carries.
    Obstacle,
    /// It runs, and gets settings that need no restart.
    Adjust,
    /// The kernel refused those settings; they are tried again then.
    AdjustLater(Tick),
}

/// The needs of every agent that is desired or observed.
pub(super) fn needs(
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
    now: Tick,
) -> BTreeMap<AgentName, Need> {
    let names = desired.agents.keys().chain(observed.agents.keys());
    names
        .map(|name| {
            let has_image = desired
                .agents
                .get(name)
                .is_some_and(|wanted| observed.images.contains(&wanted.spec.image));
            let need = match (desired.agents.get(name), observed.agents.get(name)) {
                (None, Some(seen)) if seen.phase.is_live() => Need::Stop(Why::Removed),
                // How the last run of a job ended can be looked at until the next one.
                (None, Some(_)) if desired.is_of_job(name) => Need::Rest,
                (None, Some(_)) => Need::Clean,
                (None, None) => Need::Rest,
                (Some(wanted), None) if wanted.halt.is_some() => halted(wanted),
                (Some(wanted), None) => start(wanted, has_image, false),
                (Some(wanted), Some(seen)) => {
                    compare(wanted, seen, memory.of(name), has_image, now)
                }
            };
            (name.clone(), need)
        })
        .collect()
}

fn start(wanted: &DesiredAgent, has_image: bool, clean: bool) -> Need {
    match (wanted.obstacle.is_some(), has_image) {
        (true, _) => Need::Obstacle,
        (false, false) => Need::NoImage,
        (false, true) => Need::Start { clean },
    }
}

fn halted(wanted: &DesiredAgent) -> Need {
    if wanted.obstacle.is_some() { Need::Obstacle } else { Need::Rest }
}

fn compare(
    wanted: &DesiredAgent,
    seen: &ObservedAgent,
    memory: Option<&Remembered>,
    has_image: bool,
    now: Tick,
) -> Need {
    let live = seen.phase.is_live();
    if let Some(why) = wanted.halt {
        return if live { Need::Stop(why) } else { halted(wanted) };
    }
    if seen.phase == (Phase::Lost { alive: true }) {
        return Need::Stop(Why::Lost);
    }
    if seen.instance != wanted.instance {
        return match (live, start(wanted, has_image, true)) {
            // What runs is worth more than what cannot be started.
            (true, Need::Start { .. }) => Need::Stop(Why::Replaced),
            (_, need) => need,
        };
    }
    if live {
        return keep(wanted, seen, memory, now);
    }
    match memory.and_then(|m| m.ended) {
        Some((Verdict::Again(wait), at)) if now >= at.after(wait) => start(wanted, has_image, true),
        Some((Verdict::Again(wait), at)) => Need::WaitUntil(at.after(wait)),
        Some((Verdict::Done | Verdict::GiveUp, _)) | None => Need::Rest,
    }
}

/// The same container is wanted: it is left alone, unless it is ill or already being stopped.
fn keep(
    wanted: &DesiredAgent,
    seen: &ObservedAgent,
    memory: Option<&Remembered>,
    now: Tick,
) -> Need {
    let Some(memory) = memory else { return Need::Rest };
    if let Some(stopping) = memory.stop {
        return Need::Stop(stopping.why);
    }
    if memory.checks.must_restart(&seen.spec).is_some() {
        return Need::Stop(Why::Unhealthy);
    }
    let running = matches!(seen.phase, Phase::Running { .. });
    let same = wanted.is_met_by(seen);
    match memory.refused.as_ref().filter(|refused| refused.spec == wanted.spec) {
        _ if !running || same => Need::Rest,
        Some(refused) if now < refused.again => Need::AdjustLater(refused.again),
        _ => Need::Adjust,
    }
}
