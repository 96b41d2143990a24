//! The whole client workflow of TUF (specification 1.0, section 5), as a machine that somebody else drives.
//!
//! Decides which file is needed next, whether it is believed, and what is to be persisted. Bytes go in and
//! verdicts come out, so that MQTT, HTTP and a folder serve alike: ask [`Client::next`], bring that file
//! to [`Client::give`], make the changes it answers with durable, and ask again. It must never fetch,
//! store or look at a clock, and judges the whole update at one fixed time (section 5.1). The rules for each
//! file are in [`super::set`], the search through delegations is in [`super::search`].

use super::keys::ReadOther;
use super::metadata::{FileMeta, SNAPSHOT_FILE, TARGETS_FILE};
use super::search::{Found, Search};
use super::set::Step;
use super::{Clock, Limits, Role, TrustError, TrustStore, TrustedSet};

/// What the client asks of its driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Bring this file, or say that it is missing.
    Want(Want),
    /// Nothing more: the update or the search is over, or it has failed.
    Done,
}

/// A file to be brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Where it is looked for.
    pub place: Place,
    /// Its name there, fit for a URL and for a file system.
    pub file: String,
    /// No more bytes than these are believed; whoever reads should stop after one more.
    pub max_length: u64,
}

/// Where a file is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Among what was persisted at the client's word.
    Kept,
    /// In the repository.
    Repository,
}

/// What the driver brings.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// The file, as it was served.
    File(&'a [u8]),
    /// It is certain that there is none. An interrupted or refused request is no answer: it ends the
    /// update, since whoever can interrupt a request for a root could hide it.
    Missing,
}

/// What is to be made durable, in this order, before the next question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Keep these bytes under this name.
    Keep {
        /// The name among the kept files.
        file: String,
        /// The bytes as they were served.
        bytes: Vec<u8>,
    },
    /// Keep nothing under this name.
    Drop {
        /// The name among the kept files.
        file: String,
    },
}

/// The client under way through one update.
#[derive(Debug)]
pub struct Client {
    set: TrustedSet,
    clock: Clock,
    stage: Stage,
    search: Option<Search>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// So many newer roots may still come.
    Roots(usize),
    Keep(Role),
    Fetch(Role),
    KeptDelegate,
    Delegate,
    Updated,
    Failed,
}

impl Client {
    /// A client that trusts this root and will judge at this time.
    ///
    /// # Errors
    /// The root is not one, or is not signed by its own keys.
    pub fn new(root: &[u8], limits: Limits, clock: Clock) -> Result<Self, TrustError> {
        Self::with_other_keys(root, limits, clock, None)
    }

