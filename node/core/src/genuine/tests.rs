//! Both repositories together: what a thief of the director's keys can reach, and what an owner can take back.

use std::collections::BTreeMap;

use crate::accept::{self, Accepted, Ledger, Refusal, Verdict};
use crate::agent::AgentSpec;
use crate::bundle::{Address, Audience, Bundle, Outcome, verify};
use crate::document::{ApiVersion, Document};
use crate::ids::Digest;
use crate::trust::tests::repository::*;
use crate::trust::{Now, Repositories, Roots};

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// A node with its two repositories, as whoever holds their keys sees it.
struct World {
    director: Repository,
    images: Repository,
    trust: Repositories,
    force: Option<Accepted<Document>>,
    now: Now,
}

impl World {
    fn new() -> Self {
        let director = Repository::new();
        let images = Repository::of_images(vec![digest("genuine"), digest("other")]);
        let trust = Roots::new(director.root_file(), images.root_file()).into();
        Self { director, images, trust, force: None, now: now().into() }
    }

    fn bundle(&mut self, roots: Vec<String>, version: u64, images: &[&str]) -> Vec<u8> {
        let audience = Address::Node("box-17".parse().unwrap());
        let agent = |image: &&str| AgentSpec::new(image.parse().unwrap(), digest(image));
        let document = Document {
            api_version: ApiVersion::V1,
            version,
            audience: audience.clone(),
            configs: BTreeMap::new(),
            agents: images.iter().map(agent).collect(),
        };
        let text = String::from_utf8(document.to_bytes()).unwrap();
        self.director.documents = BTreeMap::from([(audience.path(), text.clone().into_bytes())]);
        let release = self.director.release();
        let bundle = Bundle::new(roots, release, self.images.images(), &audience, text);
        bundle.to_bytes().unwrap()
    }

    /// What a node says to a bundle; it keeps what it learned.
    fn take(&mut self, bundle: &[u8]) -> Result<u64, String> {
        let audience = Audience { node: "box-17".parse().unwrap(), groups: Vec::new() };
        let Outcome { trust, floor, result, .. } = verify(&self.trust, bundle, &audience, self.now);
        (self.trust, self.now.floor) = (trust, floor);
        let delivery = result.map_err(|why| why.to_string())?;
        match accept::judge(self.force.as_ref(), &delivery) {
            Ok(Verdict::Next(accepted)) => {
                let record = Ledger::of(&accepted, &delivery.document).unwrap();
                let record = serde_json::to_string(&record).unwrap();
                let record: Ledger = serde_json::from_str(&record).unwrap();
                self.force = Some(record.read().unwrap());
                Ok(accepted.get().version)
            }
            Ok(Verdict::Unchanged) => Ok(self.force.as_ref().unwrap().get().version),
            Err(why) => {
                assert!(!matches!(why, Refusal::Document(_)), "{why}");
                Err(why.to_string())
            }
        }
    }

    fn offer(&mut self, version: u64, images: &[&str]) -> Result<u64, String> {
        self.director.advance();
        let bundle = self.bundle(Vec::new(), version, images);
        self.take(&bundle)
    }
}

#[test]
fn whoever_has_all_online_keys_chooses_among_genuine_images_alone() {
    let mut world = World::new();
    assert_eq!(world.offer(1, &["genuine"]), Ok(1));
    let error = world.offer(2, &["genuine", "evil"]).unwrap_err();
    assert!(error.contains("agent 'evil' names image sha256:"), "{error}");
    assert!(error.contains("targets version 1 does not list 'images/sha256/"), "{error}");
    assert_eq!(world.force.as_ref().unwrap().get().version, 1, "what is in force stays");
    assert_eq!(world.offer(2, &["other"]), Ok(2), "another genuine one it may choose");
}

#[test]
fn a_list_of_images_that_the_thief_signs_himself_is_not_believed() {
    let mut world = World::new();
    let honest = world.images.clone();
    world.images.genuine.push(digest("evil"));
    world.images.advance();
    for role in ["targets", "snapshot", "timestamp"] {
        let director = world.director.clone();
        let (images, thief) = (&mut world.images, &director);
        match role {
            "targets" => images.targets = thief.targets.clone(),
            "snapshot" => images.snapshot = thief.snapshot.clone(),
            _ => images.timestamp = thief.timestamp.clone(),
        }
        let error = world.offer(2, &["evil"]).unwrap_err();
        assert!(error.starts_with("images: "), "{error}");
    }
    world.images = honest;
    world.images.set_versions(3);
    assert_eq!(world.offer(3, &["genuine"]), Ok(3));
}

