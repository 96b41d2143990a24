//! The search for one target through the roles that it is delegated to (specification 1.0, section 5.6.7).
//!
//! Decides which role is asked next, and ends at the first that lists the path: pre-order, in the order
//! of the delegations, each role at most once, and never more than [`super::Limits::delegations`]. A role
//! that terminates ends everything that was still to be asked. A role whose file is refused ends the search:
//! somebody less trusted must not speak in its place. It must never fetch: who drives it brings the file
//! of the role that [`Search::wanted`] names. Drivers are [`super::client`] and [`crate::bundle`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp as Time;

use super::delegation;
use super::envelope::{
    Authority, Held, Unchecked, check_hashes, check_length, check_listed, check_size,
};
use super::error::cut;
use super::metadata::{FileMeta, TargetMeta, Targets};
use super::set::{fresh, same_version};
use super::{Clock, KeyId, Proof, Role, TrustError, TrustedSet, Verified};
use crate::ids::Digest;

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    path: String,
    waiting: Vec<Visit>,
    seen: BTreeSet<String>,
    limit: usize,
    gave_up: bool,
    found: Option<Found>,
}

/// A role that is still to be asked.
#[derive(Debug, Clone)]
struct Visit {
    role: String,
    authority: Authority,
}

/// The role whose file a search needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The role's name, which may be any text.
    pub role: &'a str,
    /// What the snapshot lists of its file.
    pub listed: &'a FileMeta,
}

/// A target that a trusted role lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    path: String,
    role: String,
    meta: TargetMeta,
    versions: [u64; 4],
    expires: Time,
    signed_by: Vec<KeyId>,
    holders: Vec<KeyId>,
    clock: Clock,
}

impl Search {
    /// Begins with the top-level targets, which must be current.
    ///
    /// # Errors
    /// A file that vouches for the targets is missing, is another than its parent lists, or has expired.
    pub fn new(set: &TrustedSet, path: &str, clock: Clock) -> Result<Self, TrustError> {
        Self::within(set, set.current_targets(clock)?, path, clock)
    }

    /// Begins with top-level targets that are known to be current.
    pub(super) fn within(
        set: &TrustedSet,
        targets: &Held<Targets>,
        path: &str,
        clock: Clock,
    ) -> Result<Self, TrustError> {
        let mut search = Self {
            path: path.to_owned(),
            waiting: Vec::new(),
            seen: BTreeSet::new(),
            limit: set.limits().delegations,
            gave_up: false,
            found: None,
        };
        let holders = set.root().roles.targets.keyids.clone();
        search.ask(set, Role::Targets.name(), (targets, holders), clock)?;
        Ok(search)
    }

    /// Takes the files of all roles that are wanted, from those that came along. When one is not among
    /// them, [`Search::finish`] says so.
    ///
    /// # Errors
    /// As [`Search::visit`].
    pub fn follow(
        &mut self,
        set: &TrustedSet,
        files: &BTreeMap<String, String>,
        clock: Clock,
    ) -> Result<(), TrustError> {
        while let Some(role) = self.wanted(set)?.map(|wanted| wanted.role.to_owned()) {
            let Some(file) = files.get(&role) else { break };
            self.visit(set, file.as_bytes(), clock)?;
        }
        Ok(())
    }

    /// The role whose file is needed next; none when the search is over.
    ///
    /// # Errors
    /// The snapshot does not list the role's file.
    pub fn wanted<'a>(&'a self, set: &'a TrustedSet) -> Result<Option<Wanted<'a>>, TrustError> {
        let Some(Visit { role, .. }) = self.waiting.last() else { return Ok(None) };
        let file = format!("{role}.json");
        let listed = set.snapshot().and_then(|snapshot| snapshot.meta.get(&file));
        let listed = listed
            .ok_or_else(|| TrustError::Unlisted { role: Role::Snapshot, file: cut(&file) })?;
        Ok(Some(Wanted { role, listed }))
    }

    /// Takes the file of the role that is wanted. When it is refused, the search stays where it is:
    /// another file may be brought, or the refusal taken as the end.
    ///
    /// # Errors
    /// Not the file that the snapshot lists, too few signatures by the keys that the delegation names,
    /// another version, expired, or delegations that cannot be followed.
    pub fn visit(
        &mut self,
        set: &TrustedSet,
        bytes: &[u8],
        clock: Clock,
    ) -> Result<(), TrustError> {
        let Some(Wanted { role, listed }) = self.wanted(set)? else { return Ok(()) };
        let Some(Visit { authority, .. }) = self.waiting.last() else { return Ok(()) };
        let role = role.to_owned();
        let check = || -> Result<Held<Targets>, TrustError> {
            let limit = set.limits().targets;
            check_size(Role::Targets, limit, bytes)?;
            check_listed(&format!("{role}.json"), Role::Snapshot, listed, bytes)?;
            let held = Unchecked::<Targets>::read(bytes, limit)?.verify(authority)?;
            same_version(&held, Role::Snapshot, listed)?;
            delegation::check(&held.signed, set.other())?;
            fresh(&held, clock)?;
            Ok(held)
        };
        let named = |why| TrustError::Delegated { name: cut(&role), source: Box::new(why) };
        let held = check().map_err(named)?;
        let holders = authority.key_ids();
        self.waiting.pop();
        self.ask(set, &role, (&held, holders), clock)
    }

