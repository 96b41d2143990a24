//! `skerry-fleet key`: the operator's keys, by role: which there are, where they are, and new ones.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use skerry_core::trust::{PublicKey, Repository, Role};

use crate::passphrase::{Class, Passphrases};
use crate::rotate::{self, Whose};
use crate::table::table;
use crate::workspace::{REPOSITORIES, ROLES, Workspace};
use crate::{expiry, keys, output, roots};

/// What is done with keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeyVerb {
    /// List who holds which role, how many must sign, and whether the key is here
    #[command(alias = "list")]
    Ls,
    /// Print the public keys of a role
    Show(RoleArgs),
    /// Replace the key of one role by a new one, and sign a root that says so; needs the offline keys
    Rotate(RoleArgs),
    /// Encrypt the keys that are here and are not encrypted
    Protect,
    /// Make a key for somebody who signs roots, and print its public half; needs no workspace
    Make(MakeArgs),
}

/// A role.
#[derive(Debug, Clone, Args)]
pub struct RoleArgs {
    /// The role
    #[arg(value_enum, value_name = "root|targets|snapshot|timestamp", hide_possible_values = true)]
    role: RoleName,
    /// Whose
    #[arg(long = "of", value_enum, default_value = "director", value_name = "director|images")]
    #[arg(hide_possible_values = true)]
    whose: Whose,
}

/// Where a new key goes.
#[derive(Debug, Clone, Args)]
pub struct MakeArgs {
    /// The file to write it to
    file: PathBuf,
    /// Leave it unencrypted
    #[arg(long)]
    no_passphrase: bool,
}

/// A role's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Says who holds the roles
    Root,
    /// Lists documents or images
    Targets,
    /// Lists targets
    Snapshot,
    /// Says which snapshot is the newest
    Timestamp,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Root => Self::Root,
            RoleName::Targets => Self::Targets,
            RoleName::Snapshot => Self::Snapshot,
            RoleName::Timestamp => Self::Timestamp,
        }
    }
}

/// Carries out a verb about keys.
pub fn key(open: impl Fn() -> anyhow::Result<Workspace>, verb: &KeyVerb) -> anyhow::Result<()> {
    match verb {
        KeyVerb::Ls => list(&open()?),
        KeyVerb::Show(args) => show(&open()?, args.whose.into(), args.role.into()),
        KeyVerb::Rotate(args) => {
            let (workspace, of, role) = (open()?, args.whose.into(), args.role.into());
            let _lock = workspace.lock()?;
            let version = rotate::replace(&workspace, of, &[role])?;
            output::line(&format!(
                "the {role} key of {of} is new; root {version} gives the role to it"
            ))?;
            rotate::told(of)
        }
        KeyVerb::Protect => protect(&open()?),
        KeyVerb::Make(args) => make(args),
    }
}

fn list(workspace: &Workspace) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for of in REPOSITORIES {
        let (root, _) = roots::newest(workspace, of)?;
        for role in ROLES {
            let held = root.roles.of(role);
            let ids: Vec<_> = held.keyids.iter().map(|id| id.short()).collect();
            let state = match workspace.is_protected(of, role)? {
                None => "not here",
                Some(true) => "encrypted",
                Some(false) => "NOT encrypted",
            };
            rows.push(vec![
                of.to_string(),
                role.to_string(),
                ids.join(" "),
                format!("{} of {}", held.threshold, held.keyids.len()),
                state.to_owned(),
            ]);
        }
    }
    output::line(&table(&["REPOSITORY", "ROLE", "KEY IDS", "MUST SIGN", "KEY FILE"], &rows))?;
    expiry::warn(workspace)
}

fn show(workspace: &Workspace, of: Repository, role: Role) -> anyhow::Result<()> {
    let (root, _) = roots::newest(workspace, of)?;
    for id in &root.roles.of(role).keyids {
        let key = root.keys.get(id).and_then(|key| key.keyval.get("public")?.as_str());
        output::line(&format!("{id} {}", key.unwrap_or("(of a kind that is not known here)")))?;
    }
    Ok(())
}

fn protect(workspace: &Workspace) -> anyhow::Result<()> {
    let _lock = workspace.lock()?;
    let mut done = 0;
    for (of, role) in REPOSITORIES.into_iter().flat_map(|of| ROLES.map(|role| (of, role))) {
        if workspace.is_protected(of, role)? == Some(false) {
            workspace.protect_key(of, role)?;
            output::line(&format!("the {role} key of {of} is encrypted"))?;
            done += 1;
        }
    }
    if workspace.protect_enrolment_key()? {
        output::line("the key that signs tokens is encrypted")?;
        done += 1;
    }
    if done == 0 {
        output::line("every key that is here is encrypted already")?;
    } else {
        output::note(
            "copies that were made before are not; and a flash disk may still hold what stood here",
        );
    }
    Ok(())
}

fn make(args: &MakeArgs) -> anyhow::Result<()> {
    if args.file.exists() {
        bail!("{} is there already, and a key in it would be lost", args.file.display());
    }
    let passphrases = Passphrases::default();
    let passphrase =
        if args.no_passphrase { None } else { Some(passphrases.choose(Class::Offline)?) };
    let key = keys::make()?;
    keys::write(&args.file, &key, passphrase)?;
    output::line(&PublicKey::of(&key).to_hex())
}
