//! The reconciler: looks, plans, does, tells; then waits until there is a reason to look again.
//!
//! It decides nothing itself: [`skerry_core::plan`] does. It must never wait for anything but its
//! own inputs (what is desired, what happened, what is due), never poll, and never lose a failure:
//! what cannot be done becomes something observed. Next: `execute.rs` for the effects.

mod execute;
mod health;
mod jobs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use skerry_core::accept::Accepted;
use skerry_core::book::Book;
use skerry_core::desired::Desired;
use skerry_core::document::Document;
use skerry_core::ids::{AgentName, Digest};
use skerry_core::memory::Memory;
use skerry_core::observed::{Observed, Phase};
use skerry_core::plan::{Plan, Status, Step, Why, plan};
use skerry_core::report::DocumentRef;
use skerry_core::time::Tick;
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::Audit;
use crate::clock;
use crate::containers::{Containers, Found};
use crate::ledger::Public;
use crate::probe::Prober;
use crate::store::Store;
use crate::sweep::{self, Base};
use crate::troubles::Troubles;
use crate::wake::{ClockWatch, Event, Watcher, watch_adopted};
use jobs::Kept;

/// After a step that failed, the next plan is not made sooner than this.
const BREATH: Duration = Duration::from_secs(1);
/// After the store failed, it is tried again no sooner than this.
const STORE_AGAIN: Duration = Duration::from_secs(30);
/// Agents whose folders cannot be watched are looked at as often as this.
const UNWATCHED: Duration = Duration::from_secs(2);
/// Events that may wait to be looked at.
pub const EVENTS: usize = 256;

/// What the reconciler found and did, for the API and the reporter.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Grows whenever anything below changes.
    pub revision: u64,
    /// What to tell of each agent.
    pub status: Arc<BTreeMap<AgentName, Status>>,
    /// What was found of each agent.
    pub found: Arc<BTreeMap<AgentName, Found>>,
    /// Fleet agents whose name is taken.
    pub clashes: Vec<AgentName>,
    /// The document that all this was planned by.
    pub document: Option<DocumentRef>,
    /// The book of jobs.
    pub book: Arc<Book>,
    /// Everything is stopped, or about to be.
    pub down: bool,
}

/// The task.
pub struct Reconciler {
    containers: Arc<Containers>,
    images: Arc<skerry_images::Store>,
    ledger: watch::Receiver<Public>,
    watcher: Watcher,
    events: mpsc::Receiver<Event>,
    events_in: mpsc::Sender<Event>,
    snapshot: watch::Sender<Snapshot>,
    memory: Memory,
    found: BTreeMap<AgentName, Found>,
    /// Images that are known to be there.
    present: BTreeSet<Digest>,
    /// Whose monitor is being watched.
    watched: BTreeMap<AgentName, i32>,
    kept: Kept,
    clock: ClockWatch,
    troubles: Troubles,
    audit: Audit,
    /// Agents whose run folder cannot be watched.
    unwatched: BTreeSet<AgentName>,
    /// Something was ended or removed since it was last swept.
    unswept: bool,
    prober: Prober,
    /// Who waits for everything to be stopped.
    down: Option<oneshot::Sender<()>>,
}

impl Reconciler {
    /// Takes stock of what runs already.
    ///
    /// # Errors
    /// The kernel's means to be woken cannot be had.
    pub fn new(
        containers: Arc<Containers>,
        images: Arc<skerry_images::Store>,
        ledger: watch::Receiver<Public>,
        store: Arc<dyn Store>,
        troubles: Troubles,
        audit: Audit,
    ) -> std::io::Result<(Self, watch::Receiver<Snapshot>)> {
        let watcher = {
            let (agents, _, cgroup) = containers.base();
            Watcher::new(&images.index_dir(), &agents, &cgroup)?
        };
        let (events_in, events) = mpsc::channel(EVENTS);
        let (snapshot, seen) = watch::channel(Snapshot::default());
        let mut reconciler = Self {
            containers,
            images,
            ledger,
            watcher,
            events,
            events_in,
            snapshot,
            memory: Memory::default(),
            found: BTreeMap::new(),
            present: BTreeSet::new(),
            watched: BTreeMap::new(),
            kept: Kept::load(store)?,
            clock: ClockWatch::new()?,
            troubles,
            audit,
            unwatched: BTreeSet::new(),
            unswept: false,
            prober: Prober::new(),
            down: None,
        };
        for name in reconciler.containers.names() {
            reconciler.adopt(&name);
        }
        reconciler.sweep();
        Ok((reconciler, seen))
    }

    /// Where events come in.
    pub fn door(&self) -> mpsc::Sender<Event> {
        self.events_in.clone()
    }

