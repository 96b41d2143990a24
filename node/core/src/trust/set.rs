//! The client workflow of TUF (specification 1.0, section 5), one file at a time.
//!
//! Decides whether a newer root, timestamp, snapshot or targets replaces the trusted one, and
//! whether a document is one that the targets list. It must never fetch, store or look at a clock:
//! the caller brings the bytes and the time, and persists [`TrustedSet::to_store`] after every
//! step, failed steps included, since a step that failed may follow one that counts.
//!
//! The order is root (each of the newer ones), timestamp, snapshot, targets, document; a step out of
//! order is refused. Expired files that were trusted before still guard against older versions.

use super::delegation;
use super::envelope::{
    Authority, Held, Unchecked, check_listed, check_root, check_size, claimed_root_version,
};
use super::error::cut;
use super::floor::Standing;
use super::keys::ReadOther;
use super::metadata::{
    FileMeta, Metadata, Root, SNAPSHOT_FILE, Snapshot, TARGETS_FILE, Targets, Timestamp,
};
use super::search::Search;
use super::{Clock, Limits, Role, TrustError, TrustStore, Verified};

/// What a step changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// The file is trusted now.
    Accepted,
    /// The version is the trusted one already; the trusted file stays.
    Unchanged,
}

/// The files that are trusted now.
#[derive(Debug, Clone)]
pub struct TrustedSet {
    rules: Rules,
    root: Held<Root>,
    timestamp: Option<Held<Timestamp>>,
    snapshot: Option<Held<Snapshot>>,
    targets: Option<Held<Targets>>,
    dropped: Vec<TrustError>,
    keys_were_taken: bool,
}

/// What does not change while a set lives.
#[derive(Debug, Clone, Copy)]
struct Rules {
    limits: Limits,
    other: Option<ReadOther>,
}

impl TrustedSet {
    /// The set as persisted. The other files are checked with the root's keys as they are now, and
    /// dropped when they fail ([`TrustedSet::dropped`] says why); their expiry does not matter yet.
    ///
    /// # Errors
    /// When the persisted root is not signed by its own keys: without it nothing can be trusted.
    pub fn new(store: &TrustStore, limits: Limits) -> Result<Self, TrustError> {
        Self::with_other_keys(store, limits, None)
    }

    /// The same with keys of other kinds than ed25519. For a client that is put to the test with them;
    /// the product never does this.
    ///
    /// # Errors
    /// As [`TrustedSet::new`].
    pub fn with_other_keys(
        store: &TrustStore,
        limits: Limits,
        other: Option<ReadOther>,
    ) -> Result<Self, TrustError> {
        let rules = Rules { limits, other };
        let root = Unchecked::<Root>::read(store.root.as_bytes(), limits.root)?;
        check_root(root.claims(), other)?;
        let own = Authority::of(root.claims(), Role::Root, other)?;
        let root = root.verify(&own)?;
        let mut dropped = Vec::new();
        let timestamp = cached(store.timestamp.as_deref(), &root.signed, rules, &mut dropped);
        let snapshot = cached(store.snapshot.as_deref(), &root.signed, rules, &mut dropped);
        let targets = cached(store.targets.as_deref(), &root.signed, rules, &mut dropped);
        let keys_were_taken = false;
        Ok(Self { rules, root, timestamp, snapshot, targets, dropped, keys_were_taken })
    }

    /// The files to persist.
    pub fn to_store(&self) -> TrustStore {
        TrustStore {
            root: self.root.raw.clone(),
            timestamp: self.timestamp.as_ref().map(|held| held.raw.clone()),
            snapshot: self.snapshot.as_ref().map(|held| held.raw.clone()),
            targets: self.targets.as_ref().map(|held| held.raw.clone()),
        }
    }

    /// Why persisted files were dropped, when the set was read or the root replaced.
    pub fn dropped(&self) -> &[TrustError] {
        &self.dropped
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.rules.limits
    }

    pub(super) fn other(&self) -> Option<ReadOther> {
        self.rules.other
    }

    /// Whether a root of this update took a key of timestamp or snapshot away (section 5.3.11): what
    /// was persisted of the two files must go, too, and so must a time floor that such a key raised.
    pub fn keys_were_taken(&self) -> bool {
        self.keys_were_taken
    }

    pub(super) fn root_text(&self) -> &str {
        &self.root.raw
    }

    /// The trusted root, expired or not.
    pub fn root(&self) -> &Root {
        &self.root.signed
    }

    /// The trusted timestamp, expired or not.
    pub fn timestamp(&self) -> Option<&Timestamp> {
        self.timestamp.as_ref().map(|held| &held.signed)
    }

