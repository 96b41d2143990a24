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
use crate::release::{self, ends};
use crate::workspace::{Expiry, Overrides, REPOSITORIES, ROLES, Workspace};

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
    output::line(
        "the keys are not encrypted (that comes later), only kept from other users: mode 0600.\n\
         move the offline keys to a stick, and copy them: without them stolen keys cannot be replaced,\n\
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
    let workspace = Workspace::create(dir, overrides, expiry)?;
    let _lock = workspace.lock()?;
    let now = Timestamp::now();
    for of in REPOSITORIES {
        put_next_root(&workspace, of, now)?;
    }
    release::sign(&workspace, Repository::Images, 1, &BTreeMap::new(), now)?;
    Ok(workspace)
}

/// Signs and keeps the next root of a repository, which gives its roles to the keys that the workspace has
/// now. Its version is returned.
pub fn put_next_root(workspace: &Workspace, of: Repository, now: Timestamp) -> anyhow::Result<u64> {
    let holder =
        |role| Ok::<_, anyhow::Error>(Holders::one(PublicKey::of(&workspace.key(of, role)?)));
    let holders = Authorities {
        root: holder(Role::Root)?,
        timestamp: holder(Role::Timestamp)?,
        snapshot: holder(Role::Snapshot)?,
        targets: holder(Role::Targets)?,
    };
    let version = workspace.roots(of)?.len() as u64 + 1;
    let root = Root::new(version, ends(now, workspace.expiry().root), &holders);
    let key = workspace.key(of, Role::Root)?;
    let root = sign(&root, &[&key]).context("cannot sign the root")?;
    workspace.put_root(of, version, &root)?;
    Ok(version)
}
