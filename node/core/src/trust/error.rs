//! Every rule that can refuse a file, with what was expected and what was found.
//!
//! Decides only the words. They are for the operator's screen, so they name the role and the
//! figures. Text from outside is cut and escaped, since it comes from a stranger.

use std::sync::Arc;

use jiff::Timestamp;

use super::canonical::NotCanonical;
use super::envelope::KeysFault;
use super::{KeyError, KeyId, Role};

/// Why a file was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrustError {
    /// More bytes than are looked at.
    #[error("{role}: {actual} bytes are more than the {limit} allowed")]
    TooLarge {
        /// Whose file.
        role: Role,
        /// The most allowed.
        limit: u64,
        /// What came.
        actual: u64,
    },
    /// Not text.
    #[error("{role}: {source}")]
    NotUtf8 {
        /// Whose file.
        role: Role,
        /// Where the text ends.
        source: std::str::Utf8Error,
    },
    /// Not JSON, or not of the role's form.
    #[error("{role}: not a readable metadata file: {source}")]
    Malformed {
        /// Whose file.
        role: Role,
        /// What the parser says.
        source: Arc<serde_json::Error>,
    },
    /// A value that canonical JSON cannot write.
    #[error("{role}: {source}")]
    NotCanonical {
        /// Whose file.
        role: Role,
        /// Which value.
        source: NotCanonical,
    },
    /// The file is of another role.
    #[error("{role}: the file says that it is '{found}'")]
    WrongType {
        /// The role expected.
        role: Role,
        /// The `_type` found.
        found: String,
    },
    /// Made for another major version of TUF.
    #[error("{role}: made for version '{found}' of the TUF specification; 1.x is understood")]
    SpecVersion {
        /// Whose file.
        role: Role,
        /// The version found.
        found: String,
    },
    /// Versions begin with 1.
    #[error("{role}: version 0 does not exist")]
    ZeroVersion {
        /// Whose file.
        role: Role,
    },
    /// A role that needs no signature would be everybody's.
    #[error("root: the role {role} has a threshold of 0")]
    ZeroThreshold {
        /// The role so described.
        role: Role,
    },
    /// One key listed twice would count twice for a careless reader.
    #[error("root: the role {role} lists the key id {key} twice")]
    DuplicateKeyId {
        /// The role so described.
        role: Role,
        /// The key id.
        key: KeyId,
    },
    /// A key of the root that must not be trusted.
    #[error("root: {source}")]
    Key {
        /// Why.
        source: KeyError,
    },
    /// Two signatures of one key.
    #[error("{role}: signed twice with the key id {key}")]
    DuplicateSignature {
        /// Whose file.
        role: Role,
        /// The key id.
        key: KeyId,
    },
    /// Too few distinct keys signed.
    #[error(
        "{role}: {valid} of {threshold} required signatures are valid (keys of {by} version {by_version})"
    )]
    Threshold {
        /// Whose file.
        role: Role,
        /// Distinct keys that signed.
        valid: usize,
        /// Distinct keys needed.
        threshold: u64,
        /// The role whose file says so.
        by: Role,
        /// The version of that file.
        by_version: u64,
    },
    /// An older version than the trusted one.
    #[error("{role} version {version} is older than the trusted {trusted}")]
    Rollback {
        /// Whose file.
        role: Role,
        /// What came.
        version: u64,
        /// What is held.
        trusted: u64,
    },
    /// A root must follow its predecessor without a gap.
    #[error("root version {version} does not follow the trusted {trusted}: {} is missing", trusted.saturating_add(1))]
    RootGap {
        /// What came.
        version: u64,
        /// What is held.
        trusted: u64,
    },
    /// More new roots in one update than are followed.
    #[error(
        "more than {limit} roots follow the one that was trusted; root version {trusted} is trusted now, and the next bundle leads on"
    )]
    TooManyRoots {
        /// The most that are followed.
        limit: usize,
        /// How far the update came.
        trusted: u64,
    },
    /// A file lists another at an older version than the trusted list does.
    #[error("{role} lists {file} at version {version}, older than the trusted {trusted}")]
    ListedRollback {
        /// Whose file.
        role: Role,
        /// The file listed.
        file: String,
        /// The version now listed.
        version: u64,
        /// The version held.
        trusted: u64,
    },
    /// A file that was listed is not listed any more.
    #[error("{role} no longer lists {file}")]
    Unlisted {
        /// Whose file.
        role: Role,
        /// The file that is missing.
        file: String,
    },
    /// The version inside is not the one listed by the parent.
    #[error("{role} is version {version}, but {parent} lists version {listed}")]
    ListedVersion {
        /// Whose file.
        role: Role,
        /// Who lists it.
        parent: Role,
        /// The version inside.
        version: u64,
        /// The version listed.
        listed: u64,
    },
    /// The length is not the one listed.
    #[error("{file} has {actual} bytes, but {parent} lists {listed}")]
    Length {
        /// The file.
        file: String,
        /// Who lists it.
        parent: Role,
        /// The length listed.
        listed: u64,
        /// The length found.
        actual: u64,
    },
    /// The hash is not the one listed.
    #[error("{file} has the {algorithm} {actual}, but {parent} lists {listed}")]
    Hash {
        /// The file.
        file: String,
        /// Who lists it.
        parent: Role,
        /// The algorithm.
        algorithm: &'static str,
        /// The hash listed.
        listed: String,
        /// The hash found.
        actual: String,
    },
    /// Hashes are listed, but none that can be computed here.
    #[error("{file}: {parent} lists no sha256 and no sha512 for it")]
    NoKnownHash {
        /// The file.
        file: String,
        /// Who lists it.
        parent: Role,
    },
    /// Too old to be believed.
    #[error("{role} expired {expires} (judged at {at})")]
    Expired {
        /// Whose file.
        role: Role,
        /// When it ended.
        expires: Timestamp,
        /// The time it was judged by.
        at: Timestamp,
    },
    /// A file came before the one that vouches for it.
    #[error("there is no {missing} yet, which is needed first")]
    OutOfOrder {
        /// The role whose file must come first.
        missing: Role,
    },
    /// The document is not listed.
    #[error("targets version {version} does not list '{path}'")]
    NotListed {
        /// The document's path.
        path: String,
        /// The version of the targets.
        version: u64,
    },
    /// The document might be listed by a role whose file did not come along.
    #[error("'{path}' might be listed by the role '{role}', whose file did not come along")]
    DelegateMissing {
        /// The document's path.
        path: String,
        /// The role that comes next in the search.
        role: String,
    },
    /// More roles would have to be asked than are.
    #[error("'{path}' was not found in the {limit} delegated roles that one search asks")]
    TooManyDelegations {
        /// The document's path.
        path: String,
        /// The most roles that are asked.
        limit: usize,
    },
    /// A delegation that cannot be followed.
    #[error("the delegation to '{name}' {fault}")]
    Delegation {
        /// The delegated role.
        name: String,
        /// Why.
        fault: DelegationFault,
    },
    /// The file of a delegated role was refused.
    #[error("the delegated role '{name}': {source}")]
    Delegated {
        /// The delegated role.
        name: String,
        /// By which rule.
        source: Box<TrustError>,
    },
    /// A file that must be there is not.
    #[error("there is no {file}")]
    Missing {
        /// The file asked for.
        file: String,
    },
    /// Freshness could not be proven, and the policy asks for a proof.
    #[error(
        "the clock is not to be believed, and by policy nothing is taken whose freshness is unproven"
    )]
    Unproven,
}

