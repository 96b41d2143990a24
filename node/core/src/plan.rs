//! The plan: the steps between what is and what must be.
//!
//! A pure function of desired, observed, memory and the time. It gives only steps that may be done
//! now; after they are done the shell observes again and asks again, until nothing is left. So a
//! crash between two steps costs nothing: the next plan is made from what is found.
//!
//! `diff` says what each agent needs by itself, `order` what its dependencies allow,
//! [`status`] how that is told to people.

mod diff;
mod order;
pub mod status;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::book::Book;
use crate::desired::Desired;
use crate::health::Check;
use crate::ids::AgentName;
use crate::memory::Memory;
use crate::observed::{Observed, Phase};
use crate::time::Tick;
use crate::units::Span;

use diff::Need;
pub use status::{State, Status};

/// So many agents may be between start and running at once, so that a boot with hundreds of agents
/// does not thrash a small machine.
pub const STARTING_MAX: usize = 8;
/// A kill that did not help is tried again after this time.
const KILL_AGAIN: Span = Span::seconds(5);

/// One idempotent effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start the agent's container as its desired spec says.
    Start {
        /// Which.
        agent: AgentName,
    },
    /// Ask its program politely to end.
    Terminate {
        /// Which.
        agent: AgentName,
        /// What for.
        why: Why,
    },
    /// Kill every process of it.
    Kill {
        /// Which.
        agent: AgentName,
        /// What for.
        why: Why,
    },
    /// Remove the traces of a run that ended.
    Clean {
        /// Which.
        agent: AgentName,
    },
    /// Ask one of its checks.
    Probe {
        /// Which.
        agent: AgentName,
        /// Which of its checks.
        check: Check,
    },
    /// Give a running agent the limits and the other settings that need no restart.
    Adjust {
        /// Which.
        agent: AgentName,
    },
}

impl Step {
    /// The agent it is about.
    pub fn agent(&self) -> &AgentName {
        match self {
            Self::Start { agent }
            | Self::Terminate { agent, .. }
            | Self::Kill { agent, .. }
            | Self::Clean { agent }
            | Self::Probe { agent, .. }
            | Self::Adjust { agent } => agent,
        }
    }
}

/// What an agent is stopped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nobody wants it any more.
    Removed,
    /// Another spec takes its place.
    Replaced,
    /// It was stopped by hand.
    Stopped,
    /// Its probes fail.
    Unhealthy,
    /// Its monitor is gone, so that nobody collects its output or exit code.
    Lost,
    /// The node has no room for it any more, or its policy is against it.
    NotAdmitted,
    /// A run of a job that takes longer than it may.
    Deadline,
    /// The next run of its job takes its place.
    Superseded,
    /// Everything on the node is stopped.
    Down,
}

impl Why {
    /// Whether the end counts as a failure of the agent.
    pub fn is_its_own_fault(self) -> bool {
        matches!(self, Self::Unhealthy | Self::Lost)
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Removed => "no longer wanted",
            Self::Replaced => "it is to run anew",
            Self::Stopped => "stopped by hand",
            Self::Unhealthy => "unhealthy",
            Self::Lost => "its monitor is gone",
            Self::NotAdmitted => "this node has no room for it",
            Self::Deadline => "it takes longer than its deadline",
            Self::Superseded => "the next run takes its place",
            Self::Down => "everything is stopped",
        })
    }
}

/// What to do now, when to look again, and what to tell.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Step>,
    /// When something is due, if nothing happens before.
    pub wake_at: Option<Tick>,
    /// What to tell of each agent.
    pub status: BTreeMap<AgentName, Status>,
}

impl Plan {
    fn wake(&mut self, at: Tick) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }
}

/// All that a plan is made from.
#[derive(Clone, Copy)]
struct World<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    memory: &'a Memory,
    book: &'a Book,
}

/// Makes the plan. `desired` has the book's runs laid over it ([`Book::lay_over`]).
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    memory: &Memory,
    book: &Book,
    now: Tick,
) -> Plan {
    let world = World { desired, observed, memory, book };
    let mut plan = Plan::default();
    let needs = diff::needs(desired, observed, memory, now);
    for name in order::stops(&needs, observed) {
        stop(&mut plan, &needs, observed, memory, now, name);
    }
    for (name, need) in &needs {
        match need {
            Need::Clean => plan.steps.push(Step::Clean { agent: name.clone() }),
            Need::WaitUntil(at) => plan.wake(*at),
            Need::AdjustLater(at) => {
                plan.wake(*at);
                probe(&mut plan, observed, memory, now, name);
            }
            Need::Rest => probe(&mut plan, observed, memory, now, name),
            Need::Adjust => {
                plan.steps.push(Step::Adjust { agent: name.clone() });
                probe(&mut plan, observed, memory, now, name);
            }
            Need::Stop(_) | Need::Start { .. } | Need::NoImage | Need::Obstacle => {}
        }
    }
    let starting = observed.agents.values().filter(|a| a.phase == Phase::Starting).count();
    let room = STARTING_MAX.saturating_sub(starting);
    for (name, clean) in order::starts(&needs, world).into_iter().take(room) {
        if clean {
            plan.steps.push(Step::Clean { agent: name.clone() });
        }
        plan.steps.push(Step::Start { agent: name.clone() });
    }
    plan.status = status::tell(world, &needs);
    plan
}

/// The next rung of a stop: ask, wait for the grace, kill, and kill again.
fn stop(
    plan: &mut Plan,
    needs: &BTreeMap<AgentName, Need>,
    observed: &Observed,
    memory: &Memory,
    now: Tick,
    name: &AgentName,
) {
    let (Some(Need::Stop(why)), Some(seen)) = (needs.get(name), observed.agents.get(name)) else {
        return;
    };
    let why = *why;
    let agent = name.clone();
    match memory.of(name).and_then(|m| m.stop) {
        None if why == Why::Lost => plan.steps.push(Step::Kill { agent, why }),
        None => {
            plan.steps.push(Step::Terminate { agent, why });
            plan.wake(now.after(seen.spec.stop.grace));
        }
        Some(stopping) => {
            let due = match stopping.killed {
                None => stopping.since.after(seen.spec.stop.grace),
                Some(killed) => killed.after(KILL_AGAIN),
            };
            if now >= due {
                plan.steps.push(Step::Kill { agent, why });
                plan.wake(now.after(KILL_AGAIN));
            } else {
                plan.wake(due);
            }
        }
    }
}

fn probe(plan: &mut Plan, observed: &Observed, memory: &Memory, now: Tick, name: &AgentName) {
    let (Some(seen), Some(remembered)) = (observed.agents.get(name), memory.of(name)) else {
        return;
    };
    let Phase::Running { since, .. } = &seen.phase else { return };
    for check in Check::ALL {
        match remembered.checks.due(check, &seen.spec, *since) {
            Some(due) if now >= due => {
                plan.steps.push(Step::Probe { agent: name.clone(), check });
            }
            Some(due) => plan.wake(due),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
