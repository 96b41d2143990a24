//! Releases: all documents of the workspace, or all genuine images, signed anew as one state of their
//! repository.
//!
//! Every release has one version, which only grows: a node that has seen a newer timestamp refuses an
//! older one, whatever document comes with it. So a bundle is always made from the newest release of both
//! repositories, and is tried against our own first roots before it is let out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use skerry_core::accept::{self, Refusal};
use skerry_core::bundle::{self, Address, Audience, Bundle, BundleError, Images};
use skerry_core::document::{Document, DocumentError};
use skerry_core::ids::{Digest, IdError};
use skerry_core::trust::metadata::{self, Signed, TargetMeta};
use skerry_core::trust::sign::{Release, SignError};
use skerry_core::trust::{Catalogue, Clock, Repository, Role, Roots};
use skerry_sync::config::Span;

use crate::workspace::{Workspace, WorkspaceError};

/// Why nothing was released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The workspace cannot be read or written.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The files cannot be signed.
    #[error("cannot sign: {0}")]
    Sign(#[from] SignError),
    /// A file that was signed is not one.
    #[error("{of}/metadata/{role}.json cannot be read: {source}")]
    Metadata {
        /// Whose.
        of: Repository,
        /// Which.
        role: Role,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Nothing was signed for this audience.
    #[error("nothing was signed for {0} yet; do: skerry-fleet sign -f agents.yaml --{kind} {name}", kind = kind(.0), name = name(.0))]
    NoDocument(Address),
    /// There is no root.
    #[error("the workspace has no root of {0} ({0}/roots/1.root.json)")]
    NoRoot(Repository),
    /// There is no list of images, not even an empty one.
    #[error("no list of images was ever signed; do: skerry-fleet images refresh")]
    NoImages,
    /// What was kept is not a document.
    #[error("the kept document of {address}: {source}")]
    Document {
        /// Whose.
        address: Address,
        /// What is wrong.
        source: DocumentError,
    },
    /// A name cannot be used.
    #[error(transparent)]
    Name(#[from] IdError),
    /// A node would refuse the bundle.
    #[error("a node would refuse this bundle: {0}")]
    Refused(#[from] BundleError),
    /// A node would refuse the document.
    #[error("a node would refuse this document: {0}")]
    NotAccepted(#[from] Refusal),
}

fn kind(address: &Address) -> &'static str {
    match address {
        Address::Node(_) => "node",
        Address::Group(_) => "group",
    }
}

fn name(address: &Address) -> &str {
    match address {
        Address::Node(name) => name.as_str(),
        Address::Group(name) => name.as_str(),
    }
}

/// A bundle that a node would take, and what is in it.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The bytes to send.
    pub bytes: Vec<u8>,
    /// The document within.
    pub document: Document,
    /// The digest of the document.
    pub digest: Digest,
    /// The version of the release.
    pub release: u64,
}

/// When something that begins now and holds so long ends.
pub fn ends(now: Timestamp, holds: Span) -> Timestamp {
    let holds = SignedDuration::try_from(holds.duration()).unwrap_or(SignedDuration::MAX);
    now.checked_add(holds).unwrap_or(Timestamp::MAX)
}

/// Signs all documents of the workspace as the next release of the director, and returns its version.
///
/// # Errors
/// The workspace cannot be read or written, or a key is missing.
pub fn next(workspace: &Workspace, now: Timestamp) -> Result<u64, ReleaseError> {
    let version = version(workspace, Repository::Director)?.saturating_add(1);
    next_as(workspace, version, now)?;
    Ok(version)
}

/// The same with any version.
///
/// # Errors
/// As [`next`].
pub fn next_as(workspace: &Workspace, version: u64, now: Timestamp) -> Result<(), ReleaseError> {
    let documents = workspace.documents()?.into_iter();
    let listed = documents
        .map(|(address, text)| (address.path(), TargetMeta::of(text.as_bytes())))
        .collect();
    sign(workspace, Repository::Director, version, &listed, now)
}

/// Signs the next release of a repository: all that it lists.
///
/// # Errors
/// The workspace cannot be read or written, or a key is missing.
pub fn sign(
    workspace: &Workspace,
    of: Repository,
    version: u64,
    listed: &BTreeMap<String, TargetMeta>,
    now: Timestamp,
) -> Result<(), ReleaseError> {
    let key = |role| workspace.key(of, role);
    let (timestamp, snapshot, targets) =
        (key(Role::Timestamp)?, key(Role::Snapshot)?, key(Role::Targets)?);
    let expires = |role| ends(now, workspace.expiry().of(of, role));
    let release = Release {
        version,
        timestamp_expires: expires(Role::Timestamp),
        snapshot_expires: expires(Role::Snapshot),
        targets_expires: expires(Role::Targets),
        listed,
        timestamp_keys: &[&timestamp],
        snapshot_keys: &[&snapshot],
        targets_keys: &[&targets],
    };
    Ok(workspace.put_release(of, &release.sign()?)?)
}

/// The version of the newest release of a repository; 0 before the first.
///
/// # Errors
/// The workspace cannot be read.
pub fn version(workspace: &Workspace, of: Repository) -> Result<u64, ReleaseError> {
    let Some(release) = workspace.release(of)? else { return Ok(0) };
    let signed: metadata::Timestamp = signed(of, Role::Timestamp, &release.timestamp)?;
    Ok(signed.version)
}

/// What the newest release of a repository lists.
///
/// # Errors
/// The workspace cannot be read.
pub fn listed(
    workspace: &Workspace,
    of: Repository,
) -> Result<BTreeMap<String, TargetMeta>, ReleaseError> {
    let Some(release) = workspace.release(of)? else { return Ok(BTreeMap::new()) };
    let signed: metadata::Targets = signed(of, Role::Targets, &release.targets)?;
    Ok(signed.targets)
}

/// When the files of the newest release of a repository end.
///
/// # Errors
/// The workspace cannot be read.
pub fn expires(
    workspace: &Workspace,
    of: Repository,
) -> Result<Vec<(Role, Timestamp)>, ReleaseError> {
    let Some(release) = workspace.release(of)? else { return Ok(Vec::new()) };
    let targets: metadata::Targets = signed(of, Role::Targets, &release.targets)?;
    let snapshot: metadata::Snapshot = signed(of, Role::Snapshot, &release.snapshot)?;
    let timestamp: metadata::Timestamp = signed(of, Role::Timestamp, &release.timestamp)?;
    Ok(vec![
        (Role::Targets, targets.expires),
        (Role::Snapshot, snapshot.expires),
        (Role::Timestamp, timestamp.expires),
    ])
}

/// What a file of ours says; it is our own, so that nobody's signature is asked for.
fn signed<T: serde::de::DeserializeOwned>(
    of: Repository,
    role: Role,
    text: &str,
) -> Result<T, ReleaseError> {
    let file =
        serde_json::from_str(text).and_then(|file: Signed| serde_json::from_value(file.signed));
    file.map_err(|source| ReleaseError::Metadata { of, role, source })
}

/// The images' files as they travel with each document.
///
/// # Errors
/// Nothing was signed, or the workspace cannot be read.
pub fn images(workspace: &Workspace) -> Result<Images, ReleaseError> {
    let release = workspace.release(Repository::Images)?.ok_or(ReleaseError::NoImages)?;
    Ok(Images::new(workspace.roots(Repository::Images)?, release))
}

/// The images that a node would take for genuine.
///
/// # Errors
/// A node would believe none of it; it has expired, for instance.
pub fn catalogue(workspace: &Workspace, now: Timestamp) -> Result<Catalogue, ReleaseError> {
    let first = first_root(workspace, Repository::Images)?;
    Ok(bundle::catalogue(first, &images(workspace)?, Clock { now, floor: now })?)
}

fn first_root(workspace: &Workspace, of: Repository) -> Result<String, ReleaseError> {
    workspace.roots(of)?.into_iter().next().ok_or(ReleaseError::NoRoot(of))
}

/// The newest document of an audience, parsed; nothing before the first.
///
/// # Errors
/// The workspace cannot be read, or holds something else.
pub fn document(
    workspace: &Workspace,
    address: &Address,
) -> Result<Option<(Document, String)>, ReleaseError> {
    let Some(text) = workspace.documents()?.remove(address) else { return Ok(None) };
    let document = Document::parse(text.as_bytes())
        .map_err(|source| ReleaseError::Document { address: address.clone(), source })?;
    Ok(Some((document, text)))
}

/// The newest document of an audience with the newest metadata, as a node takes it. It is verified
/// as a node with our first roots would, so that expiry is found here and not in the field.
///
/// # Errors
/// Nothing was signed, or a node would refuse it.
pub fn bundle(
    workspace: &Workspace,
    address: &Address,
    now: Timestamp,
) -> Result<Ready, ReleaseError> {
    let missing = || ReleaseError::NoDocument(address.clone());
    let (document, text) = document(workspace, address)?.ok_or_else(missing)?;
    let metadata = workspace.release(Repository::Director)?.ok_or_else(missing)?;
    let first = |of| first_root(workspace, of);
    let trust = Roots::new(first(Repository::Director)?, first(Repository::Images)?).into();
    let digest = Digest::of(text.as_bytes());
    let roots = workspace.roots(Repository::Director)?;
    let bytes = Bundle::new(roots, metadata, images(workspace)?, address, text).to_bytes()?;
    let clock = Clock { now, floor: now };
    let delivery = bundle::verify(&trust, &bytes, &asking(address)?, clock.into()).result?;
    accept::judge(None, &delivery)?;
    Ok(Ready { bytes, document, digest, release: version(workspace, Repository::Director)? })
}

/// Somebody for whom a document with this address is.
fn asking(address: &Address) -> Result<Audience, IdError> {
    match address {
        Address::Node(node) => Ok(Audience { node: node.clone(), groups: Vec::new() }),
        // Any name serves for the node; the group's is one.
        Address::Group(group) => {
            let node = group.as_str().parse()?;
            Ok(Audience { node, groups: vec![group.clone()] })
        }
    }
}

#[cfg(test)]
mod tests;
