//! What expires soon: each file of metadata that a node will not believe much longer, said in time.
//!
//! Decides by a quarter of the time for which a file is signed; what is due is a person's work.

use jiff::{SignedDuration, Timestamp};
use skerry_core::trust::{Repository, Role};

use crate::output;
use crate::workspace::{REPOSITORIES, Workspace};
use crate::{release, roots};

/// When a file ends, and for how long it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Term {
    of: Repository,
    role: Role,
    ends: Timestamp,
    holds: SignedDuration,
}

/// Tells on stderr what expires soon.
pub fn warn(workspace: &Workspace) -> anyhow::Result<()> {
    for line in warnings(&terms(workspace)?, Timestamp::now()) {
        output::note(&line);
    }
    Ok(())
}

fn terms(workspace: &Workspace) -> anyhow::Result<Vec<Term>> {
    let mut terms = Vec::new();
    let mut add = |of, role, ends| {
        let holds = workspace.expiry().of(of, role).duration();
        let holds = SignedDuration::try_from(holds).unwrap_or(SignedDuration::MAX);
        terms.push(Term { of, role, ends, holds });
    };
    for of in REPOSITORIES {
        let (root, _) = roots::newest(workspace, of)?;
        add(of, Role::Root, root.expires);
        for (role, ends) in release::expires(workspace, of)? {
            add(of, role, ends);
        }
    }
    Ok(terms)
}

/// What to say of files that end soon, or have ended.
fn warnings(terms: &[Term], now: Timestamp) -> Vec<String> {
    let due = terms.iter().filter(|term| {
        term.ends.duration_since(now) < term.holds.checked_div(4).unwrap_or_default()
    });
    due.map(|Term { of, role, ends, .. }| {
        let next = match (role, of) {
            (Role::Root, _) => format!("skerry-fleet key rotate timestamp --of {of}"),
            (_, Repository::Director) => "skerry-fleet refresh, and publish".to_owned(),
            (_, Repository::Images) => "skerry-fleet images refresh, and publish".to_owned(),
        };
        let left = ends.duration_since(now);
        let when = if left.is_negative() || left.is_zero() {
            "has EXPIRED".to_owned()
        } else if left.as_hours() < 48 {
            format!("expires in {} hours", left.as_hours())
        } else {
            format!("expires in {} days", left.as_hours() / 24)
        };
        format!(
            "the {role} of {of} {when} ({ends:.0}); nodes take nothing new after that; do: {next}"
        )
    })
    .collect()
}

#[cfg(test)]
mod tests;