    /// The same with keys of other kinds than ed25519, for a client under test. The product never does
    /// this.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_other_keys(
        root: &[u8],
        limits: Limits,
        clock: Clock,
        other: Option<ReadOther>,
    ) -> Result<Self, TrustError> {
        let text = std::str::from_utf8(root)
            .map_err(|source| TrustError::NotUtf8 { role: Role::Root, source })?;
        let store = TrustStore::new(text.to_owned());
        let set = TrustedSet::with_other_keys(&store, limits, other)?;
        Ok(Self { set, clock, stage: Stage::Roots(limits.roots), search: None })
    }

    /// What is trusted now.
    pub fn trusted(&self) -> &TrustedSet {
        &self.set
    }

    /// Which file is needed next.
    pub fn next(&self) -> Next {
        let limits = self.set.limits();
        let want = |place, file, max_length: usize| {
            Next::Want(Want { place, file, max_length: max_length as u64 })
        };
        match self.stage {
            Stage::Roots(_) => {
                let version = self.set.root().version.saturating_add(1);
                want(Place::Repository, format!("{version}.root.json"), limits.root)
            }
            Stage::Keep(role) => want(Place::Kept, kept_name(role.name()), limits.bytes(role)),
            Stage::Fetch(role) => {
                let (file, max) = self.repository_file(role.name(), limits.bytes(role));
                want(Place::Repository, file, max)
            }
            Stage::KeptDelegate => self
                .delegate()
                .map_or(Next::Done, |role| want(Place::Kept, kept_name(role), limits.targets)),
            Stage::Delegate => self.delegate().map_or(Next::Done, |role| {
                let (file, max) = self.repository_file(role, limits.targets);
                want(Place::Repository, file, max)
            }),
            Stage::Updated | Stage::Failed => Next::Done,
        }
    }

    /// Takes the file that [`Client::next`] named.
    ///
    /// # Errors
    /// The rule that the file broke. A refused file ends the update; what was persisted before it counts.
    /// A kept file is never refused so: one that fails is passed over, and the repository is asked.
    pub fn give(&mut self, answer: Answer<'_>) -> Result<Vec<Change>, TrustError> {
        let result = match (self.stage, answer) {
            (Stage::Roots(left), answer) => self.take_root(left, answer),
            (Stage::Keep(role), answer) => self.take_kept(role, answer),
            (Stage::Fetch(role), Answer::File(bytes)) => self.take_fetched(role, bytes),
            (Stage::KeptDelegate, answer) => self.take_kept_delegate(answer),
            (Stage::Delegate, Answer::File(bytes)) => self.take_delegate(bytes),
            (Stage::Fetch(_) | Stage::Delegate, Answer::Missing) => Err(self.missing()),
            (Stage::Updated | Stage::Failed, _) => Ok(Vec::new()),
        };
        if result.is_err() {
            self.stage = Stage::Failed;
        }
        result
    }

    /// Section 5.6.7 and 5.7: looks for a target, after the update. The roles that are asked on the way are
    /// wanted by [`Client::next`] as the other files were; when it is done, [`Client::found`] answers.
    ///
    /// # Errors
    /// The update is not over, or has failed.
    pub fn find(&mut self, path: &str) -> Result<(), TrustError> {
        if self.stage != Stage::Updated {
            return Err(TrustError::OutOfOrder { missing: Role::Targets });
        }
        self.search = Some(Search::new(&self.set, path, self.clock)?);
        self.go_on_searching();
        Ok(())
    }

    /// What came of the search.
    ///
    /// # Errors
    /// There was none, it is not over or has failed, no role lists the path, too many would have to be
    /// asked, or the snapshot does not list one of them.
    pub fn found(&self) -> Result<Found, TrustError> {
        match (&self.search, self.stage) {
            (Some(search), Stage::Updated) => search.clone().finish(&self.set),
            _ => Err(TrustError::OutOfOrder { missing: Role::Targets }),
        }
    }

    /// Section 5.3: one root after another, each durable before the next is asked for. Only the last one's
    /// expiry matters, and only when no newer one comes.
    fn take_root(&mut self, left: usize, answer: Answer<'_>) -> Result<Vec<Change>, TrustError> {
        let Answer::File(bytes) = answer else { return self.end_roots(Vec::new()) };
        let trusted = self.set.root().version;
        if self.set.update_root(bytes)? == Step::Unchanged {
            return Err(TrustError::RootGap { version: trusted, trusted });
        }
        let mut changes = Vec::new();
        if self.set.keys_were_taken() {
            // Before the root: with the root alone durable, the next update would know of no key taken.
            let gone = [Role::Timestamp, Role::Snapshot].map(|role| kept_name(role.name()));
            changes.extend(gone.map(|file| Change::Drop { file }));
        }
        changes.push(keep(Role::Root.name(), self.set.root_text().as_bytes()));
        self.stage = Stage::Roots(left.saturating_sub(1));
        if left <= 1 { self.end_roots(changes) } else { Ok(changes) }
    }

    fn end_roots(&mut self, changes: Vec<Change>) -> Result<Vec<Change>, TrustError> {
        self.stage = Stage::Keep(Role::Timestamp);
        if self.set.keys_were_taken() {
            self.stage = Stage::Fetch(Role::Timestamp);
        }
        // With the last of 256 roots comes a change that must not be lost: its expiry is then told by
        // the timestamp's step.
        if changes.is_empty() {
            self.set.check_root_is_fresh(self.clock)?;
        }
        Ok(changes)
    }

    fn take_kept(&mut self, role: Role, answer: Answer<'_>) -> Result<Vec<Change>, TrustError> {
        if let Answer::File(bytes) = answer {
            match role {
                Role::Snapshot => self.set.restore_snapshot(bytes),
                Role::Targets => self.set.restore_targets(bytes),
                Role::Root | Role::Timestamp => self.set.restore_timestamp(bytes),
            }
        }
        // The timestamp is always asked for; the others only when the kept ones will not do.
        let serves = match role {
            Role::Snapshot => self.set.current_snapshot(self.clock).is_ok(),
            Role::Targets => self.set.current_targets(self.clock).is_ok(),
            Role::Root | Role::Timestamp => false,
        };
        self.stage = if serves { self.after(role) } else { Stage::Fetch(role) };
        Ok(Vec::new())
    }

    fn take_fetched(&mut self, role: Role, bytes: &[u8]) -> Result<Vec<Change>, TrustError> {
        let step = match role {
            Role::Snapshot => self.set.update_snapshot(bytes, self.clock)?,
            Role::Targets => self.set.update_targets(bytes, self.clock)?,
            Role::Root | Role::Timestamp => self.set.update_timestamp(bytes, self.clock)?,
        };
        self.stage = self.after(role);
        match step {
            Step::Accepted => Ok(vec![keep(role.name(), bytes)]),
            Step::Unchanged => Ok(Vec::new()),
        }
    }

    fn after(&self, role: Role) -> Stage {
        match role {
            Role::Root => Stage::Keep(Role::Timestamp),
            Role::Timestamp if self.set.keys_were_taken() => Stage::Fetch(Role::Snapshot),
            Role::Timestamp => Stage::Keep(Role::Snapshot),
            Role::Snapshot => Stage::Keep(Role::Targets),
            Role::Targets => Stage::Updated,
        }
    }

    /// A kept file of a delegated role is judged exactly as one from the repository would be.
    fn take_kept_delegate(&mut self, answer: Answer<'_>) -> Result<Vec<Change>, TrustError> {
        self.stage = Stage::Delegate;
        if let (Answer::File(bytes), Some(search)) = (answer, &mut self.search)
            && search.visit(&self.set, bytes, self.clock).is_ok()
        {
            self.go_on_searching();
        }
        Ok(Vec::new())
    }

    fn take_delegate(&mut self, bytes: &[u8]) -> Result<Vec<Change>, TrustError> {
        let changes = self.delegate().map(|role| keep(role, bytes)).into_iter().collect();
        if let Some(search) = &mut self.search {
            search.visit(&self.set, bytes, self.clock)?;
        }
        self.go_on_searching();
        Ok(changes)
    }

    /// A role that the snapshot does not list ends the search; [`Client::found`] says so.
    fn go_on_searching(&mut self) {
        let wanted = self.search.as_ref().map(|search| search.wanted(&self.set));
        let more = matches!(wanted, Some(Ok(Some(_))));
        self.stage = if more { Stage::KeptDelegate } else { Stage::Updated };
    }

    fn delegate(&self) -> Option<&str> {
        Some(self.search.as_ref()?.wanted(&self.set).ok()??.role)
    }

    /// Section 6.1: the name in the repository, and the most bytes, by what the parent lists.
    fn repository_file(&self, role: &str, limit: usize) -> (String, usize) {
        let listed: Option<&FileMeta> = match role {
            "timestamp" => None,
            "snapshot" => self.set.timestamp().map(|file| &file.meta.snapshot),
            "targets" => self.set.snapshot().and_then(|file| file.meta.get(TARGETS_FILE)),
            role => self.set.snapshot().and_then(|file| file.meta.get(&format!("{role}.json"))),
        };
        let name = kept_name(role);
        let length = listed.and_then(|listed| usize::try_from(listed.length?).ok());
        let max = length.map_or(limit, |length| length.min(limit));
        match listed {
            Some(listed) if self.set.root().consistent_snapshot => {
                (format!("{}.{name}", listed.version), max)
            }
            _ => (name, max),
        }
    }

    fn missing(&self) -> TrustError {
        match self.next() {
            Next::Want(want) => TrustError::Missing { file: want.file },
            Next::Done => TrustError::Missing { file: SNAPSHOT_FILE.to_owned() },
        }
    }
}

fn keep(role: &str, bytes: &[u8]) -> Change {
    Change::Keep { file: kept_name(role), bytes: bytes.to_vec() }
}

/// The name under which a role's file is kept: the role in percent-encoding, so that no name can leave
/// its folder, and `.json`.
pub fn kept_name(role: &str) -> String {
    format!("{}.json", percent_encode(role))
}

/// Everything but letters, digits and `_.-~` as `%` and two digits.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
