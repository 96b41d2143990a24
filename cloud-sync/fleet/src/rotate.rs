//! `skerry-fleet rotate`: takes the keys of a repository away from whoever has them now.
//!
//! Makes new keys for all roles but the root, and a root that gives the roles to them, signed by the root's
//! own key. What a thief of the old ones has pushed ahead (versions, signed times) does not bind nodes
//! any longer once they have seen it. It also renews a root before it expires.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use skerry_core::trust::{Repository, Role};

use crate::init::put_next_root;
use crate::workspace::Workspace;
use crate::{keys, output, release};

/// Whose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Whose {
    /// The keys that sign documents
    Director,
    /// The keys that say what is genuine
    Images,
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
    let of = match args.whose {
        Whose::Director => Repository::Director,
        Whose::Images => Repository::Images,
    };
    let _lock = workspace.lock()?;
    let version = replace(workspace, of)?;
    output::line(&format!("the keys of {of} are new; root {version} gives the roles to them"))?;
    output::line("next, for each node and group: skerry-fleet publish --node NAME")?;
    if of == Repository::Director {
        output::line(
            "a node on which the old keys were used takes the next document whatever its version:\n\
             next, for such a node: skerry-fleet sign -f agents.yaml --node NAME",
        )?;
    }
    Ok(())
}

/// Makes the keys, the root, and the next release; returns the root's version.
fn replace(workspace: &Workspace, of: Repository) -> anyhow::Result<u64> {
    // Asked for before anything is lost: without it nobody would believe the new keys.
    workspace.key(of, Role::Root)?;
    let listed = release::listed(workspace, of)?;
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        workspace.put_key(of, role, &keys::make()?)?;
    }
    let now = Timestamp::now();
    let root = put_next_root(workspace, of, now)?;
    match of {
        Repository::Director => drop(release::next(workspace, now)?),
        Repository::Images => {
            let version = release::version(workspace, of)?.saturating_add(1);
            release::sign(workspace, of, version, &listed, now)?;
        }
    }
    Ok(root)
}

#[cfg(test)]
mod tests;
