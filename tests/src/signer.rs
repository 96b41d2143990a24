//! Signs documents with a workspace's keys, in ways that the operator's tool would not.
//!
//! For documents that must be refused, for new roots, and for hundreds of documents in a row. It
//! takes the format from `skerry_core`, and decides nothing about trust: the node under test does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use skerry_core::bundle::{Address, Bundle, Images};
use skerry_core::trust::metadata::{Root, TargetMeta};
use skerry_core::trust::sign::{Authorities, Holders, Release, SignedRelease, SigningKey, sign};
use skerry_core::trust::{PublicKey, Roots};

use crate::fleet::Fleet;

/// The keys and roots of a workspace.
#[derive(Debug, Clone)]
pub struct Signer {
    /// Signs roots.
    pub root: SigningKey,
    /// Signs the list of documents.
    pub targets: SigningKey,
    /// Signs snapshots.
    pub snapshot: SigningKey,
    /// Signs timestamps.
    pub timestamp: SigningKey,
    /// All roots of the director, the oldest first; they travel with every document.
    pub roots: Vec<String>,
    /// What the images repository says; it travels with every document, too.
    pub images: Images,
}

impl Signer {
    /// The keys of a workspace as they are now.
    ///
    /// # Panics
    /// When they can't be read.
    #[must_use]
    pub fn of(fleet: &Fleet) -> Self {
        let place = fleet.workspace();
        let key = |path: &str| read_key(&place.join(format!("keys/{path}.key")));
        let roots = |of: &str| {
            let root = |version: u64| {
                fs::read_to_string(place.join(format!("{of}/roots/{version}.root.json"))).ok()
            };
            (1..).map_while(root).collect()
        };
        let images = |role: &str| {
            fs::read_to_string(place.join(format!("images/metadata/{role}.json")))
                .expect("reading what the images repository says")
        };
        let release = SignedRelease {
            timestamp: images("timestamp"),
            snapshot: images("snapshot"),
            targets: images("targets"),
        };
        Self {
            root: key("offline/director-root"),
            targets: key("online/targets"),
            snapshot: key("online/snapshot"),
            timestamp: key("online/timestamp"),
            roots: roots("director"),
            images: Images::new(roots("images"), release),
        }
    }

    /// The bundle of one document for one node, in a release of the same version, good for an hour.
    ///
    /// # Panics
    /// When it can't be signed.
    #[must_use]
    pub fn bundle(&self, node: &str, version: u64, agents: &[Value]) -> Bundle {
        self.bundle_until(node, version, agents, later(3600))
    }

    /// As [`Signer::bundle`], with the moment at which its timestamp expires.
    ///
    /// # Panics
    /// When it can't be signed.
    #[must_use]
    pub fn bundle_until(
        &self,
        node: &str,
        version: u64,
        agents: &[Value],
        expires: Timestamp,
    ) -> Bundle {
        let document = json!({ "apiVersion": "skerry/v1", "version": version,
                               "audience": { "node": node }, "agents": agents });
        let document = document.to_string();
        let address = Address::Node(node.parse().expect("a node's name"));
        let listed = TargetMeta::of(document.as_bytes());
        let release = Release {
            version,
            timestamp_expires: expires,
            snapshot_expires: later(3600),
            targets_expires: later(3600),
            listed: &BTreeMap::from([(address.path(), listed)]),
            timestamp_keys: &[&self.timestamp],
            snapshot_keys: &[&self.snapshot],
            targets_keys: &[&self.targets],
        };
        let release = release.sign().expect("signing a release");
        Bundle::new(self.roots.clone(), release, self.images.clone(), &address, document)
    }

    /// The next root: signed by the present root key and by that of `next`, to whom it gives the
    /// roles.
    ///
    /// # Panics
    /// When it can't be signed.
    #[must_use]
    pub fn next_root(&self, next: &Self) -> String {
        let holder = |key: &SigningKey| Holders::one(PublicKey::of(key));
        let authorities = Authorities {
            root: holder(&next.root),
            timestamp: holder(&next.timestamp),
            snapshot: holder(&next.snapshot),
            targets: holder(&next.targets),
        };
        let root = Root::new(self.roots.len() as u64 + 1, later(24 * 3600), &authorities);
        sign(&root, &[&self.root, &next.root]).expect("signing a root")
    }

    /// Puts keys and roots into a workspace, as an operator who changes keys would.
    ///
    /// # Panics
    /// When they can't be written.
    pub fn install(&self, fleet: &Fleet) {
        let place = fleet.workspace();
        let keys = [
            ("offline/director-root", &self.root),
            ("online/targets", &self.targets),
            ("online/snapshot", &self.snapshot),
            ("online/timestamp", &self.timestamp),
        ];
        for (path, key) in keys {
            write(&place.join(format!("keys/{path}.key")), &hex::encode(key.to_bytes()));
        }
        for (version, root) in (1..).zip(&self.roots) {
            write(&place.join(format!("director/roots/{version}.root.json")), root);
        }
        if let (Some(director), Some(images)) = (self.roots.last(), self.images.roots.last()) {
            write(&fleet.root(), &Roots::new(director.clone(), images.clone()).to_text());
        }
    }
}

/// A key that only this test has.
#[must_use]
pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// So many seconds from now; before now when negative.
#[must_use]
pub fn later(seconds: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

fn read_key(path: &Path) -> SigningKey {
    let text = fs::read_to_string(path).expect("reading a key of the workspace");
    let mut raw = [0; 32];
    hex::decode_to_slice(text.trim(), &mut raw).expect("a key of 64 hexadecimal digits");
    SigningKey::from_bytes(&raw)
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