    /// Begins with everything stopped, and leaves it so until it is told otherwise.
    pub fn stay_down(&mut self) {
        self.down = Some(oneshot::channel().0);
    }

    /// Works until the ledger is gone.
    pub async fn run(mut self) {
        loop {
            if std::mem::take(&mut self.unswept) {
                self.sweep();
            }
            if !self.unwatched.is_empty() {
                self.look_at_unwatched();
            }
            let public = self.ledger.borrow_and_update().clone();
            let now = clock::tick();
            let running = self.kept.book.lay_over(&public.desired);
            let observed = self.observe(&running);
            self.memory.learn(&running, &observed, now, jitter);
            let book_due = self.turn_book(&public.desired, &observed);
            let desired = self.with_runs(&public.desired);
            let mut plan = plan(&desired, &observed, &self.memory, &self.kept.book, now);
            let unwatched = (!self.unwatched.is_empty()).then(|| now.after(span(UNWATCHED)));
            plan.wake_at = plan.wake_at.into_iter().chain(book_due).chain(unwatched).min();
            self.publish(&plan, &desired, public.document.as_deref());
            self.tell_if_down();
            let failed = plan.steps.iter().filter(|step| !self.execute(step, &desired)).count();
            self.unswept |= plan.steps.iter().any(|step| matches!(step, Step::Clean { .. }));
            let again = match (plan.steps.len(), failed) {
                (0, _) => plan.wake_at,
                (_, 0) => Some(now),
                _ => Some(clock::tick().after(span(BREATH))),
            };
            if !self.wait(again).await {
                return;
            }
        }
    }

