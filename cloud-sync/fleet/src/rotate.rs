//! `skerry-fleet rotate` and `key rotate`: takes keys away from whoever has them now.
//!
//! Makes new keys and a root that gives the roles to them, signed by the root's own key. What a thief of the old
//! ones has pushed ahead (versions, signed times) does not bind nodes any longer once they have seen it. It
//! also renews a root before it expires. A root that several people must sign is made by [`crate::ceremony`].
//!
//! The only key of a role must never be one that no kept root names: new keys wait aside until their root is
//! kept, and take their places then, or, if that was interrupted, when the workspace is opened next.

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use skerry_core::trust::sign::{SigningKey, sign};
use skerry_core::trust::{PublicKey, Repository, Role};

use crate::release::ends;
use crate::roots::{self, Grant};
use crate::workspace::{NextKey, REPOSITORIES, Workspace};
use crate::{keys, output, release};

/// Whose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Whose {
    /// The keys that sign documents
    Director,
    /// The keys that say what is genuine
    Images,
}

impl From<Whose> for Repository {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::Director => Self::Director,
            Whose::Images => Self::Images,
        }
    }
}

/// Replaces the keys of a repository, all but the root's, and signs everything anew; needs the offline keys
#[derive(Debug, Clone, Args)]
pub struct RotateArgs {
    /// Whose keys
    #[arg(value_enum, default_value = "director", value_name = "director|images")]
    #[arg(hide_possible_values = true)]
    whose: Whose,
}

/// Replaces keys, and says what to do with it.
pub fn rotate(workspace: &Workspace, args: &RotateArgs) -> anyhow::Result<()> {
    let of = args.whose.into();
    let _lock = workspace.lock()?;
    let version = replace(workspace, of, &[Role::Targets, Role::Snapshot, Role::Timestamp])?;
    output::line(&format!("the keys of {of} are new; root {version} gives the roles to them"))?;
    told(of)
}

/// What is left to do after keys of a repository were replaced.
pub fn told(of: Repository) -> anyhow::Result<()> {
    output::line("next, for each node and group: skerry-fleet publish --node NAME")?;
    if of == Repository::Director {
        output::line(
            "a node on which the old keys were used takes the next document whatever its version:\n\
             next, for such a node: skerry-fleet sign -f agents.yaml --node NAME",
        )?;
    }
    Ok(())
}

/// Makes the keys of these roles, the root, and the next release; returns the root's version.
pub fn replace(workspace: &Workspace, of: Repository, roles: &[Role]) -> anyhow::Result<u64> {
    // Asked for before anything is lost: without it nobody would believe the new keys.
    let mut signers = vec![workspace.key(of, Role::Root)?];
    let (present, _) = roots::newest(workspace, of)?;
    let listed = release::listed(workspace, of)?;
    let made = roles.iter().map(|role| Ok((*role, keys::make()?)));
    let made: Vec<(Role, SigningKey)> = made.collect::<Result<_, keys::KeysError>>()?;
    let grants: Vec<_> =
        made.iter().map(|(role, key)| Grant::one(*role, PublicKey::of(key))).collect();
    for grant in &grants {
        let held = present.roles.of(grant.role);
        if held.keyids.len() > 1 {
            bail!(
                "{} keys hold the {} role of {of}, and this would leave one; say which stay with: \
                 skerry-fleet root draft --key {}=KEY,KEY",
                held.keyids.len(),
                grant.role,
                grant.role
            );
        }
    }
    // A new root key proves that it is there by signing its first root.
    signers.extend(made.iter().filter(|(role, _)| *role == Role::Root).map(|(_, key)| key.clone()));
    let now = Timestamp::now();
    let root = roots::next(&present, &grants, ends(now, workspace.expiry().root))?;
    let version = root.version;
    let root = sign(&root, &signers.iter().collect::<Vec<_>>()).context("cannot sign the root")?;
    roots::check(workspace, of, &root).with_context(|| {
        let needed = present.roles.root.threshold;
        format!(
            "{needed} keys must sign a root of {of}; with several people: skerry-fleet root draft"
        )
    })?;
    for (role, key) in &made {
        workspace.put_next_key(of, *role, key)?;
    }
    workspace.put_root(of, version, &root).with_context(|| {
        format!("root {version} of {of} is not kept, and no key is replaced or lost; mend this and try again")
    })?;
    take_next(workspace, of)?;
    if roles.iter().any(|role| *role != Role::Root) {
        sign_anew(workspace, of, &listed, now)?;
    }
    Ok(version)
}

/// Finishes a replacement that was interrupted after its root was kept; what was done, line by line.
pub fn finish(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for of in REPOSITORIES {
        if named(workspace, of)?.is_empty() {
            continue;
        }
        let _lock = workspace.lock()?;
        for role in take_next(workspace, of)? {
            let next = match (role, of) {
                (Role::Root, _) => "nothing else was interrupted",
                (_, Repository::Director) => "next: skerry-fleet refresh",
                (_, Repository::Images) => "next: skerry-fleet images refresh",
            };
            lines.push(format!(
                "replacing the {role} key of {of} was interrupted, and is finished now; {next}"
            ));
        }
    }
    Ok(lines)
}

/// Puts the keys that wait aside in their places, where the newest root gives the roles to them.
fn take_next(workspace: &Workspace, of: Repository) -> anyhow::Result<Vec<Role>> {
    let taken = named(workspace, of)?;
    if !taken.is_empty() {
        // What new nodes are given may not have been written with it.
        let (root, text) = roots::newest(workspace, of)?;
        workspace.put_root(of, root.version, &text)?;
    }
    for next in &taken {
        workspace.take_next_key(next)?;
    }
    Ok(taken.iter().map(|next| next.role).collect())
}

/// The keys that wait aside and that the newest root gives their roles to.
fn named(workspace: &Workspace, of: Repository) -> anyhow::Result<Vec<NextKey>> {
    let mut waiting = workspace.next_keys();
    waiting.retain(|next| next.of == of);
    if waiting.is_empty() {
        return Ok(waiting);
    }
    let (root, _) = roots::newest(workspace, of)?;
    waiting.retain(|next| root.roles.of(next.role).keyids.iter().any(|id| id.as_str() == next.id));
    Ok(waiting)
}

/// Signs all that a repository lists with the keys that are here now.
pub fn sign_anew(
    workspace: &Workspace,
    of: Repository,
    listed: &std::collections::BTreeMap<String, skerry_core::trust::metadata::TargetMeta>,
    now: Timestamp,
) -> anyhow::Result<()> {
    match of {
        Repository::Director => drop(release::next(workspace, now)?),
        Repository::Images => {
            let version = release::version(workspace, of)?.saturating_add(1);
            release::sign(workspace, of, version, listed, now)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
