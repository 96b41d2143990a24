//! One message that carries a document with everything that proves it.
//!
//! Decides whether a bundle, from the broker or from a stick, holds a document for this node that the
//! director vouches for, and what the images repository says at the same moment. It must never look into
//! the document, and never let a bundle that was refused take back what a node already trusts:
//! [`Outcome::trust`] is to be persisted in every case. The rules of trust are in [`crate::trust::set`];
//! what becomes of the document is decided by those who take [`Delivery`]: [`crate::accept`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{GroupName, NodeName};
use crate::report::TrustedFiles;
use crate::trust::floor::Floor;
use crate::trust::search::Search;
use crate::trust::sign::SignedRelease;
use crate::trust::{
    Catalogue, Clock, Limits, Now, Repositories, Repository, RootsError, TrustError, TrustedSet,
    Verified, cut,
};

/// The format's name and version.
pub const FORMAT: &str = "skerry-bundle/2";
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
    #[error("{repository}: {source}")]
    Trust {
        /// Whose.
        repository: Repository,
        /// Which rule.
        source: TrustError,
    },
    /// What the node itself keeps cannot be used.
    #[error("kept by this node: {0}")]
    Kept(RootsError),
}

impl BundleError {
    /// The rule that refused, as one stable word for reports and counters.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "size",
            Self::Malformed { .. } | Self::Format { .. } | Self::NotOneDocument { .. } => "format",
            Self::NoAddress { .. } | Self::NotForUs { .. } => "audience",
            Self::Trust { source, .. } | Self::Kept(RootsError::Root { source, .. }) => {
                source.rule()
            }
            Self::Kept(_) => "format",
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
    /// What the offline repository says.
    pub images: Images,
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

/// The files of the repository that says which images are genuine. The images themselves come by other
/// ways, and are known by their digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// Roots in order; those that a node has already are passed over.
    #[serde(default)]
    pub roots: Vec<String>,
    /// The other files.
    pub metadata: MetadataFiles,
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

impl From<SignedRelease> for MetadataFiles {
    fn from(SignedRelease { timestamp, snapshot, targets }: SignedRelease) -> Self {
        Self { timestamp, snapshot, targets, delegated: BTreeMap::new() }
    }
}

/// What both repositories say at one moment: a document of the director, and what is genuine.
#[derive(Debug)]
pub struct Delivery {
    /// The document's bytes.
    pub document: Verified<Vec<u8>>,
    /// What the images repository vouches for.
    pub catalogue: Catalogue,
}

/// What came of a bundle.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    /// What to persist now, whether the bundle was refused or not.
    pub trust: Repositories,
    /// What there is to tell of both, the director's first; nothing of one that cannot be used.
    pub files: [Option<TrustedFiles>; 2],
    /// The clock floor as it is now: lower, when a root took back the key that had raised it.
    pub floor: Floor,
    /// Persisted files that had to be dropped, and why.
    pub dropped: Vec<TrustError>,
    /// What was delivered, or the rule that refused it.
    pub result: Result<Delivery, BundleError>,
}

impl Images {
    /// The files of a release.
    pub fn new(roots: Vec<String>, release: SignedRelease) -> Self {
        Self { roots, metadata: release.into() }
    }
}

