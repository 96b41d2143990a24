//! The files of TUF, as types (specification 1.0, section 4).
//!
//! Decides only what the fields are called. Members that are not named here are tolerated and stay
//! under the signature, which is checked over the value as received and never over these types. It
//! must never hold a rule of the workflow: those are in [`super::set`].

use std::collections::BTreeMap;

use jiff::Timestamp as Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{KeyId, Role};

/// The version of the specification that our own files name.
pub const SPEC_VERSION: &str = "1.0.33";
/// The name of the snapshot in the timestamp.
pub const SNAPSHOT_FILE: &str = "snapshot.json";
/// The name of the targets in the snapshot.
pub const TARGETS_FILE: &str = "targets.json";

/// What every role's metadata has.
pub trait Metadata: Serialize + DeserializeOwned {
    /// Whose metadata it is.
    const ROLE: Role;
    /// The `_type` it claims.
    fn kind(&self) -> &str;
    /// The version of the specification it was made for.
    fn spec_version(&self) -> &str;
    /// The counter of its role, which only grows.
    fn version(&self) -> u64;
    /// The moment from which it must not be believed any more.
    fn expires(&self) -> Time;
}

macro_rules! metadata {
    ($name:ident) => {
        impl Metadata for $name {
            const ROLE: Role = Role::$name;
            fn kind(&self) -> &str {
                &self.kind
            }
            fn spec_version(&self) -> &str {
                &self.spec_version
            }
            fn version(&self) -> u64 {
                self.version
            }
            fn expires(&self) -> Time {
                self.expires
            }
        }
    };
}

/// A file of metadata: a value, and who signed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signed {
    /// The value as received; signatures cover its canonical form.
    pub signed: Value,
    /// The signatures, in any order.
    pub signatures: Vec<KeySignature>,
}

/// One signature. Its text is not looked at before it is needed: another scheme may write it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySignature {
    /// The name of the key.
    pub keyid: KeyId,
    /// The signature in hexadecimal.
    pub sig: String,
}

/// A public key of any kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The kind of key; only `ed25519` is spoken.
    pub keytype: String,
    /// The kind of signature; only `ed25519` is spoken.
    pub scheme: String,
    /// The key itself, under `public`.
    pub keyval: Map<String, Value>,
}

/// Which keys hold a role, and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// The names of the keys.
    pub keyids: Vec<KeyId>,
    /// How many distinct keys must sign.
    pub threshold: u64,
}

/// The four roles that a root must fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// Keys that may replace the root.
    pub root: RoleKeys,
    /// Keys of the timestamp.
    pub timestamp: RoleKeys,
    /// Keys of the snapshot.
    pub snapshot: RoleKeys,
    /// Keys of the targets.
    pub targets: RoleKeys,
}

impl Roles {
    /// The keys of one role.
    pub fn of(&self, role: Role) -> &RoleKeys {
        match role {
            Role::Root => &self.root,
            Role::Timestamp => &self.timestamp,
            Role::Snapshot => &self.snapshot,
            Role::Targets => &self.targets,
        }
    }
}

/// Who may sign what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Root {
    /// Always `root`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The version of the specification.
    pub spec_version: String,
    /// The root's counter.
    pub version: u64,
    /// When it ends.
    pub expires: Time,
    /// Whether files are served under names that begin with their version.
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// All keys, by name.
    pub keys: BTreeMap<KeyId, Key>,
    /// The roles.
    pub roles: Roles,
}

/// What is listed of a metadata file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Its version.
    #[serde(deserialize_with = "one_or_more")]
    pub version: u64,
    /// Its bytes, when listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its hashes by algorithm, when listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<BTreeMap<String, String>>,
}

/// Versions begin with 1; a list that says otherwise is none.
fn one_or_more<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    std::num::NonZeroU64::deserialize(from).map(std::num::NonZeroU64::get)
}

/// Which snapshot is the newest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Always `timestamp`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The version of the specification.
    pub spec_version: String,
    /// The timestamp's counter.
    pub version: u64,
    /// When it ends.
    pub expires: Time,
    /// What is listed of `snapshot.json`.
    pub meta: SnapshotOnly,
}

/// The one file that a timestamp lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotOnly {
    /// What is listed of it.
    #[serde(rename = "snapshot.json")]
    pub snapshot: FileMeta,
}

/// Which versions of the targets files belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Always `snapshot`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The version of the specification.
    pub spec_version: String,
    /// The snapshot's counter.
    pub version: u64,
    /// When it ends.
    pub expires: Time,
    /// What is listed of `targets.json` and of delegated targets files.
    pub meta: BTreeMap<String, FileMeta>,
}

/// What is listed of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetMeta {
    /// Its bytes.
    pub length: u64,
    /// Its hashes by algorithm.
    pub hashes: BTreeMap<String, String>,
    /// What the signer added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Map<String, Value>>,
}

/// Which documents are genuine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    /// Always `targets`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// The version of the specification.
    pub spec_version: String,
    /// The targets' counter.
    pub version: u64,
    /// When it ends.
    pub expires: Time,
    /// The documents, by path.
    pub targets: BTreeMap<String, TargetMeta>,
    /// Who else may name documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// Who else may name documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delegations {
    /// Their keys, by name.
    pub keys: BTreeMap<KeyId, Key>,
    /// The delegations, in the order of a search.
    #[serde(default)]
    pub roles: Vec<DelegatedRole>,
    /// A delegation to many bins by hash (TAP 15), in place of the roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succinct_roles: Option<SuccinctRoles>,
}

/// A delegation of every path to one of 2ⁿ bins, by the first n bits of its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccinctRoles {
    /// The names of the keys of all bins.
    pub keyids: Vec<KeyId>,
    /// How many distinct keys must sign.
    pub threshold: u64,
    /// How many bits, 1 to 32.
    pub bit_length: u32,
    /// What the bins' names begin with.
    pub name_prefix: String,
}

/// One delegation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DelegatedRole {
    /// The name of the role, which names its file.
    pub name: String,
    /// The names of its keys.
    pub keyids: Vec<KeyId>,
    /// How many distinct keys must sign.
    pub threshold: u64,
    /// Whether a search ends here.
    pub terminating: bool,
    /// The patterns of paths it may name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// The beginnings of path hashes it may name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
}

metadata!(Root);
metadata!(Timestamp);
metadata!(Snapshot);
metadata!(Targets);