    /// Waits for a reason to plan again; `false` if there will be none.
    async fn wait(&mut self, until: Option<Tick>) -> bool {
        let happened = tokio::select! {
            () = self.clock.jumped() => {
                tracing::info!("the clock was set");
                Vec::new()
            }
            changed = self.ledger.changed() => return changed.is_ok(),
            event = self.events.recv() => event.into_iter().collect(),
            told = self.watcher.next() => told.unwrap_or_else(|error| {
                tracing::error!(%error, "cannot watch run folders");
                Vec::new()
            }),
            () = sleep_until(until) => Vec::new(),
        };
        for event in happened {
            self.take(event);
        }
        while let Ok(event) = self.events.try_recv() {
            self.take(event);
        }
        true
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Agent(name) => self.look(&name),
            Event::Images => self.present.clear(),
            Event::Pulse(asked) => drop(asked.send(())),
            Event::Inspect(asked) => {
                self.inspect();
                let _ = asked.send(());
            }
            Event::Probed { agent, check, result } => {
                if let Some(found) = self.found.get(&agent) {
                    self.memory.probed(&agent, &found.seen, check, clock::tick(), result);
                }
            }
            Event::Hasten => self.memory.hasten(),
            Event::Down(done) => {
                tracing::info!("stopping everything");
                self.down = Some(done);
            }
            Event::Up => {
                tracing::info!("starting what must be");
                self.down = None;
            }
        }
    }

    /// What is found now, with the images that are wanted.
    fn observe(&mut self, desired: &Desired) -> Observed {
        // Runs of jobs are made after this look.
        let jobs = desired.jobs.values().map(|job| &job.agent);
        for wanted in desired.agents.values().chain(jobs) {
            let image = wanted.spec.image;
            if !self.present.contains(&image) && self.images.has(&image) {
                self.present.insert(image);
            }
        }
        for (name, found) in &mut self.found {
            // One spec in memory, and comparing it costs nothing.
            if let Some(wanted) = desired.agents.get(name)
                && wanted.is_met_by(&found.seen)
            {
                found.seen.spec = wanted.spec.clone();
            }
        }
        let agents = self.found.iter().map(|(name, found)| (name.clone(), found.seen.clone()));
        Observed { agents: agents.collect(), images: self.present.clone() }
    }

    /// What is desired, with the runs of jobs; nothing at all while everything is being stopped.
    fn with_runs(&self, desired: &Arc<Desired>) -> Arc<Desired> {
        let with_runs = self.kept.book.lay_over(desired);
        if self.down.is_some() { Arc::new(with_runs.halted(Why::Down)) } else { with_runs }
    }

    fn tell_if_down(&mut self) {
        if self.down.is_some()
            && !self.found.values().any(|found| found.seen.phase.is_live())
            && let Some(done) = self.down.take()
        {
            // Agents that ended leave their traces until they start again, and pods would stay with them.
            for error in self.containers.leave_pods() {
                tracing::error!(%error, "a pod is not taken down");
            }
            // Stays down: nobody plans after this.
            let _ = done.send(());
            self.down = Some(oneshot::channel().0);
        }
    }

    /// Removes what has no owner. Nothing is being made at this moment.
    fn sweep(&self) {
        let owned = match self.containers.owned() {
            Ok(owned) => owned,
            Err(error) => {
                tracing::error!(%error, "cannot tell what has an owner: nothing is swept");
                return;
            }
        };
        let desired = self.ledger.borrow().desired.clone();
        let wanted = desired.agents.values().map(|wanted| &wanted.spec);
        let found = self.found.values().map(|found| &found.seen.spec);
        let pods = wanted.chain(found).filter_map(|spec| Some(spec.pod.as_ref()?.to_string()));
        let (agents, shared, cgroup) = self.containers.base();
        let base = Base { agents: &agents, pods: &shared, cgroup: &cgroup };
        sweep::tell(&sweep::sweep(&base, &owned, &pods.collect()), &self.troubles);
    }

    /// An agent that an earlier node process left.
    fn adopt(&mut self, name: &AgentName) {
        self.watch(name);
        self.look(name);
        if let Some(found) = self.found.get(name) {
            tracing::info!(agent = %name, phase = ?found.seen.phase, "found");
            // How often a run of a job was tried is in the book.
            if found.seen.spec.job.is_none() {
                let stopped = self.containers.stopped_for(name, found);
                let (instance, failures) = (found.seen.instance, found.failures);
                self.memory.recall(name, instance, failures, stopped, clock::tick());
            }
        }
    }

    /// Looks at one agent again.
    fn look(&mut self, name: &AgentName) {
        match self.containers.look(name) {
            Some(found) => {
                let monitor = found.state.as_ref().map(|state| state.monitor);
                if let (Phase::Running { .. }, Some(monitor)) = (&found.seen.phase, monitor)
                    && self.watched.get(name) != Some(&monitor.pid)
                {
                    self.watched.insert(name.clone(), monitor.pid);
                    watch_adopted(name.clone(), monitor, self.events_in.clone());
                }
                self.note_end(name, &found);
                self.judge_start(name, &found.seen.phase);
                match &found.seen.phase {
                    Phase::Running { .. } => self.contain(name),
                    // Perhaps its image is no longer whole.
                    Phase::Failed { .. } => drop(self.present.remove(&found.seen.spec.image)),
                    _ => {}
                }
                self.found.insert(name.clone(), found);
            }
            // What never came so far as to leave a trace on disk is remembered as it is.
            None if self.is_unlaunched(name) => {}
            None => {
                self.forget_troubles(name);
                let found = self.found.remove(name);
                // Its records are gone, and it may be there still.
                self.unswept |= found.is_some_and(|found| found.seen.phase.is_live());
                self.watched.remove(name);
            }
        }
    }

    fn is_unlaunched(&self, name: &AgentName) -> bool {
        self.found.get(name).is_some_and(|found| matches!(found.seen.phase, Phase::Failed { .. }))
    }

    fn publish(&self, plan: &Plan, desired: &Desired, document: Option<&Accepted<Document>>) {
        let document = document.map(|accepted| DocumentRef {
            version: accepted.get().version,
            digest: accepted.digest(),
        });
        self.snapshot.send_if_modified(|snapshot| {
            let same_found = snapshot.found.len() == self.found.len()
                && snapshot
                    .found
                    .iter()
                    .zip(&self.found)
                    .all(|((a, x), (b, y))| a == b && x.seen == y.seen && x.state == y.state);
            if *snapshot.status == plan.status
                && same_found
                && snapshot.clashes == desired.clashes
                && snapshot.document == document
                && *snapshot.book == self.kept.book
                && snapshot.down == self.down.is_some()
            {
                return false;
            }
            if *snapshot.book != self.kept.book {
                snapshot.book = Arc::new(self.kept.book.clone());
            }
            snapshot.document = document;
            snapshot.down = self.down.is_some();
            snapshot.revision += 1;
            snapshot.status = Arc::new(plan.status.clone());
            snapshot.found = Arc::new(self.found.clone());
            snapshot.clashes.clone_from(&desired.clashes);
            true
        });
    }
}

fn span(duration: Duration) -> skerry_core::units::Span {
    skerry_core::units::Span { millis: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) }
}

fn jitter() -> u16 {
    let mut raw = [0; 2];
    // Without randomness every node waits the same: no reason to stop.
    let _ = getrandom::fill(&mut raw);
    u16::from_ne_bytes(raw)
}

/// Sleeps until a tick; for ever, if there is none. The timer below does not count suspend, so a
/// device that was suspended may be late by that time, never early.
async fn sleep_until(tick: Option<Tick>) {
    match tick {
        None => std::future::pending().await,
        Some(at) => {
            let left = at.since(clock::tick());
            tokio::time::sleep(Duration::from_millis(left.millis)).await;
        }
    }
}