impl Bundle {
    /// A bundle of one document.
    pub fn new(
        roots: Vec<String>,
        release: SignedRelease,
        images: Images,
        address: &Address,
        document: String,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            director: Director {
                roots,
                metadata: release.into(),
                targets: BTreeMap::from([(address.path(), document)]),
            },
            images,
        }
    }

    /// Reads a bundle. Nothing in it is believed yet.
    ///
    /// # Errors
    /// When it is too large, not JSON, or of another format.
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
        serde_json::from_slice(bytes).map_err(malformed)
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
pub fn verify(trust: &Repositories, bundle: &[u8], audience: &Audience, now: Now) -> Outcome {
    let open = |repository| trust.open(repository).map_err(BundleError::Kept);
    let sets = open(Repository::Director).and_then(|set| Ok((set, open(Repository::Images)?)));
    let (mut director, mut images) = match sets {
        Ok(sets) => sets,
        Err(why) => {
            let (trust, result) = (trust.clone(), Err(why));
            return Outcome {
                trust,
                files: [None; 2],
                floor: now.floor,
                dropped: Vec::new(),
                result,
            };
        }
    };
    let mut now = now;
    let taken = take(&mut director, &mut images, bundle, audience, &mut now);
    let trust = Repositories { director: director.to_store(), images: images.to_store() };
    let files = [&director, &images].map(|set| Some(TrustedFiles::of(set)));
    let dropped = [director.dropped(), images.dropped()].concat();
    let result = taken.and_then(|(document, bundle)| {
        let catalogue = Catalogue::new(images, bundle.images.metadata.delegated, now.clock());
        Ok(Delivery { document, catalogue: catalogue.map_err(by(Repository::Images))? })
    });
    Outcome { trust, files, floor: now.floor, dropped, result }
}

/// Both repositories learn what they can before either refuses: neither may keep the other from a new root.
fn take(
    director: &mut TrustedSet,
    images: &mut TrustedSet,
    bytes: &[u8],
    audience: &Audience,
    now: &mut Now,
) -> Result<(Verified<Vec<u8>>, Bundle), BundleError> {
    let bundle = Bundle::parse(bytes)?;
    let (path, document) = bundle.document(audience)?;
    let roots = |roots: &[String], set: &mut TrustedSet| {
        set.update_roots(roots.iter().map(String::as_bytes)).map(drop)
    };
    let director_roots = roots(&bundle.director.roots, director);
    let images_roots = roots(&bundle.images.roots, images);
    // Whoever held a key that was taken away may have pushed the floor and the clock far ahead with it.
    if director.keys_were_taken() {
        *now = now.without_signed();
    }
    let clock = now.clock();
    let said = director_roots.and_then(|()| {
        update(director, &bundle.director.metadata, clock)?;
        let mut search = Search::new(director, path, clock)?;
        search.follow(director, &bundle.director.metadata.delegated, clock)?;
        search.finish(director)?.verify(document.as_bytes())
    });
    let genuine = images_roots.and_then(|()| update(images, &bundle.images.metadata, clock));
    let document = said.map_err(by(Repository::Director))?;
    genuine.map_err(by(Repository::Images))?;
    Ok((document, bundle))
}

/// One repository's files, in TUF's order.
fn update(set: &mut TrustedSet, files: &MetadataFiles, clock: Clock) -> Result<(), TrustError> {
    let _ = set.update_timestamp(files.timestamp.as_bytes(), clock)?;
    let _ = set.update_snapshot(files.snapshot.as_bytes(), clock)?;
    let _ = set.update_targets(files.targets.as_bytes(), clock)?;
    Ok(())
}

fn by(repository: Repository) -> impl Fn(TrustError) -> BundleError {
    move |source| BundleError::Trust { repository, source }
}

/// What the images repository says by these files, to whoever knows its first root.
///
/// # Errors
/// A node would refuse them.
pub fn catalogue(root: String, images: &Images, clock: Clock) -> Result<Catalogue, BundleError> {
    let open = || {
        let store = crate::trust::TrustStore::new(root);
        let mut set = TrustedSet::new(&store, Limits::DEFAULT)?;
        let _ = set.update_roots(images.roots.iter().map(String::as_bytes))?;
        update(&mut set, &images.metadata, clock)?;
        Catalogue::new(set, images.metadata.delegated.clone(), clock)
    };
    open().map_err(by(Repository::Images))
}

fn check_size(bytes: &[u8]) -> Result<(), BundleError> {
    if bytes.len() <= BUNDLE_MAX {
        return Ok(());
    }
    Err(BundleError::TooLarge { limit: BUNDLE_MAX, actual: bytes.len() })
}

#[cfg(test)]
mod tests;
