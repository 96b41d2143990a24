//! The inbox on a store that fails when it is told to: nothing may show before it is durable.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jiff::{Timestamp, ToSpan};
use skerry_core::admit::Profile;
use skerry_core::agent::AgentSpec;
use skerry_core::audit::entries;
use skerry_core::bundle::{Address, Audience, Bundle, Images};
use skerry_core::document::{ApiVersion, Document};
use skerry_core::report::REFUSED_MAX;
use skerry_core::trust::catalogue::ImageNotes;
use skerry_core::trust::metadata::{Root, TargetMeta};
use skerry_core::trust::sign::{Authorities, Holders, Release, SignedRelease, SigningKey, sign};
use skerry_core::trust::{PublicKey, Roots};
use tokio::sync::watch;

use super::*;
use crate::audit::Audit;
use crate::identity::Identity;
use crate::ledger::{Belief, Public};
use crate::store::memory::MemoryStore;
use crate::store::{Change, Durability, Row, Store, StoreError};

#[derive(Default)]
struct Faulty {
    rows: MemoryStore,
    commits: AtomicUsize,
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
        self.commits.fetch_add(1, Ordering::Relaxed);
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
    next_root(of, 1, &[of])
}

/// A root of one key for all roles, signed by these.
fn next_root(of: u8, version: u64, by: &[u8]) -> String {
    let holders = Holders::one(PublicKey::of(&key(of)));
    let all = Authorities {
        root: holders.clone(),
        timestamp: holders.clone(),
        snapshot: holders.clone(),
        targets: holders,
    };
    let by: Vec<_> = by.iter().map(|of| key(*of)).collect();
    sign(&Root::new(version, tomorrow(), &all), &by.iter().collect::<Vec<_>>()).unwrap()
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
    let director = |listed: &_| release(DIRECTOR, release_version, listed);
    bundle_by(director, version, agents, genuine)
}

/// The same, released by somebody.
fn bundle_by(
    director: impl FnOnce(&BTreeMap<String, TargetMeta>) -> SignedRelease,
    version: u64,
    agents: &[&str],
    genuine: &[Digest],
) -> Bundle {
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
    let director = director(&TargetMeta::of_all(&documents));
    let text = String::from_utf8(document.to_bytes()).unwrap();
    Bundle::new(vec![root(DIRECTOR)], director, images, &audience, text)
}

fn bundle(release: u64, version: u64, agents: &[&str]) -> Vec<u8> {
    bundle_of(release, version, agents, &[image()]).to_bytes().unwrap()
}

fn ledger(store: &Arc<Faulty>) -> (Ledger, watch::Receiver<Public>) {
    began(store, Roots::new(root(DIRECTOR), root(IMAGES)), Audit::default())
}

/// As a node begins, with a file of roots.
fn began(store: &Arc<Faulty>, roots: Roots, audit: Audit) -> (Ledger, watch::Receiver<Public>) {
    let audience = Audience { node: "box-1".parse().unwrap(), groups: Vec::new() };
    let belief = Belief { roots: Some(Ok(roots)), ..Belief::default() };
    let (ledger, public) =
        Ledger::load(store.clone(), audience, belief, true, Profile::default()).unwrap();
    (ledger.audited(audit), public)
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

#[test]
fn a_flood_of_garbage_is_shown_and_neither_written_nor_reported_without_end() {
    let store = Arc::new(Faulty::default());
    let (mut ledger, mut public) = ledger(&store);
    let before = store.commits.load(Ordering::Relaxed);
    let mut reports = 0;
    for i in 0..200_u8 {
        let _ = take(&mut ledger, &[i]).unwrap();
        reports += u32::from(public.has_changed().unwrap());
        public.mark_unchanged();
    }
    assert_eq!((store.commits.load(Ordering::Relaxed) - before, reports), (16, 16));
    let newest = public.borrow().refused.last().unwrap().digest;
    assert_eq!(newest, Digest::of(&[199]), "whoever looks sees the newest");
    let fate = take(&mut ledger, &bundle(1, 1, &["a"])).unwrap();
    assert!(matches!(fate, Fate::Accepted { .. }), "a document is taken all the same");
}

#[test]
fn a_refusal_without_room_for_its_row_is_acknowledged_and_told() {
    let store = Arc::new(Faulty::default());
    let (mut ledger, public) = ledger(&store);
    store.broken.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert!(matches!(take(&mut ledger, b"garbage").unwrap(), Fate::Refused(_)));
    }
    assert_eq!(public.borrow().refused[0].count, 2);
    // What moves versions ahead must be durable first, whatever becomes of its document.
    let unlisted = bundle_of(1, 1, &["a"], &[]).to_bytes().unwrap();
    assert!(take(&mut ledger, &unlisted).is_err());
}

/// A ledger to which a thief of the timestamp key has told a time that is far ahead.
fn pushed(store: &Arc<Faulty>) -> (Ledger, watch::Receiver<Public>) {
    let (mut ledger, public) = ledger(store);
    let (moment, far) = (clock::moment(), tomorrow() + 240.hours());
    let floor = ledger.time.now(moment).floor.with_signed(far, true);
    let _ = ledger.time.answered(far, moment.tick, floor);
    (ledger, public)
}

/// A bundle whose director has changed all of its keys.
fn rotated(expires: Timestamp) -> Vec<u8> {
    let owner = |listed: &_| release_until(9, 1, listed, expires);
    let mut bundle = bundle_by(owner, 1, &["a"], &[image()]);
    bundle.director.roots.push(next_root(9, 2, &[DIRECTOR, 9]));
    bundle.to_bytes().unwrap()
}

