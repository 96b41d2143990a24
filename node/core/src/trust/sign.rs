//! The other side of the verifier: makes and signs the files of TUF.
//!
//! Decides what a well-made file says. It has no randomness and no clock: keys, versions and expiry
//! come from the caller, and the same input gives the same bytes. Nothing here makes anything
//! trusted. Used by the operator's tool and by tests; its counterpart is [`super::set`].

use std::collections::BTreeMap;

use ed25519_dalek::Signer as _;
pub use ed25519_dalek::SigningKey;
use jiff::Timestamp as Time;
use sha2::{Digest as _, Sha256};

use super::canonical::{NotCanonical, canonical};
use super::catalogue::{ImageNotes, image_path};
use super::metadata::{
    FileMeta, KeySignature, Metadata, RoleKeys, Roles, Root, SPEC_VERSION, Signed, Snapshot,
    SnapshotOnly, TARGETS_FILE, TargetMeta, Targets, Timestamp,
};
use super::{PublicKey, Role};
use crate::ids::Digest;

/// Why a file could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The file cannot be written or read as JSON.
    #[error("{role}: {source}")]
    Json {
        /// Whose file.
        role: Role,
        /// What the parser or writer says.
        source: serde_json::Error,
    },
    /// The file holds a value that canonical JSON cannot write.
    #[error("{role}: {source}")]
    NotCanonical {
        /// Whose file.
        role: Role,
        /// Which value.
        source: NotCanonical,
    },
    /// Versions begin with 1.
    #[error("{role}: version 0 does not exist")]
    ZeroVersion {
        /// Whose file.
        role: Role,
    },
}

/// A private key, wherever it is: in memory, or in a TPM or behind PKCS#11, which sign and never show it.
pub trait Signer: Send + Sync {
    /// Its public half.
    fn public(&self) -> PublicKey;

    /// The ed25519 signature over these bytes.
    ///
    /// # Errors
    /// Whatever holds the key does not sign now.
    fn signature(&self, message: &[u8]) -> Result<[u8; 64], SignerError>;
}

/// Why a key does not sign.
#[derive(Debug, thiserror::Error)]
#[error("the key does not sign: {source}")]
pub struct SignerError {
    /// What whatever holds it says.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Signer for SigningKey {
    fn public(&self) -> PublicKey {
        PublicKey::of(self)
    }

    fn signature(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(self.sign(message).to_bytes())
    }
}

/// The keys of one role, and how many of them must sign.
#[derive(Debug, Clone)]
pub struct Holders {
    /// The keys.
    pub keys: Vec<PublicKey>,
    /// How many must sign.
    pub threshold: u64,
}

impl Holders {
    /// One key, which must sign.
    pub fn one(key: PublicKey) -> Self {
        Self { keys: vec![key], threshold: 1 }
    }

    fn role_keys(&self) -> RoleKeys {
        let mut keyids: Vec<_> = self.keys.iter().map(|key| key.id()).collect();
        keyids.sort();
        keyids.dedup();
        RoleKeys { keyids, threshold: self.threshold }
    }
}

/// Who holds which role.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// Who may replace the root.
    pub root: Holders,
    /// Who signs the timestamp.
    pub timestamp: Holders,
    /// Who signs the snapshot.
    pub snapshot: Holders,
    /// Who signs the targets.
    pub targets: Holders,
}

impl Root {
    /// A root that gives the roles to these keys.
    pub fn new(version: u64, expires: Time, holders: &Authorities) -> Self {
        let Authorities { root, timestamp, snapshot, targets } = holders;
        let mut keys = BTreeMap::new();
        for key in [root, timestamp, snapshot, targets].into_iter().flat_map(|h| &h.keys) {
            keys.insert(key.id(), key.to_metadata());
        }
        Self {
            kind: Role::Root.name().to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires: whole_seconds(expires),
            consistent_snapshot: true,
            keys,
            roles: Roles {
                root: root.role_keys(),
                timestamp: timestamp.role_keys(),
                snapshot: snapshot.role_keys(),
                targets: targets.role_keys(),
            },
        }
    }
}

impl FileMeta {
    /// What to list of a metadata file.
    pub fn of(version: u64, file: &[u8]) -> Self {
        Self { version, length: Some(file.len() as u64), hashes: Some(sha256(file)) }
    }
}

impl TargetMeta {
    /// What to list of a document.
    pub fn of(document: &[u8]) -> Self {
        Self { length: document.len() as u64, hashes: sha256(document), custom: None }
    }

