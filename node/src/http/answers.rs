//! The answers of the local API: snapshots told, wishes handed to the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Response, StatusCode};
use skerry_core::ids::AgentName;
use skerry_core::reading;
use skerry_sync::{Link, LinkState};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{Body, json, refuse};
use crate::api::{
    AgentDetail, AgentList, AgentStats, Applied, Apply, DocumentInForce, NodeStatus, StatsList,
};
use crate::audit::Audit;
use crate::containers::{Containers, limits_in_force, shortfalls};
use crate::down::Mark;
use crate::identity::Identity;
use crate::ledger::{Desk, LedgerError, Public, Verb};
use crate::reconciler::Snapshot;
use crate::store::{HealingStore, StoreError};
use crate::troubles::Troubles;
use crate::wake::Event;

/// How long a question for a newer revision is held.
const HOLD: Duration = Duration::from_secs(30);
/// How long a status waits for agents to be looked at.
const INSPECT: Duration = Duration::from_secs(2);

/// What the API needs to know of the node.
pub struct Node {
    /// The way to the ledger.
    pub desk: Desk,
    /// What the reconciler found.
    pub snapshots: watch::Receiver<Snapshot>,
    /// What is desired.
    pub ledger: watch::Receiver<Public>,
    /// Where containers are.
    pub containers: Arc<Containers>,
    /// Who the node is.
    pub identity: Arc<Identity>,
    /// Its name.
    pub name: String,
    /// The link to the fleet, once it is set up; none without a broker.
    pub link: watch::Receiver<Option<Link>>,
    /// The kind of cgroup hierarchy.
    pub cgroup: String,
    /// How the state came to be.
    pub store_notice: Option<String>,
    /// What stands in its way.
    pub troubles: Troubles,
    /// Its state, as far as the disk has trouble.
    pub disk: Arc<HealingStore>,
    /// What was accepted, refused and run.
    pub audit: Audit,
    /// The way to the reconciler.
    pub door: mpsc::Sender<Event>,
    /// Whether somebody would start the node's process again if it ended.
    pub supervised: bool,
    /// Whether everything is to stay stopped.
    pub mark: Mark,
    /// Told when the node's process is to end.
    pub ending: Arc<Notify>,
}

impl Node {
    pub(super) async fn list(&self, after: Option<u64>) -> Response<Body> {
        let mut snapshots = self.snapshots.clone();
        if let Some(after) = after {
            let newer = snapshots.wait_for(|snapshot| snapshot.revision > after);
            let _ = tokio::time::timeout(HOLD, newer).await;
        }
        let snapshot = snapshots.borrow().clone();
        let started = snapshot.found.iter().filter_map(|(name, found)| {
            found.state.as_ref().map(|state| (name.clone(), state.started_at_ms))
        });
        let list = AgentList {
            revision: snapshot.revision,
            agents: (*snapshot.status).clone(),
            started_at_ms: started.collect(),
            replicas: self.replicas(),
        };
        json(StatusCode::OK, &list)
    }

