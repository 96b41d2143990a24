//! The ledger: the one task that may change what is desired.
//!
//! It owns the accepted document, the local wishes and the trusted metadata. Every change is
//! committed first, then published to the reconciler, then answered. Documents go through
//! [`crate::inbox`]; local wishes are handled in `wishes.rs`.

pub mod refusals;
mod roots;
pub mod time;
mod wishes;

use std::collections::BTreeMap;
use std::sync::Arc;

use skerry_core::accept::{Accepted, Ledger as Record, Refusal};
use skerry_core::admit::{AdmitError, Profile};
use skerry_core::agent::SpecError;
use skerry_core::bundle::Audience;
use skerry_core::desired::{Desired, LocalWish, Wishes};
use skerry_core::document::{Configs, Document};
use skerry_core::ids::{AgentName, DataKey, DataName};
use skerry_core::report::{RefusedDocument, TrustState, TrustedFiles};
use skerry_core::trust::floor::{Floor, Policy};
use skerry_core::trust::{Repositories, Roots, RootsError};
use tokio::sync::{mpsc, oneshot, watch};

use self::refusals::Refusals;
use self::time::{Time, TimeRequest};
use crate::api::{Applied, Apply};
use crate::audit::Audit;
use crate::store::{Change, Durability, Space, Store, StoreError};
use crate::{clock, inbox};

/// What a node without roots says to every document.
const NO_ROOT: &str = "this node has no trust root; set trust.root in its configuration";

/// The key of rows that stand alone in their space.
pub const ONLY: &[u8] = b"current";

/// Why a request to the ledger was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store failed; nothing was acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row in the store is not what was written there.
    #[error("state: the row '{0}' cannot be read: {1}")]
    Row(&'static str, serde_json::Error),
    /// The document in the store is not what was accepted.
    #[error("state: the document in force cannot be read: {0}")]
    Document(#[from] Refusal),
    /// The file of roots cannot be followed.
    #[error("trust.root {0}; the roots that are kept stay in force")]
    Roots(#[from] RootsError),
    /// The specs cannot be followed.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// They do not fit into this node.
    #[error(transparent)]
    Admit(#[from] AdmitError),
    /// Nobody made it here.
    #[error("config '{0}' is not known on this node; see: skerry config ls")]
    UnknownConfig(DataName),
    /// Local wishes are switched off.
    #[error(
        "local agents are switched off on this node; set local.wishes = true in its configuration, or use the fleet"
    )]
    NoLocal,
    /// The name is the fleet's.
    #[error("agent '{0}' belongs to the fleet's document (version {1}); change it there")]
    Fleet(AgentName, u64),
    /// Nobody wishes it here.
    #[error("agent '{0}' is not known on this node; see: skerry ps -a")]
    Unknown(AgentName),
    /// One of several that stand for one wish.
    #[error("'{0}' is a part of '{1}' (a replica, or a run of a job); name '{1}' instead")]
    Part(AgentName, AgentName),
    /// Another local agent needs it.
    #[error("agent '{0}' is needed by '{1}', which depends on it; remove that first, or together")]
    Needed(AgentName, AgentName),
    /// The kernel gives no random numbers.
    #[error("no random numbers to ask for the time with: {0}")]
    Random(getrandom::Error),
    /// The node ends.
    #[error("the node is shutting down")]
    Closed,
}

/// What the ledger is asked.
pub enum Request {
    /// A bundle came, by whatever way.
    Bundle {
        /// Its bytes as received.
        bytes: Vec<u8>,
        /// Answered when its fate is durable.
        done: oneshot::Sender<Result<inbox::Fate, LedgerError>>,
    },
    /// Somebody on the node wants agents.
    Apply(Apply, oneshot::Sender<Result<Applied, LedgerError>>),
    /// Somebody wants to know whether the ledger still works.
    Pulse(oneshot::Sender<Result<(), LedgerError>>),
    /// Somebody on the node sets a config, or removes it.
    Config(
        DataName,
        Option<BTreeMap<DataKey, String>>,
        oneshot::Sender<Result<Applied, LedgerError>>,
    ),
    /// What agents may take has changed, and whether somebody on the node may want any.
    Settle(Profile, bool, oneshot::Sender<Result<(), LedgerError>>),
    /// Something about the time.
    Time(TimeRequest),
    /// Somebody on the node changes one agent.
    Change(AgentName, Verb, oneshot::Sender<Result<Applied, LedgerError>>),
}

/// What can be done to one local agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Stop it and keep it stopped.
    Stop,
    /// Start it again.
    Start,
    /// Run it anew.
    Restart,
    /// Forget it.
    Remove,
}