    /// What to list of documents, by path.
    pub fn of_all(documents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Self> {
        documents.iter().map(|(path, bytes)| (path.clone(), Self::of(bytes))).collect()
    }

    /// What to list of an image, whose manifest has this digest and so many bytes; and under which path.
    pub fn of_image(image: &Digest, size: u64, notes: &ImageNotes) -> (String, Self) {
        let hashes = BTreeMap::from([("sha256".to_owned(), image.hex())]);
        let custom = match serde_json::to_value(notes) {
            Ok(serde_json::Value::Object(notes)) if !notes.is_empty() => Some(notes),
            _ => None,
        };
        (image_path(image), Self { length: size, hashes, custom })
    }
}

impl Timestamp {
    /// A timestamp that lists this snapshot.
    pub fn new(version: u64, expires: Time, snapshot: FileMeta) -> Self {
        Self {
            kind: Role::Timestamp.name().to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires: whole_seconds(expires),
            meta: SnapshotOnly { snapshot },
        }
    }
}

impl Snapshot {
    /// A snapshot that lists these targets.
    pub fn new(version: u64, expires: Time, targets: FileMeta) -> Self {
        Self {
            kind: Role::Snapshot.name().to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires: whole_seconds(expires),
            meta: BTreeMap::from([(TARGETS_FILE.to_owned(), targets)]),
        }
    }
}

impl Targets {
    /// Targets that list these, by path.
    pub fn new(version: u64, expires: Time, targets: BTreeMap<String, TargetMeta>) -> Self {
        Self {
            kind: Role::Targets.name().to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires: whole_seconds(expires),
            targets,
            delegations: None,
        }
    }
}

/// A file with the signatures of `keys`, as the text to publish. The same metadata and keys always
/// give the same text.
///
/// # Errors
/// When the metadata has version 0, or cannot be written in canonical JSON.
pub fn sign<T: Metadata>(metadata: &T, keys: &[&SigningKey]) -> Result<String, SignError> {
    let role = T::ROLE;
    if metadata.version() == 0 {
        return Err(SignError::ZeroVersion { role });
    }
    let signed =
        serde_json::to_value(metadata).map_err(|source| SignError::Json { role, source })?;
    add_signatures(role, Signed { signed, signatures: Vec::new() }, keys)
}

/// The same file with more signatures: how several people reach a threshold, one after another.
///
/// # Errors
/// When `file` is not metadata, or cannot be written in canonical JSON.
pub fn cosign(role: Role, file: &str, keys: &[&SigningKey]) -> Result<String, SignError> {
    let envelope = serde_json::from_str(file).map_err(|source| SignError::Json { role, source })?;
    add_signatures(role, envelope, keys)
}

fn add_signatures(
    role: Role,
    mut envelope: Signed,
    keys: &[&SigningKey],
) -> Result<String, SignError> {
    let message =
        canonical(&envelope.signed).map_err(|source| SignError::NotCanonical { role, source })?;
    for key in keys {
        let signature = sign_bytes(key, &message);
        envelope.signatures.retain(|other| other.keyid != signature.keyid);
        envelope.signatures.push(signature);
    }
    envelope.signatures.sort_by(|a, b| a.keyid.cmp(&b.keyid));
    serde_json::to_string(&envelope).map_err(|source| SignError::Json { role, source })
}

/// One signature over exactly these bytes.
pub fn sign_bytes(key: &SigningKey, message: &[u8]) -> KeySignature {
    KeySignature { keyid: PublicKey::of(key).id(), sig: hex::encode(key.sign(message).to_bytes()) }
}

/// One state of a repository, to be signed in one go where one place has all keys.
#[derive(Debug, Clone)]
pub struct Release<'a> {
    /// The version of all three files.
    pub version: u64,
    /// When the timestamp ends.
    pub timestamp_expires: Time,
    /// When the snapshot ends.
    pub snapshot_expires: Time,
    /// When the targets end.
    pub targets_expires: Time,
    /// All that it lists, by path.
    pub listed: &'a BTreeMap<String, TargetMeta>,
    /// Who signs the timestamp.
    pub timestamp_keys: &'a [&'a SigningKey],
    /// Who signs the snapshot.
    pub snapshot_keys: &'a [&'a SigningKey],
    /// Who signs the targets.
    pub targets_keys: &'a [&'a SigningKey],
}

/// The three files of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRelease {
    /// The timestamp file.
    pub timestamp: String,
    /// The snapshot file.
    pub snapshot: String,
    /// The targets file.
    pub targets: String,
}

impl Release<'_> {
    /// Makes and signs targets, then the snapshot that lists them, then the timestamp.
    ///
    /// # Errors
    /// As [`sign`].
    pub fn sign(&self) -> Result<SignedRelease, SignError> {
        let targets = Targets::new(self.version, self.targets_expires, self.listed.clone());
        let targets = sign(&targets, self.targets_keys)?;
        let listed = FileMeta::of(self.version, targets.as_bytes());
        let snapshot = Snapshot::new(self.version, self.snapshot_expires, listed);
        let snapshot = sign(&snapshot, self.snapshot_keys)?;
        let listed = FileMeta::of(self.version, snapshot.as_bytes());
        let timestamp = Timestamp::new(self.version, self.timestamp_expires, listed);
        let timestamp = sign(&timestamp, self.timestamp_keys)?;
        Ok(SignedRelease { timestamp, snapshot, targets })
    }
}

/// TUF writes times in whole seconds.
fn whole_seconds(time: Time) -> Time {
    Time::from_second(time.as_second()).unwrap_or(time)
}

fn sha256(bytes: &[u8]) -> BTreeMap<String, String> {
    BTreeMap::from([("sha256".to_owned(), hex::encode(Sha256::digest(bytes)))])
}
