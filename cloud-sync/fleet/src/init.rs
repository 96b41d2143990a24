//! `skerry-fleet init`: makes a workspace with its keys, and the first root of both repositories.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use skerry_core::trust::metadata::Root;
use skerry_core::trust::sign::{Authorities, Holders, sign};
use skerry_core::trust::{PublicKey, Repository, Role};
use skerry_sync::config::Span;

use crate::output;
use crate::passphrase::Passphrases;
use crate::release::{self, ends};
use crate::workspace::{Expiry, Overrides, Protection, REPOSITORIES, ROLES, Workspace};

/// Makes a workspace: one key for each role of both repositories, and roots that say so
#[derive(Debug, Clone, Default, Args)]
pub struct InitArgs {
    /// How long the root holds; 365d by default
    #[arg(long, value_name = "TIME")]
    root_expires: Option<Span>,
    /// How long the list of documents holds; 90d by default
    #[arg(long, value_name = "TIME")]
    targets_expires: Option<Span>,
    /// How long the snapshot holds; 30d by default
    #[arg(long, value_name = "TIME")]
    snapshot_expires: Option<Span>,
    /// How long the timestamp holds; 30d by default
    #[arg(long, value_name = "TIME")]
    timestamp_expires: Option<Span>,
    /// How long the list of images holds, with its snapshot and timestamp; 365d by default
    #[arg(long, value_name = "TIME")]
    images_expires: Option<Span>,
    /// Leave the keys unencrypted, readable by this user alone; for tests and machines without people
    #[arg(long)]
    no_passphrase: bool,
}

impl InitArgs {
    /// With keys that nobody is asked for a passphrase of.
    pub fn plain() -> Self {
        Self { no_passphrase: true, ..Self::default() }
    }
}

/// Makes a workspace, and says what to do with it.
pub fn init(dir: &Path, overrides: &Overrides, args: &InitArgs) -> anyhow::Result<()> {
    let workspace = make(dir, overrides, args)?;
    let shown = dir.display();
    output::line(&format!(
        "made the workspace {shown}, for the broker {} and tenant '{}'",
        workspace.broker().url,
        workspace.broker().tenant
    ))?;
    for of in REPOSITORIES {
        for role in ROLES {
            let id = PublicKey::of(&workspace.key(of, role)?).id();
            let path = workspace.key_path(of, role);
            let path = path.strip_prefix(dir).unwrap_or(&path);
            let (of, role, path) = (of.name(), role.name(), path.display());
            output::line(&format!("  {of:<8} {role:<9} {path}  (key {})", id.short()))?;
        }
    }
    output::line(if args.no_passphrase {
        "the keys are NOT encrypted, only kept from other users (mode 0600): skerry-fleet key protect"
    } else {
        "the keys are encrypted with your passphrases; nobody can open them without."
    })?;
    output::line(
        "move the offline keys to a stick, and copy them: without them stolen keys cannot be replaced,\n\
         and who steals them says what is genuine. They are asked for by --offline-keys DIR.",
    )?;
    output::line(&format!(
        "next: give {} to every node, as trust.root in its configuration;\n\
         say what is genuine with: skerry-fleet images add IMAGE.tar",
        workspace.root_path().display()
    ))
}

/// Makes a workspace with roots in which one key holds each role, and an empty list of images.
pub fn make(dir: &Path, overrides: &Overrides, args: &InitArgs) -> anyhow::Result<Workspace> {
    let default = Expiry::default();
    let expiry = Expiry {
        root: args.root_expires.unwrap_or(default.root),
        targets: args.targets_expires.unwrap_or(default.targets),
        snapshot: args.snapshot_expires.unwrap_or(default.snapshot),
        timestamp: args.timestamp_expires.unwrap_or(default.timestamp),
        images: args.images_expires.unwrap_or(default.images),
    };
    let protection = if args.no_passphrase { Protection::None } else { Protection::Passphrase };
    let passphrases = Passphrases::default();
    let workspace = Workspace::create(dir, overrides, expiry, protection, passphrases)?;
    let _lock = workspace.lock()?;
    let now = Timestamp::now();
    for of in REPOSITORIES {
        put_first_root(&workspace, of, now)?;
    }
    release::sign(&workspace, Repository::Images, 1, &BTreeMap::new(), now)?;
    Ok(workspace)
}

/// Signs and keeps the first root of a repository, which gives each role to the key that the workspace has.
fn put_first_root(workspace: &Workspace, of: Repository, now: Timestamp) -> anyhow::Result<()> {
    let holder =
        |role| Ok::<_, anyhow::Error>(Holders::one(PublicKey::of(&workspace.key(of, role)?)));
    let holders = Authorities {
        root: holder(Role::Root)?,
        timestamp: holder(Role::Timestamp)?,
        snapshot: holder(Role::Snapshot)?,
        targets: holder(Role::Targets)?,
    };
    let root = Root::new(1, ends(now, workspace.expiry().root), &holders);
    let key = workspace.key(of, Role::Root)?;
    let root = sign(&root, &[&key]).context("cannot sign the root")?;
    Ok(workspace.put_root(of, 1, &root)?)
}