#[test]
fn the_list_of_images_does_not_go_back() {
    let mut world = World::new();
    let old = world.images.clone();
    world.images.genuine.retain(|image| *image != digest("other"));
    world.images.advance();
    assert_eq!(world.offer(1, &["genuine"]), Ok(1));
    let error = world.offer(2, &["other"]).unwrap_err();
    assert!(error.contains("does not vouch"), "{error}");
    world.images = old;
    let error = world.offer(2, &["other"]).unwrap_err();
    assert_eq!(error, "images: timestamp version 1 is older than the trusted 2");
}

#[test]
fn each_repository_learns_although_the_other_refuses() {
    let mut world = World::new();
    let mut bundle = Bundle::parse(&world.bundle(Vec::new(), 1, &[])).unwrap();
    bundle.director.metadata.timestamp = bundle.director.metadata.snapshot.clone();
    let error = world.take(&bundle.to_bytes().unwrap()).unwrap_err();
    assert!(error.starts_with("director: "), "{error}");
    assert!(world.trust.images.targets.is_some() && world.trust.director.targets.is_none());
}

#[test]
fn an_owner_who_takes_the_keys_away_is_not_locked_out_by_what_a_thief_pushed_ahead() {
    let mut world = World::new();
    assert_eq!(world.offer(1, &["genuine"]), Ok(1));
    // Whatever can be pushed ahead, the thief pushes: versions, the document's, and the clock.
    world.director.set_versions(9_000_000_000_000);
    assert_eq!(world.offer(u64::MAX, &["other"]), Ok(u64::MAX));
    let far = time("2026-12-31T00:00:00Z");
    world.now.floor = world.now.floor.with_signed(far, true);

    world.director.set_versions(2);
    world.director.timestamp_expires = time("2026-07-01T00:00:00Z");
    let root = world.director.rotate(|director| {
        director.targets = Holding::one(14);
        director.snapshot = Holding::one(13);
        director.timestamp = Holding::one(12);
    });
    let bundle = world.bundle(vec![root], 2, &["genuine"]);
    assert_eq!(world.take(&bundle), Ok(2));
    assert_eq!(world.now.floor.signed, None);
    assert_eq!(world.offer(3, &["genuine"]), Ok(3));
    let error = world.offer(2, &["other"]).unwrap_err();
    assert!(error.contains("version 2 is older than version 3"), "versions bind again: {error}");
}

#[test]
fn versions_bind_while_all_keys_that_signed_have_their_say() {
    let mut world = World::new();
    assert_eq!(world.offer(5, &[]), Ok(5));
    let root = world.director.rotate(|director| director.timestamp = Holding::one(12));
    world.director.advance();
    let bundle = world.bundle(vec![root], 4, &[]);
    assert!(world.take(&bundle).unwrap_err().contains("version 4 is older than version 5"));
}

#[test]
fn a_clock_at_2040_refuses_for_as_long_as_it_shows_that() {
    let mut world = World::new();
    world.now.shown = time("2040-01-01T00:00:00Z");
    let error = world.offer(1, &["genuine"]).unwrap_err();
    assert!(error.contains("expired"), "{error}");
    for shown in ["1970-01-01T00:00:00Z", "2026-06-01T00:00:00Z"] {
        world.now.shown = time(shown);
        let version = world.force.as_ref().map_or(1, |force| force.get().version + 1);
        assert_eq!(world.offer(version, &["genuine"]), Ok(version), "{shown}");
    }
}

#[test]
fn an_older_copy_of_all_that_is_kept_takes_the_newest_again() {
    let mut world = World::new();
    assert_eq!(world.offer(1, &["genuine"]), Ok(1));
    let backup = (world.trust.clone(), world.force.clone());
    let old = world.bundle(Vec::new(), 1, &["genuine"]);
    let root = world.director.rotate(|director| director.targets = Holding::one(14));
    world.director.advance();
    let newest = world.bundle(vec![root], 2, &["other"]);
    assert_eq!(world.take(&newest), Ok(2));
    (world.trust, world.force) = backup;
    assert_eq!(world.take(&newest), Ok(2));
    assert_eq!(world.take(&newest), Ok(2));
    assert!(world.take(&old).is_err(), "and what is older than that is refused again");
}