    fn replicas(&self) -> BTreeMap<AgentName, Vec<AgentName>> {
        let mut replicas: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, agent) in &self.ledger.borrow().desired.agents {
            if *name != agent.of {
                replicas.entry(agent.of.clone()).or_default().push(name.clone());
            }
        }
        replicas
    }

    /// There is no agent that runs under a name.
    pub(super) fn unknown(&self, name: &str) -> Response<Body> {
        let replicas = self.replicas();
        let parts = name.parse::<AgentName>().ok().and_then(|name| replicas.get(&name));
        let error = match parts {
            Some(parts) => {
                let parts: Vec<_> = parts.iter().map(AgentName::as_str).collect();
                format!("agent '{name}' runs as {}; name one of these", parts.join(", "))
            }
            None => format!("agent '{name}' is not known on this node; see: skerry ps -a"),
        };
        refuse(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn detail(&self, name: &str) -> Response<Body> {
        let snapshot = self.snapshots.borrow().clone();
        let Ok(name) = name.parse::<AgentName>() else { return self.unknown(name) };
        let Some(status) = snapshot.status.get(&name) else { return self.unknown(name.as_str()) };
        let desired = self.ledger.borrow().desired.clone();
        let wanted = desired.agents.get(&name);
        let wanted = wanted.or_else(|| desired.jobs.get(&name).map(|job| &job.agent));
        let found = snapshot.found.get(&name);
        let state = found.and_then(|found| found.state.as_ref());
        let cgroups = state.map(|s| s.cgroups.iter().map(|c| c.display().to_string()).collect());
        let detail = AgentDetail {
            status: status.clone(),
            desired: wanted.map(|wanted| wanted.spec.clone()),
            running: found.map(|found| found.seen.spec.clone()),
            limits_in_force: state.map(limits_in_force),
            cgroups: cgroups.unwrap_or_default(),
            monitor_pid: state.and_then(|state| u32::try_from(state.monitor.pid).ok()),
            started_at_ms: state.map(|state| state.started_at_ms),
            shortfalls: state.map(shortfalls).unwrap_or_default(),
            history: self.containers.exits(&name),
            job: self.job(&name),
            run_dir: self.containers.run_dir(&name).display().to_string(),
            log_dir: self.containers.log_dir(&name).display().to_string(),
            name,
        };
        json(StatusCode::OK, &detail)
    }

    /// Has agents looked at, so that what nobody was told of is found now.
    async fn inspect(&self) {
        let (asked, done) = oneshot::channel();
        if self.door.try_send(Event::Inspect(asked)).is_ok() {
            let _ = tokio::time::timeout(INSPECT, done).await;
        }
    }

    pub(super) async fn apply(&self, bytes: &[u8]) -> Response<Body> {
        let apply: Apply = match reading::read(bytes) {
            Ok(apply) => apply,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("the request: {error}")),
        };
        let (before, dry_run) = (self.snapshots.borrow().revision, apply.dry_run);
        let mut response = answer(self.desk.apply(apply).await, before);
        if dry_run {
            response.extensions_mut().remove::<Changed>();
        }
        response
    }

    /// A signed document, from a stick: the same bytes and the same way as one from the broker. It needs no
    /// permission for local wishes, since whoever brings it has said nothing.
    pub(super) async fn take(&self, bytes: &[u8]) -> Response<Body> {
        match self.desk.bundle(bytes.to_vec()).await {
            Ok(fate) => json(StatusCode::OK, &fate),
            Err(error) => failed(&error),
        }
    }

    pub(super) async fn change(&self, name: &str, verb: &str) -> Response<Body> {
        let verb = match verb {
            "stop" => Verb::Stop,
            "start" => Verb::Start,
            "restart" => Verb::Restart,
            "remove" => Verb::Remove,
            other => return refuse(StatusCode::NOT_FOUND, format!("no such verb: {other}")),
        };
        let Ok(name) = name.parse() else { return self.unknown(name) };
        let before = self.snapshots.borrow().revision;
        answer(self.desk.change(name, verb).await, before)
    }

    pub(super) fn stats(&self) -> Response<Body> {
        let snapshot = self.snapshots.borrow().clone();
        let running = snapshot.found.iter().filter_map(|(name, found)| {
            let limits = limits_in_force(found.state.as_ref()?);
            let stats = skerry_runtime::stats(&self.containers.run_dir(name)).ok()?;
            let told = AgentStats {
                memory_bytes: Some(stats.memory_bytes),
                memory_limit_bytes: limits.memory.map(|m| m.0),
                cpu_usec: Some(stats.cpu_usec),
                pids: Some(stats.pids),
                pids_limit: limits.pids.map(u64::from),
                oom_kills: Some(stats.oom_kills),
                throttled_usec: Some(stats.throttled_usec),
                read_bytes: Some(stats.read_bytes),
                written_bytes: Some(stats.written_bytes),
            };
            Some((name.clone(), told))
        });
        json(StatusCode::OK, &StatsList { agents: running.collect() })
    }

    pub(super) async fn status(&self) -> Response<Body> {
        self.inspect().await;
        // Nobody looks at the disk while nothing is written: who asks wants to know it now.
        self.disk.look();
        let ledger = self.ledger.borrow().clone();
        let mut agents: BTreeMap<String, u32> = BTreeMap::new();
        for status in self.snapshots.borrow().status.values() {
            *agents.entry(status.state.to_string()).or_default() += 1;
        }
        let link = self.link.borrow().clone();
        let public = self.identity.public();
        let status = NodeStatus {
            node: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            public_key: public.to_hex(),
            key_id: public.id().as_str().to_owned(),
            document: ledger.document.as_ref().map(|document| DocumentInForce {
                version: document.get().version,
                digest: document.digest(),
                audience: document.get().audience.to_string(),
            }),
            refused: ledger.refused,
            trust: ledger.trust,
            link: link.as_ref().map_or_else(
                || "no broker configured".to_owned(),
                |link| words(&link.state().borrow()),
            ),
            outbox: link.map_or(0, |link| link.stats().borrow().queued as u64),
            agents,
            cgroup: self.cgroup.clone(),
            store_notice: self.store_notice.clone(),
            troubles: self.troubles.list(),
            local_wishes: ledger.local_allowed,
            down: self.snapshots.borrow().down,
        };
        json(StatusCode::OK, &status)
    }
}