/// What others may see of the ledger.
#[derive(Debug, Clone, Default)]
pub struct Public {
    /// What must be.
    pub desired: Arc<Desired>,
    /// The document in force.
    pub document: Option<Arc<Accepted<Document>>>,
    /// The last refusals.
    pub refused: Vec<RefusedDocument>,
    /// The configs of local agents.
    pub configs: Arc<Configs>,
    /// What the node gives to agents.
    pub profile: Arc<Profile>,
    /// Whether somebody on the node may want agents.
    pub local_allowed: bool,
    /// What is trusted, and by which time.
    pub trust: Option<Arc<TrustState>>,
    /// Whether a document was refused for the time alone.
    pub waits_for_time: bool,
}

/// What a node is told to believe.
#[derive(Debug, Clone, Default)]
pub struct Belief {
    /// The first roots of both repositories; or why there are none.
    pub roots: Option<Result<Roots, String>>,
    /// What is done with what is not proven to be fresh.
    pub unproven: Policy,
}

/// What a bundle taught, whether it was refused or not.
#[derive(Debug)]
pub struct Learned {
    /// What is trusted now, if that has changed, and what there is to tell of it.
    pub trust: Option<(Repositories, [Option<TrustedFiles>; 2])>,
    /// The clock floor.
    pub floor: Option<Floor>,
}

/// The ledger's own state; all of it is in the store too.
pub struct Ledger {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) audit: Audit,
    pub(crate) audience: Audience,
    pub(crate) trust: Option<Repositories>,
    /// The file of roots, until it is compared with what is trusted.
    installed: Option<Roots>,
    /// Why nothing is trusted, if so.
    pub(crate) no_trust: String,
    pub(crate) unproven: Policy,
    pub(crate) time: Time,
    files: [Option<TrustedFiles>; 2],
    pub(crate) document: Option<Arc<Accepted<Document>>>,
    pub(crate) refused: Refusals,
    pub(crate) profile: Profile,
    local: BTreeMap<AgentName, LocalWish>,
    local_configs: Configs,
    local_allowed: bool,
    public: watch::Sender<Public>,
}

