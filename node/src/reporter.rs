//! The reporter: compares what is with what was last told, and hands the change to the outbox.
//!
//! Every report is signed with the node's key and carries a counter that never goes back. It tells
//! nothing when nothing changed, and gathers changes that come together into one report.

use std::sync::Arc;
use std::time::Duration;

use skerry_core::ids::NodeName;
use skerry_core::report::{Host, Report};
use skerry_core::trust::detached::seal;
use skerry_core::trust::enrolment::Enrolment;
use skerry_sync::{Link, LinkState, Outgoing, Priority, Up};
use tokio::sync::watch;

use crate::audit::Audit;
use crate::clock;
use crate::identity::Identity;
use crate::ledger::Public;
use crate::reconciler::Snapshot;
use crate::store::{Change, Durability, Space, Store, StoreError};
use crate::troubles::Troubles;

/// Changes within this time go into one report.
const GATHER: Duration = Duration::from_millis(100);
/// A report that the outbox does not take is tried again after this time.
const AGAIN: Duration = Duration::from_secs(10);
const COUNTER: &[u8] = b"report";
/// Counters are reserved in blocks, so that not every report costs a write of its own; in large ones, so
/// that reports outlast a disk that is full for weeks.
const BLOCK: u64 = 1 << 16;

/// The counter of reports, which outlives the process.
pub struct Counter {
    store: Arc<dyn Store>,
    next: u64,
    reserved: u64,
}

impl Counter {
    /// The counter in a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, next: 0, reserved: 0 }
    }

    fn take(&mut self) -> Result<u64, StoreError> {
        let left = self.reserved.saturating_sub(self.next);
        if left < BLOCK / 2
            && let Err(error) = self.reserve()
            // With a block in hand, reports go on while the disk is full.
            && left == 0
        {
            return Err(error);
        }
        self.next += 1;
        Ok(self.next)
    }

    /// Goes on after everything that was ever reserved.
    fn reserve(&mut self) -> Result<(), StoreError> {
        if self.reserved == 0 {
            let row = self.store.get(Space::Counter, COUNTER)?;
            let raw = row.and_then(|value| <[u8; 8]>::try_from(value.as_slice()).ok());
            self.next = raw.map_or(0, u64::from_be_bytes);
        }
        let reserved = self.next.saturating_add(BLOCK);
        let row = Change::put(Space::Counter, COUNTER, reserved.to_be_bytes());
        self.store.commit(&[row], Durability::Durable)?;
        self.reserved = reserved;
        Ok(())
    }
}

/// Who speaks, and of what machine.
pub struct Speaker {
    /// The node's key.
    pub identity: Arc<Identity>,
    /// The node's name.
    pub node: NodeName,
    /// This boot.
    pub boot_id: String,
    /// The machine.
    pub host: Host,
    /// The word of the token by which it asks to be taken in.
    pub enrolment: Option<Enrolment>,
}

/// Why a report was not handed over.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write the report: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Seal(#[from] skerry_core::trust::detached::DetachedError),
    #[error(transparent)]
    Send(#[from] skerry_sync::SendError),
}

/// What a report is made of.
pub struct Seen {
    /// What the reconciler found.
    pub snapshots: watch::Receiver<Snapshot>,
    /// What is desired.
    pub ledger: watch::Receiver<Public>,
    /// What stands in the node's way.
    pub troubles: Troubles,
    /// What was accepted, refused and run.
    pub audit: Audit,
}

/// Reports until the reconciler is gone.
pub async fn run(speaker: Speaker, mut counter: Counter, link: Link, mut seen: Seen) {
    let mut told: Option<Report> = None;
    let mut troubles = seen.troubles.watch();
    let mut broker = Broker { state: link.state(), stats: link.stats(), connections: 0 };
    loop {
        troubles.mark_unchanged();
        let report = compose(&speaker, &mut seen);
        let mut again = None;
        if told.as_ref() != Some(&report) {
            match tell(&speaker, &mut counter, &link, report.clone()).await {
                Ok(()) => told = Some(report),
                Err(error) => {
                    tracing::warn!(%error, "report not handed over");
                    again = Some(AGAIN);
                }
            }
        }
        let alive = tokio::select! {
            changed = seen.snapshots.changed() => changed.is_ok(),
            changed = seen.ledger.changed() => changed.is_ok(),
            changed = troubles.changed() => changed.is_ok(),
            alive = broker.forgot() => {
                told = None;
                alive
            }
            () = after(again) => true,
        };
        if !alive {
            return;
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// What the broker may have forgotten.
struct Broker {
    state: watch::Receiver<LinkState>,
    stats: watch::Receiver<skerry_sync::Stats>,
    connections: u64,
}

impl Broker {
    /// Waits for a connection to a broker that may know nothing of the session before, and so
    /// nothing of the retained report; false when the session has ended.
    async fn forgot(&mut self) -> bool {
        while self.state.changed().await.is_ok() {
            let present = match &*self.state.borrow_and_update() {
                LinkState::Connected { session_present, .. } => *session_present,
                LinkState::Connecting { .. } | LinkState::Offline { .. } => continue,
            };
            let made = self.stats.borrow().connections;
            // A connection that came and went unseen may have been the one that found nothing.
            let unseen = made > self.connections.saturating_add(1);
            self.connections = made;
            if unseen || !present {
                return true;
            }
        }
        false
    }
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The report without what changes by itself: counter and time are filled in when it is told.
fn compose(speaker: &Speaker, seen: &mut Seen) -> Report {
    let (snapshot, ledger) = (seen.snapshots.borrow_and_update(), seen.ledger.borrow_and_update());
    Report {
        node: speaker.node.clone(),
        public_key: speaker.identity.public(),
        counter: 0,
        at_ms: 0,
        boot_id: speaker.boot_id.clone(),
        // What the agents below were planned by, so that both are of one moment.
        document: snapshot.document.clone(),
        refused: ledger.refused.clone(),
        agents: (*snapshot.status).clone(),
        clashes: snapshot.clashes.clone(),
        troubles: seen.troubles.list(),
        trust: ledger.trust.as_deref().cloned(),
        audit: seen.audit.head(),
        // Whoever signs documents for it knows it.
        enrolment: speaker.enrolment.clone().filter(|_| ledger.document.is_none()),
        host: speaker.host.clone(),
    }
}

async fn tell(
    speaker: &Speaker,
    counter: &mut Counter,
    link: &Link,
    mut report: Report,
) -> Result<(), ReportError> {
    report.counter = counter.take()?;
    report.at_ms = clock::wall_ms();
    let sealed = seal(speaker.identity.key(), &serde_json::to_string(&report)?)?;
    let mut message = Outgoing::new(Up::Report, sealed);
    message.retain = true;
    message.priority = Priority::Vital;
    message.latest_wins = true;
    link.send(message).await?;
    Ok(())
}