fn words(state: &LinkState) -> String {
    match state {
        LinkState::Connecting { attempt, last: None } => format!("connecting (attempt {attempt})"),
        LinkState::Connecting { attempt, last: Some(why) } => {
            format!("connecting (attempt {attempt}; before: {why})")
        }
        LinkState::Connected { .. } => "connected".to_owned(),
        LinkState::Offline { reason, .. } => format!("offline: {reason}"),
    }
}

pub(super) fn answer(applied: Result<Applied, LedgerError>, revision: u64) -> Response<Body> {
    match applied {
        Ok(applied) => {
            let changed = in_words(&applied);
            let mut response = json(StatusCode::OK, &Applied { revision, ..applied });
            if let Some(changed) = changed {
                response.extensions_mut().insert(changed);
            }
            response
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &LedgerError) -> Response<Body> {
    let status = match error {
        LedgerError::Unknown(_) | LedgerError::UnknownConfig(_) => StatusCode::NOT_FOUND,
        LedgerError::NoLocal => StatusCode::FORBIDDEN,
        LedgerError::Fleet(..)
        | LedgerError::Part(..)
        | LedgerError::Needed(..)
        | LedgerError::Admit(_) => StatusCode::CONFLICT,
        LedgerError::Spec(_) => StatusCode::BAD_REQUEST,
        LedgerError::Random(_) | LedgerError::Closed => StatusCode::SERVICE_UNAVAILABLE,
        LedgerError::Store(StoreError::Disk { .. }) => StatusCode::INSUFFICIENT_STORAGE,
        LedgerError::Store(_)
        | LedgerError::Row(..)
        | LedgerError::Document(_)
        | LedgerError::Roots(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, error.to_string())
}

/// What a request changed, in words, on its answer's way to the audit log.
#[derive(Debug, Clone)]
pub(super) struct Changed(pub String);

fn in_words(applied: &Applied) -> Option<Changed> {
    let Applied { created, changed, removed, .. } = applied;
    let lists = [("created", created), ("changed", changed), ("removed", removed)];
    let told = lists.iter().filter(|(_, names)| !names.is_empty()).map(|(word, names)| {
        let names: Vec<_> = names.iter().map(AgentName::as_str).collect();
        format!("{word} {}", names.join(", "))
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| Changed(told.join("; ")))
}