impl Ledger {
    /// Reads the ledger from the store. The roots of `belief` are those that were installed, used when the
    /// store has no newer ones.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(
        store: Arc<dyn Store>,
        audience: Audience,
        belief: Belief,
        local_allowed: bool,
        profile: Profile,
    ) -> Result<(Self, watch::Receiver<Public>), LedgerError> {
        let Belief { roots, unproven } = belief;
        let (roots, no_trust) = match roots {
            Some(Ok(roots)) => (Some(roots), String::new()),
            Some(Err(why)) => (None, format!("this node's trust root cannot be used: {why}")),
            None => (None, NO_ROOT.to_owned()),
        };
        let trust = roots::trusted(&*store, roots.clone())?;
        let time = Time::load(&*store)?;
        let record: Option<Record> = row(&*store, Space::Document, "document")?;
        let document = record.map(|record| record.read()).transpose()?.map(Arc::new);
        let refused = match row(&*store, Space::Refused, "refused") {
            // They are for people: what is desired is known without them.
            Err(LedgerError::Store(error)) if error.fault().is_some() => Vec::new(),
            read => read?.unwrap_or_default(),
        };
        let mut local = BTreeMap::new();
        for (_, value) in store.scan(Space::Local)? {
            let wish: LocalWish =
                serde_json::from_slice(&value).map_err(|e| LedgerError::Row("local", e))?;
            local.insert(wish.spec.name.clone(), wish);
        }
        let mut local_configs = Configs::new();
        for (key, value) in store.scan(Space::Config)? {
            let name = String::from_utf8_lossy(&key).parse();
            let values = serde_json::from_slice(&value);
            let values = values.map_err(|e| LedgerError::Row("config", e))?;
            // What was written had a name.
            if let Ok(name) = name {
                local_configs.insert(name, values);
            }
        }
        let (public, seen) = watch::channel(Public::default());
        let files = roots::files(trust.as_ref());
        let ledger = Self {
            store,
            audit: Audit::default(),
            audience,
            trust,
            installed: roots,
            no_trust,
            unproven,
            time,
            files,
            document,
            refused: Refusals::new(refused),
            profile,
            local,
            local_configs,
            local_allowed,
            public,
        };
        ledger.publish();
        Ok((ledger, seen))
    }

    /// Has what is accepted and refused written to this log, and follows the file of roots.
    #[must_use]
    pub fn audited(self, audit: Audit) -> Self {
        let mut ledger = Self { audit, ..self };
        if let Some(roots) = ledger.installed.take()
            && let Err(error) = ledger.install(roots)
        {
            tracing::error!(%error, "trust.root is not followed; the next start tries again");
        }
        // A power cut between a document's commit and its entry has left the log behind.
        if let Some(document) = &ledger.document
            && !ledger.audit.has_accepted(document.digest())
        {
            ledger.audit.note(inbox::event(document).detail("found in force by this start"));
            ledger.audit.settle();
        }
        ledger.publish();
        ledger
    }

    /// Serves requests until every sender is gone.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Bundle { bytes, done } => {
                    let _ = done.send(inbox::take(&mut self, &bytes));
                }
                Request::Apply(apply, done) => drop(done.send(self.apply(apply))),
                Request::Pulse(done) => drop(done.send(Ok(()))),
                Request::Config(name, values, done) => {
                    drop(done.send(self.configure(name, values)));
                }
                Request::Settle(profile, local_allowed, done) => {
                    (self.profile, self.local_allowed) = (profile, local_allowed);
                    self.publish();
                    let _ = done.send(Ok(()));
                }
                Request::Time(request) => self.serve_time(request),
                Request::Change(name, verb, done) => drop(done.send(self.change(&name, verb))),
            }
        }
    }

    /// Makes changes durable.
    pub(crate) fn commit(&self, changes: &[Change]) -> Result<(), LedgerError> {
        Ok(self.store.commit(changes, Durability::Durable)?)
    }

    /// The rows that keep what was learned.
    pub(crate) fn changes(&self, learned: &Learned) -> Vec<Change> {
        let trust = learned.trust.iter().map(|(trust, _)| put(Space::Trust, ONLY, trust));
        let floor = learned.floor.iter().filter_map(|floor| self.time.change(floor));
        trust.chain(floor).collect()
    }

    /// Takes what was learned; its rows have been written.
    pub(crate) fn learn(&mut self, learned: Learned) {
        if let Some((trust, files)) = learned.trust {
            self.note_roots(&trust, None);
            (self.trust, self.files) = (Some(trust), files);
        }
        if let Some(floor) = learned.floor {
            self.time.learn(floor);
        }
    }

    /// Tells everybody what is desired now.
    pub(crate) fn publish(&self) {
        self.show(true);
    }

    /// Shows whoever looks how things are, and calls for attention where that is worth it.
    pub(crate) fn show(&self, is_news: bool) {
        let wishes: Vec<_> = self.local.values().cloned().collect();
        let wishes = Wishes {
            document: self.document.as_deref(),
            local: &wishes,
            local_configs: Some(&self.local_configs),
        };
        let desired = Arc::new(Desired::merge(wishes, &self.profile));
        let (document, refused) = (self.document.clone(), self.refused.list());
        let configs = Arc::new(self.local_configs.clone());
        let (profile, local_allowed) = (Arc::new(self.profile.clone()), self.local_allowed);
        let [director, images] = self.files;
        let time = self.time.state(clock::moment());
        self.audit.believes(time.freshness);
        let trust = TrustState { time, director, images };
        let public = Public {
            desired,
            document,
            refused,
            configs,
            profile,
            local_allowed,
            trust: Some(Arc::new(trust)),
            waits_for_time: self.time.is_doubted(),
        };
        self.public.send_if_modified(|shown| {
            let is_news = is_news || shown.waits_for_time != public.waits_for_time;
            *shown = public;
            is_news
        });
    }
}

