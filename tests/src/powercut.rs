//! Power cuts at random moments, many times over, and what must be there afterwards.
//!
//! A virtual device works on documents from the fleet, on wishes of its own, on images that come and
//! go, on restarts and crashes of its node, until QEMU is killed. Then it boots from the same disk and
//! everything that it had acknowledged is looked for. `tests/powercut` runs this. All chance comes from
//! one seed ([`crate::dice`]); [`work`] decides what a round does, [`promises`] what must be kept, [`check`]
//! looks, and [`station`] does.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::machine::{Boot, Cache};
use station::Station;

pub mod check;
pub mod promises;
pub mod station;
pub mod work;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Run {
    /// How many rounds, over all machines.
    pub count: u64,
    /// Where all chance comes from.
    pub seed: u64,
    /// How many machines at once.
    pub jobs: u64,
    /// Where disks are kept that lost something.
    pub keep: PathBuf,
    /// What the devices boot.
    pub boot: Boot,
    /// What their disks do with writes when the power goes.
    pub cache: Kind,
}

/// What a disk does with writes when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It keeps every write.
    Through,
    /// It keeps what was flushed.
    Volatile,
    /// It keeps what it likes, whatever it said.
    Lying,
}

impl Kind {
    /// The cache of the disk of one machine.
    #[must_use]
    pub fn cache(self, seed: u64, machine: u64) -> Cache {
        let dice = Dice::new(seed, u64::MAX - machine);
        match self {
            Self::Through => Cache::Through,
            Self::Volatile => Cache::Volatile(dice),
            Self::Lying => Cache::Lying(dice),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Rounds that came to their end.
    pub rounds: u64,
    /// Power cuts, those in the middle of a boot included.
    pub cuts: u64,
    /// What was lost, with the disks that show it.
    pub losses: Vec<String>,
    /// States that the node had to mend, which is no loss.
    pub repairs: u64,
    /// Documents that were in force.
    pub documents: u64,
    /// Wishes, imports and removals that were acknowledged.
    pub acknowledged: u64,
    /// How often the node's process was killed while the power was on.
    pub kills: u64,
    /// How often an agent was restarted.
    pub restarts: u64,
    /// Time from the switch to a node that answers, over all rounds.
    pub boot: Duration,
}

impl Totals {
    fn add(&mut self, round: &Totals) {
        self.rounds += round.rounds;
        self.cuts += round.cuts;
        self.losses.extend(round.losses.iter().cloned());
        self.repairs += round.repairs;
        self.documents += round.documents;
        self.acknowledged += round.acknowledged;
        self.kills += round.kills;
        self.restarts += round.restarts;
        self.boot += round.boot;
    }

    /// In one line.
    #[must_use]
    pub fn line(&self) -> String {
        let rounds = u32::try_from(self.rounds.max(1)).unwrap_or(u32::MAX);
        format!(
            "{} cuts in {} rounds, {} losses, {} repairs, {} documents, {} acknowledgements, {} kills \
             of the node, {} restarts, mean boot {:.1} s",
            self.cuts,
            self.rounds,
            self.losses.len(),
            self.repairs,
            self.documents,
            self.acknowledged,
            self.kills,
            self.restarts,
            (self.boot / rounds).as_secs_f64(),
        )
    }
}

impl Run {
    /// Does all rounds, or as many as go well. `tell` is given the totals after each.
    ///
    /// # Panics
    /// When a machine can't be set up: that is no loss, but nothing was proved either.
    pub fn go(&self, tell: impl Fn(&Totals, Duration) + Sync) -> Totals {
        let start = Instant::now();
        let totals = Mutex::new(Totals::default());
        let note = |round: &Totals| {
            let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
            totals.add(round);
            tell(&totals, start.elapsed());
        };
        std::thread::scope(|scope| {
            for machine in 0..self.jobs {
                let note = &note;
                let rounds = self.count / self.jobs + u64::from(machine < self.count % self.jobs);
                scope.spawn(move || self.machine(machine, rounds, note));
            }
        });
        totals.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn machine(&self, machine: u64, rounds: u64, note: &impl Fn(&Totals)) {
        let mut station = Station::new(self, machine);
        for number in 0..rounds {
            let round = station.round(number);
            note(&round);
            if !round.losses.is_empty() {
                return;
            }
        }
        station.forget();
    }
}