#[test]
fn a_time_that_a_stolen_key_signed_does_not_judge_the_bundle_that_takes_the_key_away() {
    let store = Arc::new(Faulty::default());
    let (mut ledger, public) = pushed(&store);
    let fate = take(&mut ledger, &bundle(1, 1, &["a"])).unwrap();
    assert!(matches!(fate, Fate::Refused(why) if why.contains("expired")), "it is far ahead");
    let fate = take(&mut ledger, &rotated(tomorrow())).unwrap();
    assert!(matches!(fate, Fate::Accepted { version: 1, .. }), "{fate:?}");
    assert!(!public.borrow().waits_for_time);
}

#[test]
fn a_refusal_is_doubted_by_the_time_that_is_left_after_its_keys_were_taken_away() {
    let store = Arc::new(Faulty::default());
    let (mut ledger, public) = pushed(&store);
    let fate = take(&mut ledger, &rotated(tomorrow() - 48.hours())).unwrap();
    assert!(matches!(fate, Fate::Refused(why) if why.contains("timestamp expired")));
    assert!(public.borrow().waits_for_time, "another time may judge it otherwise");
}

#[test]
fn another_file_of_roots_takes_the_place_of_what_was_trusted() {
    let store = Arc::new(Faulty::default());
    let roots = || Roots::new(root(9), root(IMAGES));
    let (mut first, _) = pushed(&store);
    first.time.learn(first.time.now(clock::moment()).without_signed().floor);
    let thief = bundle(5, 9_000_000, &["a"]);
    assert!(matches!(take(&mut first, &thief).unwrap(), Fate::Accepted { .. }));
    let (mut second, public) = began(&store, roots(), Audit::default());
    let trust = second.trust.clone().unwrap();
    assert_eq!((&trust.director.root, &trust.director.timestamp), (&root(9), &None));
    assert_eq!(trust.images, first.trust.clone().unwrap().images, "these keys are the same");
    assert_eq!(version(&public), Some(9_000_000), "what runs goes on");
    let owner = |listed: &_| release(9, 1, listed);
    let theirs = bundle_by(owner, 1, &["a"], &[image()]).to_bytes().unwrap();
    assert!(matches!(take(&mut second, &theirs).unwrap(), Fate::Accepted { version: 1, .. }));
    assert!(matches!(take(&mut second, &thief).unwrap(), Fate::Refused(_)));
    let (third, _) = began(&store, roots(), Audit::default());
    assert_eq!(third.trust, second.trust, "it is followed once");
}

#[test]
fn a_row_of_before_the_file_of_roots_was_noted_stays_as_it_is() {
    let store = Arc::new(Faulty::default());
    let (mut first, _) = ledger(&store);
    let _ = take(&mut first, &bundle(5, 1, &[])).unwrap();
    let trust = first.trust.clone();
    let old = Arc::new(Faulty::default());
    old.commit(&[put(Space::Trust, ONLY, trust.as_ref().unwrap())], Durability::Durable).unwrap();
    let other = || Roots::new(root(9), root(IMAGES));
    let (second, _) = began(&old, other(), Audit::default());
    assert_eq!(second.trust, trust, "nobody knows which file it began with");
    let (third, _) = began(&old, Roots::new(root(10), root(IMAGES)), Audit::default());
    assert_eq!(third.trust.unwrap().director.root, root(10));
}

#[test]
fn a_file_of_roots_that_are_none_takes_nothing_away() {
    let store = Arc::new(Faulty::default());
    let (mut first, _) = ledger(&store);
    let _ = take(&mut first, &bundle(1, 1, &[])).unwrap();
    let unsigned = Roots::new(next_root(9, 1, &[DIRECTOR]), root(IMAGES));
    let (second, _) = began(&store, unsigned, Audit::default());
    assert_eq!(second.trust, first.trust);
    store.broken.store(true, Ordering::Relaxed);
    let other = || Roots::new(root(9), root(IMAGES));
    let (third, _) = began(&store, other(), Audit::default());
    assert_eq!(third.trust, first.trust, "nor one that cannot be kept");
    store.broken.store(false, Ordering::Relaxed);
    let (fourth, _) = began(&store, other(), Audit::default());
    assert_eq!(fourth.trust.unwrap().director.root, root(9), "the next start follows it");
}

#[test]
fn what_the_audit_log_missed_of_a_document_or_root_is_told_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(folder.path()).unwrap());
    let audit = || Audit::open(folder.path(), identity.clone(), "box-1".parse().unwrap());
    let told = |kind| {
        let entries = entries(&audit().export().unwrap()).into_iter();
        entries.filter(|entry| entry.event.kind == kind).map(|e| e.event).collect::<Vec<_>>()
    };
    let store = Arc::new(Faulty::default());
    let (mut lost, _) = ledger(&store);
    let _ = take(&mut lost, &bundle(1, 1, &["a"])).unwrap();
    let roots = |director| Roots::new(root(director), root(IMAGES));
    for _ in 0..2 {
        let _ = began(&store, roots(DIRECTOR), audit());
        let accepted = told(Kind::Accepted);
        assert_eq!(accepted.len(), 1, "{accepted:?}");
        assert_eq!((accepted[0].version, accepted[0].by.len()), (Some(1), 1));
    }
    let _ = began(&store, roots(9), audit());
    let [root] = &told(Kind::Root)[..] else { panic!("one root was put in place") };
    assert_eq!((&*root.subject, root.version), ("director", Some(1)));
    assert!(root.detail.as_deref().is_some_and(|text| text.contains("trust.root")), "{root:?}");
}