    /// The trusted snapshot, expired or not, and perhaps not the one that the timestamp lists.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref().map(|held| &held.signed)
    }

    /// The trusted targets, expired or not, and perhaps not the ones that the snapshot lists.
    pub fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref().map(|held| &held.signed)
    }

    /// The trusted targets with their bytes.
    pub(super) fn held_targets(&self) -> Option<&Held<Targets>> {
        self.targets.as_ref()
    }

    /// What the timestamp lists of the snapshot, when the one at hand is not that one.
    pub fn snapshot_wanted(&self) -> Option<&FileMeta> {
        let listed = &self.timestamp.as_ref()?.signed.meta.snapshot;
        match &self.snapshot {
            Some(held) if is_listed(held, SNAPSHOT_FILE, Role::Timestamp, listed).is_ok() => None,
            _ => Some(listed),
        }
    }

    /// What the snapshot lists of the targets, when the ones at hand are not those.
    pub fn targets_wanted(&self) -> Option<&FileMeta> {
        let listed = self.snapshot.as_ref()?.signed.meta.get(TARGETS_FILE)?;
        match &self.targets {
            Some(held) if is_listed(held, TARGETS_FILE, Role::Snapshot, listed).is_ok() => None,
            _ => Some(listed),
        }
    }

    /// Section 5.3: the root that follows the trusted one. Its expiry is looked at only when the
    /// next file comes, so that an expired root on the way to a current one is no obstacle. When a
    /// key of timestamp or snapshot was taken away, both files are dropped: whoever had the key may
    /// have pushed their versions far ahead.
    ///
    /// # Errors
    /// Too large, malformed, a weak key, too few signatures by the old or the new keys, an older
    /// version, or a gap.
    pub fn update_root(&mut self, bytes: &[u8]) -> Result<Step, TrustError> {
        let newer = Unchecked::<Root>::read(bytes, self.rules.limits.root)?;
        let other = self.rules.other;
        newer.check(&Authority::of(&self.root.signed, Role::Root, other)?)?;
        check_root(newer.claims(), other)?;
        let newer = {
            let own = Authority::of(newer.claims(), Role::Root, other)?;
            newer.verify(&own)?
        };
        let (version, trusted) = (newer.signed.version, self.root.signed.version);
        if version == trusted {
            return Ok(Step::Unchanged);
        }
        if version < trusted {
            return Err(TrustError::Rollback { role: Role::Root, version, trusted });
        }
        if version != trusted.saturating_add(1) {
            return Err(TrustError::RootGap { version, trusted });
        }
        self.replace_root(newer)?;
        Ok(Step::Accepted)
    }

    /// The same for a whole chain, in order. What is not newer than the trusted root is passed over
    /// unread and uncounted, since the sender cannot know which root a node has.
    ///
    /// # Errors
    /// As [`TrustedSet::update_root`], and more new roots than the limit; the roots before the one refused are
    /// trusted all the same.
    pub fn update_roots<'a>(
        &mut self,
        roots: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Step, TrustError> {
        let (mut step, Limits { roots: limit, root: size, .. }) =
            (Step::Unchanged, self.rules.limits);
        let mut left = limit;
        for root in roots {
            let trusted = self.root.signed.version;
            if claimed_root_version(root, size)? > trusted {
                left = left.checked_sub(1).ok_or(TrustError::TooManyRoots { limit, trusted })?;
                step = self.update_root(root)?;
            }
        }
        Ok(step)
    }

    fn replace_root(&mut self, newer: Held<Root>) -> Result<(), TrustError> {
        let old = std::mem::replace(&mut self.root, newer);
        let (old, new) = (&old.signed, &self.root.signed);
        let rules = self.rules;
        let keys = |root, role| Authority::of(root, role, rules.other);
        for role in [Role::Timestamp, Role::Snapshot] {
            if keys(old, role)?.lost_keys(&keys(new, role)?) {
                self.timestamp = None;
                self.snapshot = None;
                self.keys_were_taken = true;
            }
        }
        let changed = |role| -> Result<bool, TrustError> {
            Ok(!keys(old, role)?.demands_the_same(&keys(new, role)?))
        };
        let dropped = &mut self.dropped;
        if changed(Role::Timestamp)? {
            self.timestamp = recheck(self.timestamp.take(), new, rules, dropped);
        }
        if changed(Role::Snapshot)? {
            self.snapshot = recheck(self.snapshot.take(), new, rules, dropped);
        }
        if changed(Role::Targets)? {
            self.targets = recheck(self.targets.take(), new, rules, dropped);
        }
        Ok(())
    }

    /// A timestamp that was persisted: it counts if the root as it is now still vouches for it.
    pub(super) fn restore_timestamp(&mut self, bytes: &[u8]) {
        self.timestamp = self.verified(bytes, None).map_err(|why| self.dropped.push(why)).ok();
    }

    /// The same for a snapshot.
    pub(super) fn restore_snapshot(&mut self, bytes: &[u8]) {
        self.snapshot = self.verified(bytes, None).map_err(|why| self.dropped.push(why)).ok();
    }

    /// The same for targets.
    pub(super) fn restore_targets(&mut self, bytes: &[u8]) {
        self.targets = self.verified(bytes, None).map_err(|why| self.dropped.push(why)).ok();
    }

    /// Section 5.4: a timestamp. The trusted one stays when the version is the same.
    ///
    /// # Errors
    /// The root has expired; too large, malformed, too few signatures; older than the trusted one, or
    /// listing an older snapshot; expired.
    pub fn update_timestamp(&mut self, bytes: &[u8], clock: Clock) -> Result<Step, TrustError> {
        fresh(&self.root, clock)?;
        let newer = self.verified(bytes, self.timestamp.as_ref())?;
        if let Some(held) = &self.timestamp {
            let (version, trusted) = (newer.signed.version, held.signed.version);
            if version < trusted {
                return Err(TrustError::Rollback { role: Role::Timestamp, version, trusted });
            }
            if version == trusted {
                fresh(held, clock)?;
                return Ok(Step::Unchanged);
            }
            let listed = newer.signed.meta.snapshot.version;
            let before = held.signed.meta.snapshot.version;
            no_older(Role::Timestamp, SNAPSHOT_FILE, listed, before)?;
        }
        fresh(&newer, clock)?;
        self.timestamp = Some(newer);
        Ok(Step::Accepted)
    }

    /// Section 5.5: the snapshot that the trusted timestamp lists.
    ///
    /// # Errors
    /// No timestamp, or one that has expired; not the file listed; too few signatures; another
    /// version than listed; a targets file lost or older than in the trusted snapshot; expired.
    pub fn update_snapshot(&mut self, bytes: &[u8], clock: Clock) -> Result<Step, TrustError> {
        let timestamp = self.current_timestamp(clock)?;
        let listed = &timestamp.signed.meta.snapshot;
        check_size(Role::Snapshot, self.rules.limits.snapshot, bytes)?;
        check_listed(SNAPSHOT_FILE, Role::Timestamp, listed, bytes)?;
        let newer = self.verified(bytes, self.snapshot.as_ref())?;
        same_version(&newer, Role::Timestamp, listed)?;
        if let Some(held) = &self.snapshot {
            for (file, before) in &held.signed.meta {
                let Some(now) = newer.signed.meta.get(file) else {
                    return Err(TrustError::Unlisted { role: Role::Snapshot, file: cut(file) });
                };
                no_older(Role::Snapshot, file, now.version, before.version)?;
            }
        }
        fresh(&newer, clock)?;
        let step = replaces(&newer, self.snapshot.as_ref());
        self.snapshot = Some(newer);
        Ok(step)
    }

    /// Section 5.6: the targets that the trusted snapshot lists.
    ///
    /// # Errors
    /// No snapshot, or not the one that the timestamp lists, or one that has expired; not the file
    /// listed; too few signatures; another version than listed; expired.
    pub fn update_targets(&mut self, bytes: &[u8], clock: Clock) -> Result<Step, TrustError> {
        let snapshot = self.current_snapshot(clock)?;
        let listed = targets_in(&snapshot.signed)?;
        check_size(Role::Targets, self.rules.limits.targets, bytes)?;
        check_listed(TARGETS_FILE, Role::Snapshot, listed, bytes)?;
        let newer = self.verified(bytes, self.targets.as_ref())?;
        same_version(&newer, Role::Snapshot, listed)?;
        delegation::check(&newer.signed, self.rules.other)?;
        fresh(&newer, clock)?;
        let step = replaces(&newer, self.targets.as_ref());
        self.targets = Some(newer);
        Ok(step)
    }

    /// Section 5.7: a document, by its path and bytes, that the top-level targets list; [`Search`] finds
    /// the others. All files that vouch for it must be there, belong together, and be fresh.
    ///
    /// # Errors
    /// A file is missing, is not the one its parent lists, or has expired; the document is not listed;
    /// its length or hash is another.
    pub fn verify_target(
        &self,
        path: &str,
        bytes: &[u8],
        clock: Clock,
    ) -> Result<Verified<Vec<u8>>, TrustError> {
        Search::new(self, path, clock)?.finish(self)?.verify(bytes)
    }

    /// Whether the root may still be believed.
    pub(super) fn check_root_is_fresh(&self, clock: Clock) -> Result<(), TrustError> {
        fresh(&self.root, clock)
    }

    /// The very bytes that are held have passed already, by the keys of the same root: each new root drops
    /// what its keys do not vouch for.
    fn verified<T: Metadata + Clone>(
        &self,
        bytes: &[u8],
        held: Option<&Held<T>>,
    ) -> Result<Held<T>, TrustError> {
        if let Some(held) = held.filter(|held| held.raw.as_bytes() == bytes) {
            return Ok(held.clone());
        }
        let authority = Authority::of(&self.root.signed, T::ROLE, self.rules.other)?;
        Unchecked::<T>::read(bytes, self.rules.limits.bytes(T::ROLE))?.verify(&authority)
    }

    fn current_timestamp(&self, clock: Clock) -> Result<&Held<Timestamp>, TrustError> {
        fresh(&self.root, clock)?;
        let missing = Role::Timestamp;
        let held = self.timestamp.as_ref().ok_or(TrustError::OutOfOrder { missing })?;
        fresh(held, clock)?;
        Ok(held)
    }

    pub(super) fn current_snapshot(&self, clock: Clock) -> Result<&Held<Snapshot>, TrustError> {
        let listed = &self.current_timestamp(clock)?.signed.meta.snapshot;
        let missing = Role::Snapshot;
        let held = self.snapshot.as_ref().ok_or(TrustError::OutOfOrder { missing })?;
        is_listed(held, SNAPSHOT_FILE, Role::Timestamp, listed)?;
        fresh(held, clock)?;
        Ok(held)
    }

    pub(super) fn current_targets(&self, clock: Clock) -> Result<&Held<Targets>, TrustError> {
        let listed = targets_in(&self.current_snapshot(clock)?.signed)?;
        let missing = Role::Targets;
        let held = self.targets.as_ref().ok_or(TrustError::OutOfOrder { missing })?;
        is_listed(held, TARGETS_FILE, Role::Snapshot, listed)?;
        fresh(held, clock)?;
        Ok(held)
    }
}

