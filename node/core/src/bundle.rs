//! One message that carries a document with everything that proves it.
//!
//! Decides whether a bundle, from the broker or from a stick, holds a document for this node that
//! the trusted root vouches for. It must never look into the document, and never let a bundle that
//! was refused take back what a node already trusts: [`Outcome::trust`] is to be persisted in every
//! case. The rules of trust are in [`crate::trust::set`]; what becomes of the document is decided
//! by those who take [`Verified`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{GroupName, NodeName};
use crate::trust::search::Search;
use crate::trust::sign::SignedRelease;
use crate::trust::{Clock, Limits, TrustError, TrustStore, TrustedSet, Verified, cut};

/// The format's name and version.
pub const FORMAT: &str = "skerry-bundle/1";
/// The most bytes of a bundle.
pub const BUNDLE_MAX: usize = 8 << 20;

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// More bytes than are looked at.
    #[error("the bundle has {actual} bytes, more than the {limit} allowed")]
    TooLarge {
        /// The most allowed.
        limit: usize,
        /// What came.
        actual: usize,
    },
    /// Not JSON, or not of the form of a bundle.
    #[error("not a readable bundle: {source}")]
    Malformed {
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Another format, or a later version of this one.
    #[error("the bundle's format is '{found}'; '{FORMAT}' is understood")]
    Format {
        /// The format found.
        found: String,
    },
    /// More roots than are looked at.
    #[error("the bundle has {actual} roots, more than the {limit} allowed")]
    TooManyRoots {
        /// The most allowed.
        limit: usize,
        /// What came.
        actual: usize,
    },
    /// A bundle carries exactly one document.
    #[error("the bundle has {actual} documents; exactly one is expected")]
    NotOneDocument {
        /// What came.
        actual: usize,
    },
    /// The document's path names no node and no group.
    #[error("the bundle's document '{path}' is addressed to no node and no group")]
    NoAddress {
        /// The path.
        path: String,
    },
    /// The document is for somebody else.
    #[error("this bundle is for {found}, not for node '{node}'")]
    NotForUs {
        /// Whom it is for.
        found: Address,
        /// This node.
        node: NodeName,
    },
    /// The metadata or the document failed a rule of trust.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl BundleError {
    /// The rule that refused, as one stable word for reports and counters.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::TooManyRoots { .. } => "size",
            Self::Malformed { .. } | Self::Format { .. } | Self::NotOneDocument { .. } => "format",
            Self::NoAddress { .. } | Self::NotForUs { .. } => "audience",
            Self::Trust(trust) => trust.rule(),
        }
    }
}

/// Whom a document is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Address {
    /// One node.
    Node(NodeName),
    /// All nodes of a group.
    Group(GroupName),
}

impl Address {
    /// The path under which the document is signed.
    pub fn path(&self) -> String {
        match self {
            Self::Node(name) => format!("nodes/{name}/desired.json"),
            Self::Group(name) => format!("groups/{name}/desired.json"),
        }
    }

    /// The address that a path names, if it names one.
    pub fn of_path(path: &str) -> Option<Self> {
        let (kind, name) = path.strip_suffix("/desired.json")?.split_once('/')?;
        match kind {
            "nodes" => name.parse().ok().map(Self::Node),
            "groups" => name.parse().ok().map(Self::Group),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "node '{name}'"),
            Self::Group(name) => write!(f, "group '{name}'"),
        }
    }
}

/// Who is asking: documents for anybody else are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// This node.
    pub node: NodeName,
    /// The groups it is in.
    pub groups: Vec<GroupName>,
}

impl Audience {
    /// Whether a document for `address` is for us.
    pub fn includes(&self, address: &Address) -> bool {
        match address {
            Address::Node(name) => *name == self.node,
            Address::Group(name) => self.groups.contains(name),
        }
    }
}

/// A bundle as it travels. Every file is carried as a JSON text, which keeps its bytes as they are.
/// Members that are not named here are tolerated; the limit on the whole bounds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Always [`FORMAT`].
    pub format: String,
    /// What the online repository says.
    pub director: Director,
}

/// The files of the repository that says which node gets what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Director {
    /// Roots in order; those that a node has already are passed over.
    #[serde(default)]
    pub roots: Vec<String>,
    /// The other three files.
    pub metadata: MetadataFiles,
    /// The document, by its path.
    pub targets: BTreeMap<String, String>,
}

/// The files that prove the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataFiles {
    /// The timestamp file.
    pub timestamp: String,
    /// The snapshot file.
    pub snapshot: String,
    /// The targets file.
    pub targets: String,
    /// The files of the delegated roles on the way to the document, by the role's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub delegated: BTreeMap<String, String>,
}