    /// Looks into one role, and lines up those it delegates the path to.
    fn ask(
        &mut self,
        set: &TrustedSet,
        role: &str,
        (held, holders): (&Held<Targets>, Vec<KeyId>),
        clock: Clock,
    ) -> Result<(), TrustError> {
        if let Some(meta) = held.signed.targets.get(&self.path) {
            let found = Found::new(set, &self.path, role, held, meta, clock);
            self.found = Some(Found { holders, ..found });
            self.waiting.clear();
            return Ok(());
        }
        self.seen.insert(role.to_owned());
        if let Some(delegations) = &held.signed.delegations {
            let mut children = Vec::new();
            for delegate in delegations.of_path(&self.path) {
                if !self.seen.contains(&*delegate.name) {
                    let authority =
                        delegate.authority(delegations, held.signed.version, set.other())?;
                    children.push(Visit { role: delegate.name.to_string(), authority });
                }
                if delegate.terminating {
                    self.waiting.clear();
                    break;
                }
                // More are never reached: each of these will have been asked before.
                if children.len() > self.limit {
                    break;
                }
            }
            self.waiting.extend(children.into_iter().rev());
        }
        while self.waiting.last().is_some_and(|next| self.seen.contains(&next.role)) {
            self.waiting.pop();
        }
        // The top-level targets are among the seen ones.
        if self.seen.len() > self.limit && !self.waiting.is_empty() {
            self.waiting.clear();
            self.gave_up = true;
        }
        Ok(())
    }

    /// What came of it.
    ///
    /// # Errors
    /// No role lists the path, too many would have to be asked, or one is still to be.
    pub fn finish(self, set: &TrustedSet) -> Result<Found, TrustError> {
        let path = cut(&self.path);
        if let Some(next) = self.wanted(set)? {
            return Err(TrustError::DelegateMissing { path, role: cut(next.role) });
        }
        if let Some(found) = self.found {
            return Ok(found);
        }
        if self.gave_up {
            return Err(TrustError::TooManyDelegations { path, limit: self.limit });
        }
        let version = set.targets().map(|targets| targets.version).unwrap_or_default();
        Err(TrustError::NotListed { path, version })
    }
}

impl Found {
    fn new(
        set: &TrustedSet,
        path: &str,
        role: &str,
        held: &Held<Targets>,
        meta: &TargetMeta,
        clock: Clock,
    ) -> Self {
        let timestamp = set.timestamp().map(|file| file.version).unwrap_or_default();
        let snapshot = set.snapshot().map(|file| file.version).unwrap_or_default();
        Self {
            path: path.to_owned(),
            role: role.to_owned(),
            meta: meta.clone(),
            versions: [set.root().version, timestamp, snapshot, held.signed.version],
            expires: held.signed.expires,
            signed_by: held.signed_by.clone(),
            holders: Vec::new(),
            clock,
        }
    }

    /// The role that lists it.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Its length, its hashes, and what the signer added.
    pub fn meta(&self) -> &TargetMeta {
        &self.meta
    }

    /// The name to ask the repository for (section 6.2): with consistent snapshots, a hash stands before
    /// the file's own name.
    pub fn file_name(&self, consistent: bool) -> String {
        let hash = ["sha256", "sha512"].into_iter().find_map(|name| self.meta.hashes.get(name));
        match (hash, self.path.rsplit_once('/')) {
            (Some(hash), Some((folder, name))) if consistent => format!("{folder}/{hash}.{name}"),
            (Some(hash), None) if consistent => format!("{hash}.{}", self.path),
            _ => self.path.clone(),
        }
    }

    /// Section 5.7.3: whether these bytes are the target.
    ///
    /// # Errors
    /// Another length or hash, or no hash that can be computed.
    pub fn check(&self, bytes: &[u8]) -> Result<(), TrustError> {
        check_length(&self.path, Role::Targets, self.meta.length, bytes)?;
        check_hashes(&self.path, Role::Targets, &self.meta.hashes, bytes)
    }

    /// The target, with the evidence.
    ///
    /// # Errors
    /// As [`Found::check`].
    pub fn verify(&self, bytes: &[u8]) -> Result<Verified<Vec<u8>>, TrustError> {
        self.check(bytes)?;
        let [root_version, timestamp_version, snapshot_version, targets_version] = self.versions;
        let proof = Proof {
            path: self.path.clone(),
            digest: Digest::of(bytes),
            root_version,
            timestamp_version,
            snapshot_version,
            targets_version,
            targets_expires: self.expires,
            signed_by: self.signed_by.clone(),
            holders: self.holders.clone(),
            freshness: self.clock.freshness(),
        };
        Ok(Verified::new(bytes.to_vec(), proof))
    }
}
