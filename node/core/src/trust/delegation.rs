//! Who else may name documents: which delegations there may be, and which of them a path falls under.
//!
//! Decides by the path alone (specification 1.0, section 4.5): shell patterns in which `*` and `?` stay
//! within one folder, the beginning of the path's hash, or the bin that its hash falls into (TAP 15). It
//! must never look at a file. Next: [`super::search`], which walks along them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::envelope::Authority;
use super::error::{DelegationFault, cut};
use super::keys::ReadOther;
use super::metadata::{DelegatedRole, Delegations, SuccinctRoles, Targets};
use super::{KeyId, Role, TrustError};

/// A role that a path is delegated to.
pub(super) struct Delegate<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) terminating: bool,
    keyids: &'a [KeyId],
    threshold: u64,
}

impl Delegate<'_> {
    /// Who may sign for this role, by the targets file of that version.
    pub(super) fn authority(
        &self,
        delegations: &Delegations,
        by_version: u64,
        other: Option<ReadOther>,
    ) -> Result<Authority, TrustError> {
        let by = (Role::Targets, by_version);
        Authority::new(Role::Targets, by, &delegations.keys, self.keyids, self.threshold, other)
            .map_err(|fault| self.fault(DelegationFault::Keys(fault)))
    }

    fn fault(&self, fault: DelegationFault) -> TrustError {
        TrustError::Delegation { name: cut(&self.name), fault }
    }
}

/// Every delegation of a targets file must be one that can be followed.
pub(super) fn check(targets: &Targets, other: Option<ReadOther>) -> Result<(), TrustError> {
    let Some(delegations) = &targets.delegations else { return Ok(()) };
    let mut names = BTreeSet::new();
    for role in &delegations.roles {
        let delegate = role.delegate();
        if role.name.is_empty() || is_top_level(&role.name) {
            return Err(delegate.fault(DelegationFault::Name));
        }
        if !names.insert(&role.name) {
            return Err(delegate.fault(DelegationFault::Twice));
        }
        if role.paths.is_some() == role.path_hash_prefixes.is_some() {
            return Err(delegate.fault(DelegationFault::Paths));
        }
        delegate.authority(delegations, targets.version, other)?;
    }
    if let Some(bins) = &delegations.succinct_roles {
        let delegate = bins.delegate(Cow::Borrowed(&bins.name_prefix));
        if !(1..=32).contains(&bins.bit_length) || !delegations.roles.is_empty() {
            return Err(delegate.fault(DelegationFault::Bins));
        }
        delegate.authority(delegations, targets.version, other)?;
    }
    Ok(())
}

/// Their files would take the place of the ones that everything rests on.
fn is_top_level(name: &str) -> bool {
    [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets].iter().any(|r| r.name() == name)
}

impl Delegations {
    /// The roles that `path` is delegated to, in the order in which they are asked.
    pub(super) fn of_path<'a>(&'a self, path: &'a str) -> impl Iterator<Item = Delegate<'a>> {
        let hash = Sha256::digest(path.as_bytes());
        let hex = hex::encode(hash);
        let [a, b, c, d] = [hash[0], hash[1], hash[2], hash[3]];
        let first = u32::from_be_bytes([a, b, c, d]);
        let named = self.roles.iter().filter(move |role| role.covers(path, &hex));
        let bin = self.succinct_roles.as_ref().map(move |bins| bins.delegate(bins.bin(first)));
        named.map(DelegatedRole::delegate).chain(bin)
    }
}

impl DelegatedRole {
    fn delegate(&self) -> Delegate<'_> {
        let Self { name, keyids, threshold, terminating, .. } = self;
        let name = Cow::Borrowed(name.as_str());
        Delegate { name, terminating: *terminating, keyids, threshold: *threshold }
    }

    fn covers(&self, path: &str, hash: &str) -> bool {
        let by_path = self.paths.iter().flatten().any(|pattern| matches(pattern, path));
        let mut prefixes = self.path_hash_prefixes.iter().flatten();
        by_path || prefixes.any(|prefix| hash.starts_with(prefix.as_str()))
    }
}

impl SuccinctRoles {
    fn delegate<'a>(&'a self, name: Cow<'a, str>) -> Delegate<'a> {
        let Self { keyids, threshold, .. } = self;
        Delegate { name, terminating: true, keyids, threshold: *threshold }
    }

    /// The name of the bin for a path whose hash begins with these bits.
    fn bin(&self, first: u32) -> Cow<'_, str> {
        let bits = self.bit_length.clamp(1, 32);
        let number = first >> (32 - bits);
        let digits = bits.div_ceil(4) as usize;
        Cow::Owned(format!("{}-{number:0digits$x}", self.name_prefix))
    }
}

/// Whether a path falls under a pattern: as many folders, and each name under its own pattern.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) if matches_name(pattern, name) => {}
            _ => return false,
        }
    }
}

/// One name under one pattern. It goes back to the last `*` only, so its time is the product of the
/// two lengths at most.
fn matches_name(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
            continue;
        }
        match (pattern.get(p..).and_then(one), name.get(n)) {
            (None, None) => return true,
            (Some((token, length)), Some(c)) if token.takes(*c) => {
                p += length;
                n += 1;
            }
            _ => match star {
                Some((after, from)) if from < name.len() => {
                    star = Some((after, from + 1));
                    (p, n) = (after, from + 1);
                }
                _ => return false,
            },
        }
    }
}

/// What takes one character.
enum Token<'a> {
    Any,
    One(char),
    Set { not: bool, set: &'a [char] },
}

impl Token<'_> {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => *one == c,
            Self::Set { not, set } => in_set(set, c) != *not,
        }
    }
}

/// The first token of a pattern and how many characters it has. A `[` without its `]` is itself.
fn one(pattern: &[char]) -> Option<(Token<'_>, usize)> {
    match pattern.first()? {
        '?' => Some((Token::Any, 1)),
        '[' => {
            let not = pattern.get(1) == Some(&'!');
            let start = if not { 2 } else { 1 };
            // A `]` that comes first is a member.
            let rest = pattern.get(start + 1..).unwrap_or_default();
            let Some(end) = rest.iter().position(|c| *c == ']').map(|at| at + start + 1) else {
                return Some((Token::One('['), 1));
            };
            let set = pattern.get(start..end).unwrap_or_default();
            Some((Token::Set { not, set }, end + 1))
        }
        c => Some((Token::One(*c), 1)),
    }
}

/// Whether a set such as `a-z_` holds the character.
fn in_set(set: &[char], c: char) -> bool {
    let mut rest = set;
    loop {
        match rest {
            [] => return false,
            [low, '-', high, after @ ..] => {
                if (*low..=*high).contains(&c) {
                    return true;
                }
                rest = after;
            }
            [one, after @ ..] => {
                if *one == c {
                    return true;
                }
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests;