fn row<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    space: Space,
    what: &'static str,
) -> Result<Option<T>, LedgerError> {
    let value = store.get(space, ONLY)?;
    value.map(|v| serde_json::from_slice(&v).map_err(|e| LedgerError::Row(what, e))).transpose()
}

/// A row to write, in JSON.
pub(crate) fn put<T: serde::Serialize>(space: Space, key: &[u8], value: &T) -> Change {
    // Every row is a struct of strings, numbers and lists: serialising cannot fail.
    Change::put(space, key, serde_json::to_vec(value).unwrap_or_default())
}

/// The way to the ledger. Clones lead to the same one.
#[derive(Clone)]
pub struct Desk(mpsc::Sender<Request>);

impl Desk {
    /// A way to a ledger that will read `requests`.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(16);
        (Self(sender), receiver)
    }

    /// Hands in a bundle, and waits until its fate is durable.
    ///
    /// # Errors
    /// Its fate could not be made durable: it must not be acknowledged.
    pub async fn bundle(&self, bytes: Vec<u8>) -> Result<inbox::Fate, LedgerError> {
        self.ask(|done| Request::Bundle { bytes, done }).await
    }

    /// Hands in local wishes.
    ///
    /// # Errors
    /// They were refused, or could not be made durable.
    pub async fn apply(&self, apply: Apply) -> Result<Applied, LedgerError> {
        self.ask(|done| Request::Apply(apply, done)).await
    }

    /// Changes one local agent.
    ///
    /// # Errors
    /// It was refused, or could not be made durable.
    pub async fn change(&self, name: AgentName, verb: Verb) -> Result<Applied, LedgerError> {
        self.ask(|done| Request::Change(name, verb, done)).await
    }

    /// Sets a config of local agents, or removes it.
    ///
    /// # Errors
    /// It was refused, or could not be made durable.
    pub async fn config(
        &self,
        name: DataName,
        values: Option<BTreeMap<DataKey, String>>,
    ) -> Result<Applied, LedgerError> {
        self.ask(|done| Request::Config(name, values, done)).await
    }

    /// Changes what agents may take, and whether somebody on the node may want any.
    ///
    /// # Errors
    /// The ledger is gone.
    pub async fn settle(&self, profile: Profile, local_allowed: bool) -> Result<(), LedgerError> {
        self.ask(|done| Request::Settle(profile, local_allowed, done)).await
    }

    /// Opens a question for the time, if one is due: its nonce.
    ///
    /// # Errors
    /// There are no random numbers, or the ledger is gone.
    pub async fn ask_time(&self) -> Result<Option<String>, LedgerError> {
        self.ask(|done| Request::Time(TimeRequest::Ask(done))).await
    }

    /// Hands in what may be a signed time. Whether a document deserves another look.
    ///
    /// # Errors
    /// It could not be made durable, or the ledger is gone.
    pub async fn answer_time(&self, bytes: Vec<u8>) -> Result<bool, LedgerError> {
        self.ask(|done| Request::Time(TimeRequest::Answer(bytes, done))).await
    }

    /// Keeps the clock, if it is worth it. Whether a document deserves another look.
    ///
    /// # Errors
    /// It could not be made durable, or the ledger is gone.
    pub async fn keep_time(&self) -> Result<bool, LedgerError> {
        self.ask(|done| Request::Time(TimeRequest::Keep(done))).await
    }

    /// Waits until the ledger has answered.
    ///
    /// # Errors
    /// It is gone.
    pub async fn pulse(&self) -> Result<(), LedgerError> {
        self.ask(Request::Pulse).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> Request,
    ) -> Result<T, LedgerError> {
        let (done, answer) = oneshot::channel();
        self.0.send(request(done)).await.map_err(|_| LedgerError::Closed)?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }
}