/// A persisted file, if the root's keys still vouch for it.
fn cached<T: Metadata>(
    raw: Option<&str>,
    root: &Root,
    rules: Rules,
    dropped: &mut Vec<TrustError>,
) -> Option<Held<T>> {
    let read = |raw: &str| {
        let authority = Authority::of(root, T::ROLE, rules.other)?;
        Unchecked::<T>::read(raw.as_bytes(), rules.limits.bytes(T::ROLE))?.verify(&authority)
    };
    read(raw?).map_err(|why| dropped.push(why)).ok()
}

fn recheck<T: Metadata>(
    held: Option<Held<T>>,
    root: &Root,
    rules: Rules,
    dropped: &mut Vec<TrustError>,
) -> Option<Held<T>> {
    cached(Some(&held?.raw), root, rules, dropped)
}

pub(super) fn fresh<T: Metadata>(held: &Held<T>, clock: Clock) -> Result<(), TrustError> {
    let (expires, at) = (held.signed.expires(), clock.effective());
    match clock.standing(expires) {
        Standing::Expired => Err(TrustError::Expired { role: T::ROLE, expires, at }),
        Standing::Fresh | Standing::Unproven => Ok(()),
    }
}

fn no_older(role: Role, file: &str, version: u64, trusted: u64) -> Result<(), TrustError> {
    if version >= trusted {
        return Ok(());
    }
    Err(TrustError::ListedRollback { role, file: cut(file), version, trusted })
}

pub(super) fn same_version<T: Metadata>(
    file: &Held<T>,
    parent: Role,
    listed: &FileMeta,
) -> Result<(), TrustError> {
    let (role, version, listed) = (T::ROLE, file.signed.version(), listed.version);
    if version == listed {
        return Ok(());
    }
    Err(TrustError::ListedVersion { role, parent, version, listed })
}

fn is_listed<T: Metadata>(
    held: &Held<T>,
    file: &str,
    parent: Role,
    listed: &FileMeta,
) -> Result<(), TrustError> {
    same_version(held, parent, listed)?;
    check_listed(file, parent, listed, held.raw.as_bytes())
}

fn replaces<T>(newer: &Held<T>, held: Option<&Held<T>>) -> Step {
    match held {
        Some(held) if held.raw == newer.raw => Step::Unchanged,
        _ => Step::Accepted,
    }
}

fn targets_in(snapshot: &Snapshot) -> Result<&FileMeta, TrustError> {
    snapshot
        .meta
        .get(TARGETS_FILE)
        .ok_or_else(|| TrustError::Unlisted { role: Role::Snapshot, file: TARGETS_FILE.to_owned() })
}