/// What is wrong with a delegation (section 4.5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DelegationFault {
    /// Empty, or one of the four top-level roles, whose files it would take the place of.
    #[error("has a name that it must not have")]
    Name,
    /// Two delegations to one role in one file.
    #[error("is there twice")]
    Twice,
    /// Exactly one of the two says what it is for.
    #[error("needs either paths or path_hash_prefixes")]
    Paths,
    /// A delegation to bins stands alone, with 1 to 32 bits.
    #[error("is to bins, and needs 1 to 32 bits and no other delegation beside it")]
    Bins,
    /// Keys or threshold.
    #[error("{0}")]
    Keys(KeysFault),
}

impl TrustError {
    /// The rule that refused, as one stable word for reports and counters.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::TooManyRoots { .. } => "size",
            Self::NotUtf8 { .. }
            | Self::Malformed { .. }
            | Self::NotCanonical { .. }
            | Self::WrongType { .. }
            | Self::SpecVersion { .. }
            | Self::ZeroVersion { .. } => "format",
            Self::ZeroThreshold { .. } | Self::DuplicateKeyId { .. } | Self::Key { .. } => "keys",
            Self::DuplicateSignature { .. } | Self::Threshold { .. } => "signature",
            Self::Rollback { .. }
            | Self::RootGap { .. }
            | Self::ListedRollback { .. }
            | Self::Unlisted { .. } => "version",
            Self::ListedVersion { .. }
            | Self::Length { .. }
            | Self::Hash { .. }
            | Self::NoKnownHash { .. } => "mismatch",
            Self::Expired { .. } => "expired",
            Self::OutOfOrder { .. } => "order",
            Self::NotListed { .. } | Self::DelegateMissing { .. } => "listing",
            Self::TooManyDelegations { .. } | Self::Delegation { .. } => "delegation",
            Self::Delegated { source, .. } => source.rule(),
            Self::Missing { .. } => "missing",
            Self::Unproven => "freshness",
        }
    }
}

/// A stranger's text, fit for a screen: at most 80 characters, nothing that moves a cursor.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
