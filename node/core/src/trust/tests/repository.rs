//! A repository in memory, honest unless a test bends it.

use std::collections::BTreeMap;

use jiff::Timestamp as Time;
use serde_json::Value;

use crate::bundle::Images;
use crate::ids::Digest;
use crate::trust::catalogue::ImageNotes;
use crate::trust::metadata::{FileMeta, Metadata, Root, Snapshot, TargetMeta, Targets, Timestamp};
use crate::trust::sign::{Authorities, Holders, SignedRelease, SigningKey, sign};
use crate::trust::{Clock, Limits, PublicKey, TrustError, TrustStore, TrustedSet};

pub(crate) const PATH: &str = "nodes/box-17/desired.json";
pub(crate) const DOCUMENT: &str = "{\"version\": 1, \"agents\": {}}\n";

pub(crate) fn time(text: &str) -> Time {
    text.parse().unwrap()
}

pub(crate) fn now() -> Clock {
    Clock { now: time("2026-06-01T12:00:00Z"), floor: time("2026-01-01T00:00:00Z") }
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Keys and threshold of one role.
#[derive(Clone)]
pub(crate) struct Holding {
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) threshold: u64,
}

impl Holding {
    pub(crate) fn one(seed: u8) -> Self {
        Self { keys: vec![key(seed)], threshold: 1 }
    }

    fn public(&self) -> Holders {
        let keys = self.keys.iter().map(PublicKey::of).collect();
        Holders { keys, threshold: self.threshold }
    }

    pub(crate) fn refs(&self) -> Vec<&SigningKey> {
        self.keys.iter().collect()
    }
}