/// What came of a bundle.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    /// What to persist now, whether the bundle was refused or not.
    pub trust: TrustStore,
    /// Persisted files that had to be dropped, and why.
    pub dropped: Vec<TrustError>,
    /// The document's bytes, or the rule that refused them.
    pub result: Result<Verified<Vec<u8>>, BundleError>,
}

impl Bundle {
    /// A bundle of one document.
    pub fn new(
        roots: Vec<String>,
        release: SignedRelease,
        address: &Address,
        document: String,
    ) -> Self {
        let SignedRelease { timestamp, snapshot, targets } = release;
        Self {
            format: FORMAT.to_owned(),
            director: Director {
                roots,
                metadata: MetadataFiles {
                    timestamp,
                    snapshot,
                    targets,
                    delegated: BTreeMap::new(),
                },
                targets: BTreeMap::from([(address.path(), document)]),
            },
        }
    }

    /// Reads a bundle. Nothing in it is believed yet.
    ///
    /// # Errors
    /// When it is too large, not JSON, of another format, or has too many roots.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        #[derive(Deserialize)]
        struct AnyFormat {
            format: String,
        }
        check_size(bytes)?;
        let malformed = |source| BundleError::Malformed { source };
        let AnyFormat { format: found } = serde_json::from_slice(bytes).map_err(malformed)?;
        if found != FORMAT {
            return Err(BundleError::Format { found: cut(&found) });
        }
        let bundle: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        let (limit, actual) = (Limits::DEFAULT.roots, bundle.director.roots.len());
        if actual > limit {
            return Err(BundleError::TooManyRoots { limit, actual });
        }
        Ok(bundle)
    }

    /// The bytes to send.
    ///
    /// # Errors
    /// When they are more than a node takes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let bytes = serde_json::to_vec(self).map_err(|source| BundleError::Malformed { source })?;
        check_size(&bytes)?;
        Ok(bytes)
    }

    /// The one document, if it is for us.
    fn document(&self, audience: &Audience) -> Result<(&str, &str), BundleError> {
        let actual = self.director.targets.len();
        let (path, text) = match self.director.targets.first_key_value() {
            Some(only) if actual == 1 => only,
            _ => return Err(BundleError::NotOneDocument { actual }),
        };
        let found =
            Address::of_path(path).ok_or_else(|| BundleError::NoAddress { path: cut(path) })?;
        if !audience.includes(&found) {
            return Err(BundleError::NotForUs { found, node: audience.node.clone() });
        }
        Ok((path, text))
    }
}

/// Verifies a bundle against what the node trusts, at one fixed time. A bundle that is malformed, or
/// for somebody else, changes nothing; after that each file counts as soon as it has passed.
pub fn verify(store: &TrustStore, bundle: &[u8], audience: &Audience, clock: Clock) -> Outcome {
    let mut set = match TrustedSet::new(store, Limits::DEFAULT) {
        Ok(set) => set,
        Err(why) => {
            let (trust, result) = (store.clone(), Err(why.into()));
            return Outcome { trust, dropped: Vec::new(), result };
        }
    };
    let result = update(&mut set, bundle, audience, clock);
    Outcome { trust: set.to_store(), dropped: set.dropped().to_vec(), result }
}

fn update(
    set: &mut TrustedSet,
    bundle: &[u8],
    audience: &Audience,
    clock: Clock,
) -> Result<Verified<Vec<u8>>, BundleError> {
    let bundle = Bundle::parse(bundle)?;
    let (path, document) = bundle.document(audience)?;
    let files = &bundle.director.metadata;
    let _ = set.update_roots(bundle.director.roots.iter().map(String::as_bytes))?;
    let _ = set.update_timestamp(files.timestamp.as_bytes(), clock)?;
    let _ = set.update_snapshot(files.snapshot.as_bytes(), clock)?;
    let _ = set.update_targets(files.targets.as_bytes(), clock)?;
    let mut search = Search::new(set, path, clock)?;
    while let Some(role) = search.wanted(set)?.map(|wanted| wanted.role.to_owned()) {
        let Some(file) = files.delegated.get(&role) else { break };
        search.visit(set, file.as_bytes(), clock)?;
    }
    Ok(search.finish(set)?.verify(document.as_bytes())?)
}

fn check_size(bytes: &[u8]) -> Result<(), BundleError> {
    if bytes.len() <= BUNDLE_MAX {
        return Ok(());
    }
    Err(BundleError::TooLarge { limit: BUNDLE_MAX, actual: bytes.len() })
}

#[cfg(test)]
mod tests;
