//! From bytes to a typed value, and from signatures to a count of keys.
//!
//! Decides whether a file is well formed and whether enough distinct keys signed it. It must never
//! check a signature over anything but the canonical form of the value as received, and must never
//! count key ids: one key under two names is one key. Next: [`super::set`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::canonical::canonical;
use super::error::cut;
use super::keys::{AnyKey, KeyError, ReadOther};
use super::metadata::{FileMeta, Key, Metadata, Root, Signed};
use super::strict::Strict;
use super::{KeyId, Role, TrustError};
use sha2::{Digest as _, Sha256, Sha512};

/// A well-formed file whose signatures nobody has looked at yet.
pub(super) struct Unchecked<T> {
    raw: String,
    signed: T,
    canonical: Vec<u8>,
    signatures: BTreeMap<KeyId, String>,
}

/// A file that enough keys signed.
#[derive(Debug, Clone)]
pub(super) struct Held<T> {
    pub(super) raw: String,
    pub(super) signed: T,
    pub(super) signed_by: Vec<KeyId>,
}

/// Who may sign for a role.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    role: Role,
    by: Role,
    by_version: u64,
    keys: Vec<(KeyId, AnyKey)>,
    threshold: u64,
}

/// Why nobody can be given a role in this way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysFault {
    /// A role that needs no signature would be everybody's.
    #[error("has a threshold of 0")]
    ZeroThreshold,
    /// One key listed twice would count twice for a careless reader.
    #[error("lists the key id {0} twice")]
    DuplicateKeyId(KeyId),
    /// A key that must not be trusted.
    #[error("is given to a bad key: {0}")]
    Key(KeyError),
}

impl<T: Metadata> Unchecked<T> {
    /// Reads a file of at most `limit` bytes.
    pub(super) fn read(bytes: &[u8], limit: usize) -> Result<Self, TrustError> {
        let role = T::ROLE;
        check_size(role, limit, bytes)?;
        let malformed = |e| TrustError::Malformed { role, source: Arc::new(e) };
        // First, since serde_json does not check the text of members that it skips.
        let raw =
            std::str::from_utf8(bytes).map_err(|e| TrustError::NotUtf8 { role, source: e })?;
        let Strict(whole) = serde_json::from_slice(raw.as_bytes()).map_err(malformed)?;
        let envelope: Signed = serde_json::from_value(whole).map_err(malformed)?;
        check_kind(role, &envelope.signed)?;
        let signed: T = serde::Deserialize::deserialize(&envelope.signed).map_err(malformed)?;
        check_header(&signed)?;
        let canonical = canonical(&envelope.signed)
            .map_err(|source| TrustError::NotCanonical { role, source })?;
        let mut signatures = BTreeMap::new();
        for signature in envelope.signatures {
            if signatures.contains_key(&signature.keyid) {
                return Err(TrustError::DuplicateSignature { role, key: signature.keyid });
            }
            signatures.insert(signature.keyid, signature.sig);
        }
        Ok(Self { raw: raw.to_owned(), signed, canonical, signatures })
    }

    /// What the file claims, before anybody vouches for it.
    pub(super) fn claims(&self) -> &T {
        &self.signed
    }

    /// The keys of `authority` that signed, if they are enough.
    pub(super) fn check(&self, authority: &Authority) -> Result<Vec<KeyId>, TrustError> {
        authority.check(&self.canonical, &self.signatures)
    }

    /// The file as one to be trusted, if enough keys signed it.
    pub(super) fn verify(self, authority: &Authority) -> Result<Held<T>, TrustError> {
        let signed_by = self.check(authority)?;
        Ok(Held { raw: self.raw, signed: self.signed, signed_by })
    }
}

pub(super) fn check_size(role: Role, limit: usize, bytes: &[u8]) -> Result<(), TrustError> {
    if bytes.len() <= limit {
        return Ok(());
    }
    let (limit, actual) = (limit as u64, bytes.len() as u64);
    Err(TrustError::TooLarge { role, limit, actual })
}

/// The version that a root file claims, before anybody vouches for it.
pub(super) fn claimed_root_version(bytes: &[u8], limit: usize) -> Result<u64, TrustError> {
    #[derive(serde::Deserialize)]
    struct Claim {
        signed: Version,
    }
    #[derive(serde::Deserialize)]
    struct Version {
        version: u64,
    }
    let role = Role::Root;
    check_size(role, limit, bytes)?;
    let claim: Claim = serde_json::from_slice(bytes)
        .map_err(|e| TrustError::Malformed { role, source: Arc::new(e) })?;
    Ok(claim.signed.version)
}

/// Before the typed view, so that a wrong file is called wrong rather than incomplete.
fn check_kind(role: Role, signed: &Value) -> Result<(), TrustError> {
    match signed.get("_type").and_then(Value::as_str) {
        Some(found) if found != role.name() => {
            Err(TrustError::WrongType { role, found: cut(found) })
        }
        _ => Ok(()),
    }
}

fn check_header<T: Metadata>(signed: &T) -> Result<(), TrustError> {
    let role = T::ROLE;
    if signed.kind() != role.name() {
        return Err(TrustError::WrongType { role, found: cut(signed.kind()) });
    }
    if signed.spec_version().split('.').next() != Some("1") {
        return Err(TrustError::SpecVersion { role, found: cut(signed.spec_version()) });
    }
    if signed.version() == 0 {
        return Err(TrustError::ZeroVersion { role });
    }
    Ok(())
}