/// Everything a release is made of; a test changes a field and asks for the files.
#[derive(Clone)]
pub(crate) struct Repository {
    pub(crate) root: Holding,
    pub(crate) timestamp: Holding,
    pub(crate) snapshot: Holding,
    pub(crate) targets: Holding,
    pub(crate) root_version: u64,
    pub(crate) timestamp_version: u64,
    pub(crate) snapshot_version: u64,
    pub(crate) targets_version: u64,
    pub(crate) root_expires: Time,
    pub(crate) timestamp_expires: Time,
    pub(crate) snapshot_expires: Time,
    pub(crate) targets_expires: Time,
    pub(crate) documents: BTreeMap<String, Vec<u8>>,
    pub(crate) genuine: Vec<Digest>,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let expires = time("2027-01-01T00:00:00Z");
        Self {
            root: Holding::one(1),
            timestamp: Holding::one(2),
            snapshot: Holding::one(3),
            targets: Holding::one(4),
            root_version: 1,
            timestamp_version: 1,
            snapshot_version: 1,
            targets_version: 1,
            root_expires: expires,
            timestamp_expires: expires,
            snapshot_expires: expires,
            targets_expires: expires,
            documents: BTreeMap::from([(PATH.to_owned(), DOCUMENT.as_bytes().to_vec())]),
            genuine: Vec::new(),
        }
    }

    /// A repository of these images, with keys of its own.
    pub(crate) fn of_images(genuine: Vec<Digest>) -> Self {
        Self {
            root: Holding::one(101),
            timestamp: Holding::one(102),
            snapshot: Holding::one(103),
            targets: Holding::one(104),
            documents: BTreeMap::new(),
            genuine,
            ..Self::new()
        }
    }

    /// The files that travel beside a document of the director, when this is the images repository.
    pub(crate) fn images(&self) -> Images {
        Images::new(vec![self.root_file()], self.release())
    }

    /// All of timestamp, snapshot and targets one version further.
    pub(crate) fn advance(&mut self) {
        self.set_versions(self.timestamp_version + 1);
    }

    pub(crate) fn set_versions(&mut self, version: u64) {
        self.timestamp_version = version;
        self.snapshot_version = version;
        self.targets_version = version;
    }

    pub(crate) fn root_metadata(&self) -> Root {
        let holders = Authorities {
            root: self.root.public(),
            timestamp: self.timestamp.public(),
            snapshot: self.snapshot.public(),
            targets: self.targets.public(),
        };
        Root::new(self.root_version, self.root_expires, &holders)
    }

    /// The root as it is now, signed by its own keys.
    pub(crate) fn root_file(&self) -> String {
        sign(&self.root_metadata(), &self.root.refs()).unwrap()
    }

    /// The next root, after `change`, signed by the old and the new keys.
    pub(crate) fn rotate(&mut self, change: impl FnOnce(&mut Self)) -> String {
        let mut keys = self.root.keys.clone();
        self.root_version += 1;
        change(self);
        keys.extend(self.root.keys.clone());
        sign(&self.root_metadata(), &keys.iter().collect::<Vec<_>>()).unwrap()
    }

    pub(crate) fn targets_metadata(&self) -> Targets {
        let mut listed = TargetMeta::of_all(&self.documents);
        let images = self.genuine.iter();
        listed.extend(images.map(|image| TargetMeta::of_image(image, 1, &ImageNotes::default())));
        Targets::new(self.targets_version, self.targets_expires, listed)
    }

    pub(crate) fn release(&self) -> SignedRelease {
        self.release_of(sign(&self.targets_metadata(), &self.targets.refs()).unwrap())
    }

    /// An otherwise honest release of this targets file.
    pub(crate) fn release_of(&self, targets: String) -> SignedRelease {
        let listed = FileMeta::of(self.targets_version, targets.as_bytes());
        let snapshot = Snapshot::new(self.snapshot_version, self.snapshot_expires, listed);
        self.release_with(snapshot, targets)
    }

    /// An otherwise honest release of this snapshot.
    pub(crate) fn release_with(&self, snapshot: Snapshot, targets: String) -> SignedRelease {
        let snapshot = sign(&snapshot, &self.snapshot.refs()).unwrap();
        let listed = FileMeta::of(self.snapshot_version, snapshot.as_bytes());
        let timestamp = Timestamp::new(self.timestamp_version, self.timestamp_expires, listed);
        let timestamp = sign(&timestamp, &self.timestamp.refs()).unwrap();
        SignedRelease { timestamp, snapshot, targets }
    }

    /// A node that knows the root only.
    pub(crate) fn fresh_node(&self) -> TrustedSet {
        TrustedSet::new(&TrustStore::new(self.root_file()), Limits::DEFAULT).unwrap()
    }

    /// A node that has taken the release as it is now.
    pub(crate) fn node(&self) -> TrustedSet {
        let mut set = self.fresh_node();
        take(&mut set, &self.release()).unwrap();
        set
    }
}

/// Offers a release file by file, as a client would.
pub(crate) fn take(set: &mut TrustedSet, release: &SignedRelease) -> Result<(), TrustError> {
    let _ = set.update_timestamp(release.timestamp.as_bytes(), now())?;
    let _ = set.update_snapshot(release.snapshot.as_bytes(), now())?;
    let _ = set.update_targets(release.targets.as_bytes(), now())?;
    Ok(())
}

/// The set as it is after a restart.
pub(crate) fn restart(set: &TrustedSet) -> TrustedSet {
    TrustedSet::new(&set.to_store(), Limits::DEFAULT).unwrap()
}

/// A signed file, changed by hand without signing it again.
pub(crate) fn bend(file: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(file).unwrap();
    change(&mut value);
    serde_json::to_string(&value).unwrap()
}

/// Metadata changed by hand, and then signed all the same.
pub(crate) fn sign_bent(
    metadata: &impl Metadata,
    keys: &[&SigningKey],
    change: impl FnOnce(&mut Value),
) -> String {
    let mut signed = serde_json::to_value(metadata).unwrap();
    change(&mut signed);
    let message = crate::trust::canonical::canonical(&signed).unwrap();
    let signatures: Vec<_> =
        keys.iter().map(|key| crate::trust::sign::sign_bytes(key, &message)).collect();
    serde_json::to_string(&serde_json::json!({ "signed": signed, "signatures": signatures }))
        .unwrap()
}
