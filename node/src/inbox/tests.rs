//! The inbox on a store that fails when it is told to: nothing may show before it is durable.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{Timestamp, ToSpan};
use skerry_core::admit::Profile;
use skerry_core::agent::AgentSpec;
use skerry_core::bundle::{Address, Audience, Bundle, Images};
use skerry_core::document::{ApiVersion, Document};
use skerry_core::trust::catalogue::ImageNotes;
use skerry_core::trust::metadata::{Root, TargetMeta};
use skerry_core::trust::sign::{Authorities, Holders, Release, SignedRelease, SigningKey, sign};
use skerry_core::trust::{PublicKey, Roots};
use tokio::sync::watch;

use super::*;
use crate::ledger::{Belief, Public};
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

const DIRECTOR: u8 = 7;
const IMAGES: u8 = 8;

fn key(of: u8) -> SigningKey {
    SigningKey::from_bytes(&[of; 32])
}

/// The same for all of a test: what is signed twice for the same version must be the same, whatever second it is.
fn tomorrow() -> Timestamp {
    static TOMORROW: std::sync::LazyLock<Timestamp> =
        std::sync::LazyLock::new(|| Timestamp::now() + 24.hours());
    *TOMORROW
}

fn root(of: u8) -> String {
    let holders = Holders::one(PublicKey::of(&key(of)));
    let all = Authorities {
        root: holders.clone(),
        timestamp: holders.clone(),
        snapshot: holders.clone(),
        targets: holders,
    };
    sign(&Root::new(1, tomorrow(), &all), &[&key(of)]).unwrap()
}

fn release(of: u8, version: u64, listed: &BTreeMap<String, TargetMeta>) -> SignedRelease {
    release_until(of, version, listed, tomorrow())
}

fn release_until(
    of: u8,
    version: u64,
    listed: &BTreeMap<String, TargetMeta>,
    expires: Timestamp,
) -> SignedRelease {
    let signed = Release {
        version,
        timestamp_expires: expires,
        snapshot_expires: expires,
        targets_expires: expires,
        listed,
        timestamp_keys: &[&key(of)],
        snapshot_keys: &[&key(of)],
        targets_keys: &[&key(of)],
    };
    signed.sign().unwrap()
}

fn image() -> Digest {
    Digest::of(b"image")
}

/// A bundle in which the images repository lists these.
fn bundle_of(release_version: u64, version: u64, agents: &[&str], genuine: &[Digest]) -> Bundle {
    let audience = Address::Node("box-1".parse().unwrap());
    let document = Document {
        api_version: ApiVersion::V1,
        version,
        audience: audience.clone(),
        configs: BTreeMap::new(),
        agents: agents.iter().map(|n| AgentSpec::new(n.parse().unwrap(), image())).collect(),
    };
    let documents = BTreeMap::from([(audience.path(), document.to_bytes())]);
    let genuine = genuine.iter().map(|i| TargetMeta::of_image(i, 1, &ImageNotes::default()));
    let images = Images::new(Vec::new(), release(IMAGES, 1, &genuine.collect()));
    let director = release(DIRECTOR, release_version, &TargetMeta::of_all(&documents));
    let text = String::from_utf8(document.to_bytes()).unwrap();
    Bundle::new(vec![root(DIRECTOR)], director, images, &audience, text)
}

fn bundle(release: u64, version: u64, agents: &[&str]) -> Vec<u8> {
    bundle_of(release, version, agents, &[image()]).to_bytes().unwrap()
}

fn belief() -> Belief {
    let roots = Roots::new(root(DIRECTOR), root(IMAGES));
    Belief { roots: Some(Ok(roots)), ..Belief::default() }
}

fn ledger(store: &Arc<Faulty>) -> (Ledger, watch::Receiver<Public>) {
    let audience = Audience { node: "box-1".parse().unwrap(), groups: Vec::new() };
    Ledger::load(store.clone(), audience, belief(), true, Profile::default()).unwrap()
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
    let (mut ledger, _) =
        Ledger::load(store, audience, Belief::default(), true, Profile::default()).unwrap();
    let fate = take(&mut ledger, &bundle(1, 1, &[])).unwrap();
    assert!(matches!(fate, Fate::Refused(why) if why.contains("no trust root")));
}

#[test]
fn both_repositories_must_agree_and_the_one_that_refused_is_named() {
    let store = Arc::new(Faulty::default());
    let (mut ledger, public) = ledger(&store);
    let unlisted = bundle_of(1, 1, &["a"], &[Digest::of(b"other")]).to_bytes().unwrap();
    let fate = take(&mut ledger, &unlisted).unwrap();
    let Fate::Refused(why) = fate else { panic!("{fate:?}") };
    assert!(why.contains("agent 'a' names image") && why.contains("images repository"), "{why}");
    let mut stolen = bundle_of(2, 1, &["a"], &[image()]);
    // All that the director's keys can sign.
    let listed = BTreeMap::from([TargetMeta::of_image(&image(), 1, &ImageNotes::default())]);
    stolen.images.metadata = release(DIRECTOR, 2, &listed).into();
    let fate = take(&mut ledger, &stolen.to_bytes().unwrap()).unwrap();
    assert!(matches!(&fate, Fate::Refused(why) if why.starts_with("images: timestamp: 0 of 1")));
    assert_eq!(version(&public), None);
    let trust = public.borrow().trust.clone().unwrap();
    assert_eq!(trust.director.unwrap().timestamp, Some(2), "the director was believed, though");
    assert_eq!(trust.images.unwrap().timestamp, Some(1));
}

#[test]
fn a_node_put_back_from_a_backup_takes_the_newest_again_and_nothing_older() {
    let store = Arc::new(Faulty::default());
    let (mut first, _) = ledger(&store);
    assert!(matches!(take(&mut first, &bundle(1, 1, &["a"])).unwrap(), Fate::Accepted { .. }));
    let backup: Vec<_> = Space::ALL.map(|space| (space, store.scan(space).unwrap())).into();
    let newest = bundle(9, 4, &["b"]);
    assert!(matches!(take(&mut first, &newest).unwrap(), Fate::Accepted { version: 4, .. }));

    let old = Arc::new(Faulty::default());
    for (space, rows) in backup {
        let rows: Vec<_> = rows.into_iter().map(|(k, v)| Change::put(space, k, v)).collect();
        old.commit(&rows, Durability::Durable).unwrap();
    }
    let (mut restored, public) = ledger(&old);
    assert_eq!(version(&public), Some(1), "what ran then runs until the broker tells better");
    assert!(matches!(take(&mut restored, &newest).unwrap(), Fate::Accepted { version: 4, .. }));
    let replayed = take(&mut restored, &bundle(8, 3, &["c"])).unwrap();
    assert!(matches!(replayed, Fate::Refused(why) if why.contains("older than the trusted 9")));
    assert_eq!(version(&public), Some(4));
}

#[test]
fn a_row_of_one_repository_alone_is_read_beside_the_installed_roots() {
    let store = Arc::new(Faulty::default());
    let (mut first, _) = ledger(&store);
    assert!(matches!(take(&mut first, &bundle(5, 1, &[])).unwrap(), Fate::Accepted { .. }));
    let director = first.trust.as_ref().unwrap().director.clone();
    store.commit(&[put(Space::Trust, ONLY, &director)], Durability::Durable).unwrap();
    let (second, _) = ledger(&store);
    let trust = second.trust.unwrap();
    assert_eq!(trust.director, director, "versions still do not go back");
    assert_eq!(trust.images.root, root(IMAGES));
}
