//! Releases: all documents of the workspace, signed anew as one state of the repository.
//!
//! Every release has one version, which only grows: a node that has seen a newer timestamp refuses
//! an older one, whatever document comes with it. So a bundle is always made from the newest
//! release, and is tried against our own root before it is let out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use skerry_core::bundle::{self, Address, Audience, Bundle, BundleError};
use skerry_core::document::{Document, DocumentError};
use skerry_core::ids::{Digest, IdError};
use skerry_core::trust::metadata::{self, Signed};
use skerry_core::trust::sign::{Release, SignError};
use skerry_core::trust::{Clock, Role, TrustStore};
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
    /// The last timestamp is not one.
    #[error("metadata/timestamp.json cannot be read: {0}")]
    Timestamp(serde_json::Error),
    /// Nothing was signed for this audience.
    #[error("nothing was signed for {0} yet; do: skerry-fleet sign -f agents.yaml --{kind} {name}", kind = kind(.0), name = name(.0))]
    NoDocument(Address),
    /// There is no root.
    #[error("the workspace has no root (roots/1.root.json)")]
    NoRoot,
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

/// Signs all documents of the workspace as the next release, and returns its version.
///
/// # Errors
/// The workspace cannot be read or written, or a key is missing.
pub fn next(workspace: &Workspace, now: Timestamp) -> Result<u64, ReleaseError> {
    let version = version(workspace)? + 1;
    let documents: BTreeMap<String, Vec<u8>> = workspace
        .documents()?
        .into_iter()
        .map(|(address, text)| (address.path(), text.into_bytes()))
        .collect();
    let expiry = workspace.expiry();
    let key = |role| workspace.key(role);
    let (timestamp, snapshot, targets) =
        (key(Role::Timestamp)?, key(Role::Snapshot)?, key(Role::Targets)?);
    let release = Release {
        version,
        timestamp_expires: ends(now, expiry.timestamp),
        snapshot_expires: ends(now, expiry.snapshot),
        targets_expires: ends(now, expiry.targets),
        documents: &documents,
        timestamp_keys: &[&timestamp],
        snapshot_keys: &[&snapshot],
        targets_keys: &[&targets],
    };
    workspace.put_release(&release.sign()?)?;
    Ok(version)
}

/// The version of the newest release; 0 before the first.
///
/// # Errors
/// The workspace cannot be read.
pub fn version(workspace: &Workspace) -> Result<u64, ReleaseError> {
    let Some(release) = workspace.release()? else { return Ok(0) };
    let file: Signed = serde_json::from_str(&release.timestamp).map_err(ReleaseError::Timestamp)?;
    let signed: metadata::Timestamp =
        serde_json::from_value(file.signed).map_err(ReleaseError::Timestamp)?;
    Ok(signed.version)
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
/// as a node with our first root would, so that expiry is found here and not in the field.
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
    let metadata = workspace.release()?.ok_or_else(missing)?;
    let roots = workspace.roots()?;
    let first = roots.first().ok_or(ReleaseError::NoRoot)?.clone();
    let digest = Digest::of(text.as_bytes());
    let bytes = Bundle::new(roots, metadata, address, text).to_bytes()?;
    let clock = Clock { now, floor: now };
    bundle::verify(&TrustStore::new(first), &bytes, &asking(address)?, clock).result?;
    Ok(Ready { bytes, document, digest, release: version(workspace)? })
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
