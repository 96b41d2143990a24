//! `skerry-fleet init`: makes a workspace with its keys and its first root.

use std::path::Path;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use skerry_core::trust::metadata::Root;
use skerry_core::trust::sign::{Authorities, Holders, sign};
use skerry_core::trust::{PublicKey, Role};
use skerry_sync::config::Span;

use crate::output;
use crate::release::ends;
use crate::workspace::{Expiry, Overrides, ROLES, Workspace};

/// Makes a workspace: one key for each role, and a root that says so
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
    for role in ROLES {
        let id = PublicKey::of(&workspace.key(role)?).id();
        output::line(&format!("  {:<10} keys/{role}.key  (key {})", role.name(), id.short()))?;
    }
    output::line(
        "the keys are not encrypted (that comes later), only kept from other users: mode 0600.\n\
         keep a copy of keys/root.key offline; without it the other keys cannot be replaced.",
    )?;
    output::line(&format!(
        "next: give {} to every node, as trust.root in its configuration",
        workspace.root_path().display()
    ))
}

/// Makes a workspace with a root in which one key holds each role.
pub fn make(dir: &Path, overrides: &Overrides, args: &InitArgs) -> anyhow::Result<Workspace> {
    let default = Expiry::default();
    let expiry = Expiry {
        root: args.root_expires.unwrap_or(default.root),
        targets: args.targets_expires.unwrap_or(default.targets),
        snapshot: args.snapshot_expires.unwrap_or(default.snapshot),
        timestamp: args.timestamp_expires.unwrap_or(default.timestamp),
    };
    let workspace = Workspace::create(dir, overrides, expiry)?;
    let _lock = workspace.lock()?;
    let holder = |role| Ok::<_, anyhow::Error>(Holders::one(PublicKey::of(&workspace.key(role)?)));
    let holders = Authorities {
        root: holder(Role::Root)?,
        timestamp: holder(Role::Timestamp)?,
        snapshot: holder(Role::Snapshot)?,
        targets: holder(Role::Targets)?,
    };
    let root = Root::new(1, ends(Timestamp::now(), expiry.root), &holders);
    let root = sign(&root, &[&workspace.key(Role::Root)?]).context("cannot sign the root")?;
    workspace.put_root(1, &root)?;
    Ok(workspace)
}
