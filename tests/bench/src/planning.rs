//! How long the planner takes for a thousand agents: the pure function alone, in this process.
//! It never starts anything. Next: `crowd.rs`, which asks a whole node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use skerry_core::admit::Profile;
use skerry_core::agent::{AgentSpec, Condition};
use skerry_core::book::Book;
use skerry_core::desired::{Desired, LocalWish, Wishes};
use skerry_core::ids::{AgentName, Digest};
use skerry_core::memory::Memory;
use skerry_core::observed::{Observed, ObservedAgent, Phase};
use skerry_core::plan::plan;
use skerry_core::time::Tick;

use crate::stats::{Spread, spread};

/// How many agents are planned for.
pub const AGENTS: usize = 1000;

/// What was measured, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Planning {
    /// From nothing: every agent must start.
    pub first: Option<Spread>,
    /// Everything runs, and nothing is to be done.
    pub settled: Option<Spread>,
    /// Laying wishes over each other, as after each change of what is desired.
    pub merge: Option<Spread>,
}

/// Measures so many plans of each kind.
pub fn measure(rounds: usize) -> Planning {
    let wishes = wishes();
    let merged =
        || Desired::merge(Wishes { local: &wishes, ..Wishes::default() }, &Profile::default());
    let desired = merged();
    let (book, now) = (Book::default(), Tick(1_000_000));
    let mut observed = Observed::default();
    observed.images.insert(Digest::of(b"image"));
    let mut memory = Memory::default();
    let first = time(rounds, || plan(&desired, &observed, &memory, &book, now).steps.len());
    for (name, wanted) in &desired.agents {
        let phase = Phase::Running { pid: 1, since: Tick(1000) };
        let (instance, spec) = (wanted.instance, Arc::clone(&wanted.spec));
        observed.agents.insert(name.clone(), ObservedAgent { instance, spec, phase });
    }
    // As the reconciler does it each time: what it found is copied, learned, and planned with.
    let settled = time(rounds, || {
        let seen: BTreeMap<AgentName, ObservedAgent> = observed.agents.clone();
        let seen = Observed { agents: seen, images: observed.images.clone() };
        memory.learn(&desired, &seen, now, || 0);
        plan(&desired, &seen, &memory, &book, now).steps.len()
    });
    Planning { first, settled, merge: time(rounds, || merged().agents.len()) }
}

fn time(rounds: usize, mut act: impl FnMut() -> usize) -> Option<Spread> {
    let each: Vec<f64> = (0..rounds)
        .map(|_| {
            let begin = Instant::now();
            std::hint::black_box(act());
            begin.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    spread(&each)
}

/// A thousand agents in chains of ten, each with variables and limits.
fn wishes() -> Vec<LocalWish> {
    let name = |number: usize| format!("agent-{number}").parse::<AgentName>().ok();
    (0..AGENTS)
        .filter_map(|number| {
            let mut spec = AgentSpec::new(name(number)?, Digest::of(b"image"));
            for variable in 0..8 {
                spec.env.insert(format!("VARIABLE_{variable}"), "a value of some length".into());
            }
            spec.resources.limits.pids = Some(32);
            if number % 10 > 0 {
                spec.depends_on.insert(name(number - 1)?, Condition::Started);
            }
            Some(LocalWish { spec, stopped: false, generation: 0 })
        })
        .collect()
}