impl Authority {
    /// Who may sign for `role` by this root.
    pub(super) fn of(
        root: &Root,
        role: Role,
        other: Option<ReadOther>,
    ) -> Result<Self, TrustError> {
        let listed = root.roles.of(role);
        let by = (Role::Root, root.version);
        Self::new(role, by, &root.keys, &listed.keyids, listed.threshold, other).map_err(|fault| {
            match fault {
                KeysFault::ZeroThreshold => TrustError::ZeroThreshold { role },
                KeysFault::DuplicateKeyId(key) => TrustError::DuplicateKeyId { role, key },
                KeysFault::Key(source) => TrustError::Key { source },
            }
        })
    }

    /// Who may sign for `role` by the file `by`. Key ids without a key, and keys of a kind that is not
    /// spoken here, are passed over; a weak or broken ed25519 key is a reason to refuse the file.
    pub(super) fn new(
        role: Role,
        (by, by_version): (Role, u64),
        all: &BTreeMap<KeyId, Key>,
        keyids: &[KeyId],
        threshold: u64,
        other: Option<ReadOther>,
    ) -> Result<Self, KeysFault> {
        if threshold == 0 {
            return Err(KeysFault::ZeroThreshold);
        }
        let mut seen = BTreeSet::new();
        let mut keys = Vec::new();
        for id in keyids {
            if !seen.insert(id) {
                return Err(KeysFault::DuplicateKeyId(id.clone()));
            }
            let Some(key) = all.get(id) else { continue };
            if let Some(key) = AnyKey::read(key, other).map_err(KeysFault::Key)? {
                keys.push((id.clone(), key));
            }
        }
        Ok(Self { role, by, by_version, keys, threshold })
    }

    /// The keys that signed this message, if they are enough.
    pub(super) fn check(
        &self,
        message: &[u8],
        signatures: &BTreeMap<KeyId, String>,
    ) -> Result<Vec<KeyId>, TrustError> {
        let mut distinct = BTreeSet::new();
        let mut signed_by = Vec::new();
        for (id, key) in &self.keys {
            let signature = signatures.get(id).and_then(|text| hex::decode(text).ok());
            let valid = signature.is_some_and(|sig| key.verify(message, &sig));
            if valid && distinct.insert(key.value()) {
                signed_by.push(id.clone());
            }
        }
        if (distinct.len() as u64) < self.threshold {
            return Err(TrustError::Threshold {
                role: self.role,
                valid: distinct.len(),
                threshold: self.threshold,
                by: self.by,
                by_version: self.by_version,
            });
        }
        Ok(signed_by)
    }

    /// The names of its keys.
    pub(super) fn key_ids(&self) -> Vec<KeyId> {
        self.keys.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Whether some key of `self` holds the role no longer in `newer`.
    pub(super) fn lost_keys(&self, newer: &Self) -> bool {
        !self.values().is_subset(&newer.values())
    }

    /// Whether both demand the same signatures.
    pub(super) fn demands_the_same(&self, other: &Self) -> bool {
        self.threshold == other.threshold
            && self.values() == other.values()
            && self.keys.iter().map(|(id, _)| id).eq(other.keys.iter().map(|(id, _)| id))
    }

    fn values(&self) -> BTreeSet<(bool, Vec<u8>)> {
        self.keys.iter().map(|(_, key)| key.value()).collect()
    }
}

/// All four roles of a root must be fit for use, and so must every key it lists.
pub(super) fn check_root(root: &Root, other: Option<ReadOther>) -> Result<(), TrustError> {
    for key in root.keys.values() {
        AnyKey::read(key, other).map_err(|source| TrustError::Key { source })?;
    }
    for role in [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets] {
        Authority::of(root, role, other)?;
    }
    Ok(())
}

/// Whether these bytes are the file that `parent` lists.
pub(super) fn check_listed(
    file: &str,
    parent: Role,
    meta: &FileMeta,
    bytes: &[u8],
) -> Result<(), TrustError> {
    if let Some(length) = meta.length {
        check_length(file, parent, length, bytes)?;
    }
    match &meta.hashes {
        Some(hashes) => check_hashes(file, parent, hashes, bytes),
        None => Ok(()),
    }
}

pub(super) fn check_length(
    file: &str,
    parent: Role,
    listed: u64,
    bytes: &[u8],
) -> Result<(), TrustError> {
    let actual = bytes.len() as u64;
    if listed == actual {
        return Ok(());
    }
    Err(TrustError::Length { file: cut(file), parent, listed, actual })
}

/// Every hash that can be computed here must match, and there must be one.
pub(super) fn check_hashes(
    file: &str,
    parent: Role,
    hashes: &BTreeMap<String, String>,
    bytes: &[u8],
) -> Result<(), TrustError> {
    let mut known = false;
    for algorithm in ["sha256", "sha512"] {
        let Some(listed) = hashes.get(algorithm) else { continue };
        known = true;
        let actual = match algorithm {
            "sha256" => hex::encode(Sha256::digest(bytes)),
            _ => hex::encode(Sha512::digest(bytes)),
        };
        if *listed != actual {
            let (file, listed) = (cut(file), listed.escape_debug().take(128).collect());
            return Err(TrustError::Hash { file, parent, algorithm, listed, actual });
        }
    }
    if known { Ok(()) } else { Err(TrustError::NoKnownHash { file: cut(file), parent }) }
}
