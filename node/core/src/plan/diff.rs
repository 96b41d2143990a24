//! What each agent needs, looked at by itself.

use std::collections::BTreeMap;

use crate::agent::OnUnhealthy;
use crate::desired::{Desired, DesiredAgent};
use crate::health::Health;
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
                (None, Some(_)) => Need::Clean,
                (None, None) => Need::Rest,
                (Some(wanted), None) if wanted.stopped => Need::Rest,
                (Some(_), None) => start(has_image, false),
                (Some(wanted), Some(seen)) => {
                    compare(wanted, seen, memory.of(name), has_image, now)
                }
            };
            (name.clone(), need)
        })
        .collect()
}

fn start(has_image: bool, clean: bool) -> Need {
    if has_image { Need::Start { clean } } else { Need::NoImage }
}

fn compare(
    wanted: &DesiredAgent,
    seen: &ObservedAgent,
    memory: Option<&Remembered>,
    has_image: bool,
    now: Tick,
) -> Need {
    let live = seen.phase.is_live();
    if wanted.stopped {
        return if live { Need::Stop(Why::Stopped) } else { Need::Rest };
    }
    if seen.phase == (Phase::Lost { alive: true }) {
        return Need::Stop(Why::Lost);
    }
    if seen.instance != wanted.instance {
        return match (live, has_image) {
            // What runs is worth more than what cannot be started.
            (true, false) => Need::NoImage,
            (true, true) => Need::Stop(Why::Replaced),
            (false, has_image) => start(has_image, true),
        };
    }
    if live {
        return keep(seen, memory);
    }
    match memory.and_then(|m| m.ended) {
        Some((Verdict::Again(wait), at)) if now >= at.after(wait) => start(has_image, true),
        Some((Verdict::Again(wait), at)) => Need::WaitUntil(at.after(wait)),
        Some((Verdict::Done | Verdict::GiveUp, _)) | None => Need::Rest,
    }
}

/// The same spec runs: it is left alone, unless it is ill or already being stopped.
fn keep(seen: &ObservedAgent, memory: Option<&Remembered>) -> Need {
    let Some(memory) = memory else { return Need::Rest };
    if let Some(stopping) = memory.stop {
        return Need::Stop(stopping.why);
    }
    let restarts = seen
        .spec
        .health_check
        .as_ref()
        .is_some_and(|check| check.on_unhealthy == OnUnhealthy::Restart);
    if restarts && memory.health.health() == Health::Unhealthy {
        return Need::Stop(Why::Unhealthy);
    }
    Need::Rest
}
