//! The inbox on a store that fails when it is told to: nothing may show before it is durable.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{Timestamp, ToSpan};
use skerry_core::admit::Profile;
use skerry_core::agent::AgentSpec;
use skerry_core::bundle::{Address, Audience, Bundle};
use skerry_core::document::{ApiVersion, Document};
use skerry_core::trust::PublicKey;
use skerry_core::trust::metadata::Root;
use skerry_core::trust::sign::{Authorities, Holders, Release, SigningKey, sign};
use tokio::sync::watch;

use super::*;
use crate::ledger::Public;
use crate::store::memory::MemoryStore;
use crate::store::{Change, Durability, Row, Store, StoreError};

#[derive(Default)]
struct Faulty {
    rows: MemoryStore,
    broken: AtomicBool,
}

impl Store for Faulty {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.rows.get(space, key)
    }
    fn scan(&self, space: Space) -> Result<Vec<Row>, StoreError> {
        self.rows.scan(space)
    }
    fn commit(&self, changes: &[Change], durability: Durability) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(StoreError::Io { operation: "write", path: "state".into(), source });
        }
        self.rows.commit(changes, durability)
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn root() -> String {
    let holders = Holders::one(PublicKey::of(&key()));
    let all = Authorities {
        root: holders.clone(),
        timestamp: holders.clone(),
        snapshot: holders.clone(),
        targets: holders,
    };
    sign(&Root::new(1, Timestamp::now() + 24.hours(), &all), &[&key()]).unwrap()
}

fn bundle(release: u64, version: u64, agents: &[&str]) -> Vec<u8> {
    let audience = Address::Node("box-1".parse().unwrap());
    let image = Digest::of(b"image");
    let document = Document {
        api_version: ApiVersion::V1,
        version,
        audience: audience.clone(),
        configs: BTreeMap::new(),
        agents: agents.iter().map(|n| AgentSpec::new(n.parse().unwrap(), image)).collect(),
    };
    let expires = Timestamp::now() + 24.hours();
    let documents = BTreeMap::from([(audience.path(), document.to_bytes())]);
    let signed = Release {
        version: release,
        timestamp_expires: expires,
        snapshot_expires: expires,
        targets_expires: expires,
        documents: &documents,
        timestamp_keys: &[&key()],
        snapshot_keys: &[&key()],
        targets_keys: &[&key()],
    };
    let text = String::from_utf8(document.to_bytes()).unwrap();
    let bundle = Bundle::new(vec![root()], signed.sign().unwrap(), &audience, text);
    bundle.to_bytes().unwrap()
}

fn ledger(store: &Arc<Faulty>) -> (Ledger, watch::Receiver<Public>) {
    let audience = Audience { node: "box-1".parse().unwrap(), groups: Vec::new() };
    Ledger::load(store.clone(), audience, Some(root()), true, Profile::default()).unwrap()
}

fn version(public: &watch::Receiver<Public>) -> Option<u64> {
    public.borrow().document.as_ref().map(|document| document.get().version)
}

#[test]
fn an_accepted_document_is_in_force_after_a_restart() {
    let store = Arc::new(Faulty::default());
    let (mut first, public) = ledger(&store);
    let fate = take(&mut first, &bundle(1, 1, &["a"])).unwrap();
    assert!(matches!(fate, Fate::Accepted { version: 1, .. }));
    assert_eq!(version(&public), Some(1));
    assert_eq!(take(&mut first, &bundle(1, 1, &["a"])).unwrap(), Fate::Unchanged);
    let (mut second, public) = ledger(&store);
    assert_eq!(version(&public), Some(1));
    assert!(public.borrow().desired.agents.keys().any(|name| name.as_str() == "a"));
    let older = take(&mut second, &bundle(2, 0, &[])).unwrap();
    assert!(matches!(older, Fate::Refused(why) if why.contains("older than version 1")));
}

#[test]
fn what_could_not_be_kept_takes_no_effect_and_is_not_acknowledged() {
    let store = Arc::new(Faulty::default());
    let (mut ledger, public) = ledger(&store);
    store.broken.store(true, Ordering::Relaxed);
    assert!(take(&mut ledger, &bundle(1, 1, &["a"])).is_err());
    assert_eq!(version(&public), None);
    assert!(public.borrow().desired.agents.is_empty());
    store.broken.store(false, Ordering::Relaxed);
    let again = take(&mut ledger, &bundle(1, 1, &["a"])).unwrap();
    assert!(matches!(again, Fate::Accepted { .. }), "it comes again, and is taken then");
}

#[test]
fn a_refusal_is_kept_once_and_counted() {
    let store = Arc::new(Faulty::default());
    let (mut ledger, public) = ledger(&store);
    for _ in 0..3 {
        let fate = take(&mut ledger, b"garbage").unwrap();
        assert!(matches!(fate, Fate::Refused(why) if why.contains("not a readable bundle")));
    }
    assert_eq!(public.borrow().refused.len(), 1);
    for i in 0..20u8 {
        let _ = take(&mut ledger, &[i]).unwrap();
    }
    assert_eq!(public.borrow().refused.len(), REFUSED_MAX, "the list of refusals is bounded");
}

#[test]
fn metadata_that_was_believed_stays_believed_when_its_document_is_refused() {
    let store = Arc::new(Faulty::default());
    let (mut first, _) = ledger(&store);
    assert!(matches!(take(&mut first, &bundle(5, 2, &[])).unwrap(), Fate::Accepted { .. }));
    assert!(matches!(take(&mut first, &bundle(6, 1, &[])).unwrap(), Fate::Refused(_)));
    let (mut second, _) = ledger(&store);
    let replayed = take(&mut second, &bundle(5, 3, &[])).unwrap();
    assert!(matches!(replayed, Fate::Refused(why) if why.contains("timestamp version 5")));
}

#[test]
fn a_node_without_a_root_takes_nothing() {
    let audience = Audience { node: "box-1".parse().unwrap(), groups: Vec::new() };
    let store = Arc::new(Faulty::default());
    let (mut ledger, _) = Ledger::load(store, audience, None, true, Profile::default()).unwrap();
    let fate = take(&mut ledger, &bundle(1, 1, &[])).unwrap();
    assert!(matches!(fate, Fate::Refused(why) if why.contains("no trust root")));
}
