//! `skerry-fleet root`: a root that several people sign, each with a key of their own, by passing a file on.
//!
//! `draft` makes the file in the workspace, `sign` adds one signature anywhere (no workspace is needed, and no
//! network), `publish` takes it back when there are enough. Whoever signs is shown what the root changes. What a
//! root may say is decided in [`crate::roots`].

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use skerry_core::trust::metadata::{Root, Signed};
use skerry_core::trust::sign::{cosign, sign};
use skerry_core::trust::{KeyId, PublicKey, Repository, Role};

use crate::files::{self, Readers};
use crate::passphrase::{Class, Passphrases};
use crate::release::ends;
use crate::roots::{self, Grant};
use crate::rotate::{self, Whose};
use crate::workspace::{ROLES, Workspace};
use crate::{keys, nodes, output, release};

const FORMAT: &str = "skerry-root-draft/1";

/// What is done with a root that several people sign.
#[derive(Debug, Clone, Subcommand)]
pub enum RootVerb {
    /// Make the next root, unsigned, as a file for those who must sign it
    Draft(DraftArgs),
    /// Show what a drafted root changes, and sign it; needs no workspace with --key
    Sign(SignArgs),
    /// Take a drafted root that enough people have signed as the newest one
    Publish(PublishArgs),
}

/// What the next root says.
#[derive(Debug, Clone, Args)]
pub struct DraftArgs {
    /// Whose
    #[arg(long = "of", value_enum, default_value = "director", value_name = "director|images")]
    #[arg(hide_possible_values = true)]
    whose: Whose,
    /// All keys that hold a role from now on: public keys, or files that hold them; may be given for each role
    #[arg(long = "key", value_name = "ROLE=KEY[,KEY…]", value_parser = role_value)]
    keys: Vec<(Role, String)>,
    /// How many of its keys must sign; may be given for each role
    #[arg(long = "threshold", value_name = "ROLE=N", value_parser = role_value)]
    thresholds: Vec<(Role, String)>,
    /// The file to pass on
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// What is signed, and with what.
#[derive(Debug, Clone, Args)]
pub struct SignArgs {
    /// The file that was passed on; the signature is added to it
    file: PathBuf,
    /// The private key; the workspace's root key by default
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// What is taken.
#[derive(Debug, Clone, Args)]
pub struct PublishArgs {
    /// The file that was passed on
    file: PathBuf,
}

/// A root on its way from one signer to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Draft {
    format: String,
    repository: Repository,
    /// The present root, so that a signer sees what changes.
    before: String,
    /// The next one, with the signatures so far.
    root: String,
}

fn role_value(text: &str) -> Result<(Role, String), String> {
    let (role, value) = text.split_once('=').ok_or("ROLE=… is expected")?;
    let role = ROLES.into_iter().find(|known| known.name() == role);
    Ok((role.ok_or("the roles are root, targets, snapshot and timestamp")?, value.to_owned()))
}

/// Carries out a verb about roots.
pub fn root(open: impl Fn() -> anyhow::Result<Workspace>, verb: &RootVerb) -> anyhow::Result<()> {
    match verb {
        RootVerb::Draft(args) => draft(&open()?, args),
        RootVerb::Sign(args) => add_signature(open, args),
        RootVerb::Publish(args) => publish(&open()?, &args.file),
    }
}

fn draft(workspace: &Workspace, args: &DraftArgs) -> anyhow::Result<()> {
    let repository = args.whose.into();
    let (present, before) = roots::newest(workspace, repository)?;
    let expires = ends(Timestamp::now(), workspace.expiry().root);
    let next = roots::next(&present, &grants(args)?, expires)?;
    let draft = Draft { format: FORMAT.to_owned(), repository, before, root: sign(&next, &[])? };
    for line in changes(&draft)? {
        output::line(&line)?;
    }
    write(&args.output, &draft)?;
    let name = args.output.display();
    output::line(&format!("wrote {name}; next, each who must sign: skerry-fleet root sign {name}"))
}

fn grants(args: &DraftArgs) -> anyhow::Result<Vec<Grant>> {
    let mut grants = Vec::new();
    for role in ROLES {
        let given = |list: &[(Role, String)]| -> Vec<String> {
            list.iter().filter(|(of, _)| *of == role).map(|(_, value)| value.clone()).collect()
        };
        let (keys, thresholds) = (given(&args.keys), given(&args.thresholds));
        if keys.is_empty() && thresholds.is_empty() {
            continue;
        }
        let keys = keys.iter().flat_map(|list| list.split(',')).map(nodes::read_key);
        let threshold = thresholds.last().map(|count| count.parse()).transpose()?;
        grants.push(Grant { role, keys: keys.collect::<anyhow::Result<_>>()?, threshold });
    }
    Ok(grants)
}

fn add_signature(
    open: impl Fn() -> anyhow::Result<Workspace>,
    args: &SignArgs,
) -> anyhow::Result<()> {
    let mut draft = read(&args.file)?;
    let key = match &args.key {
        Some(path) => keys::read(path, Class::Offline, &Passphrases::default())?,
        None => open()?.key(draft.repository, Role::Root)?,
    };
    let id = PublicKey::of(&key).id();
    let (before, next) = parts(&draft)?;
    if ![&before, &next].iter().any(|root| root.roles.root.keyids.contains(&id)) {
        bail!(
            "key {} has no say over the root of {}, neither over the present one nor over this one",
            id.short(),
            draft.repository
        );
    }
    for line in changes(&draft)? {
        output::line(&line)?;
    }
    draft.root = cosign(Role::Root, &draft.root, &[&key])?;
    write(&args.file, &draft)?;
    output::line(&format!("signed with key {}; {}", id.short(), progress(&draft)?))
}

fn publish(workspace: &Workspace, file: &Path) -> anyhow::Result<()> {
    let _lock = workspace.lock()?;
    let draft = read(file)?;
    let of = draft.repository;
    let root = roots::check(workspace, of, &draft.root)?;
    let (present, _) = roots::newest(workspace, of)?;
    let listed = release::listed(workspace, of)?;
    workspace.put_root(of, root.version, &draft.root)?;
    output::line(&format!("root {} of {of} is the newest one", root.version))?;
    let daily = [Role::Targets, Role::Snapshot, Role::Timestamp];
    if daily.iter().all(|role| present.roles.of(*role) == root.roles.of(*role)) {
        return output::line("next, for each node and group: skerry-fleet publish --node NAME");
    }
    for role in daily {
        let ours = PublicKey::of(&workspace.key(of, role)?).id();
        if !root.roles.of(role).keyids.contains(&ours) {
            bail!(
                "root {} is kept, and its {role} key is not the one in {}: put that key there, and then \
                 sign anew: skerry-fleet {}",
                root.version,
                workspace.key_path(of, role).display(),
                if of == Repository::Director { "refresh" } else { "images refresh" }
            );
        }
    }
    rotate::sign_anew(workspace, of, &listed, Timestamp::now())?;
    rotate::told(of)
}

fn parts(draft: &Draft) -> anyhow::Result<(Root, Root)> {
    let of = draft.repository;
    Ok((roots::read(of, &draft.before)?, roots::read(of, &draft.root)?))
}

/// What the next root changes, line by line.
fn changes(draft: &Draft) -> anyhow::Result<Vec<String>> {
    let (before, next) = parts(draft)?;
    let mut lines = vec![format!(
        "root {} of {}, after root {}; it expires at {:.0}",
        next.version, draft.repository, before.version, next.expires
    )];
    for role in ROLES {
        let (old, new) = (before.roles.of(role), next.roles.of(role));
        let mut told = Vec::new();
        let differ = |one: &[KeyId], other: &[KeyId], word: &str| -> Vec<String> {
            let gone = one.iter().filter(|id| !other.contains(id));
            gone.map(|id| format!("{word} key {}", id.short())).collect()
        };
        told.extend(differ(&old.keyids, &new.keyids, "loses"));
        told.extend(differ(&new.keyids, &old.keyids, "gains"));
        if old.threshold != new.threshold {
            told.push(format!("{} must sign, not {}", new.threshold, old.threshold));
        }
        if !told.is_empty() {
            lines.push(format!("  {role}: {}", told.join(", ")));
        }
    }
    if lines.len() == 1 {
        lines.push("  no role changes".to_owned());
    }
    Ok(lines)
}

/// How many have signed, of those who must. The signatures themselves are checked when it is published.
fn progress(draft: &Draft) -> anyhow::Result<String> {
    let (before, next) = parts(draft)?;
    let signed: Signed = serde_json::from_str(&draft.root)?;
    let ids: Vec<_> = signed.signatures.iter().map(|signature| &signature.keyid).collect();
    let count = |root: &Root| {
        let role = &root.roles.root;
        let have = role.keyids.iter().filter(|id| ids.contains(id)).count();
        (have, role.threshold, (have as u64) < role.threshold)
    };
    let (old, new) = (count(&before), count(&next));
    let next = if old.2 || new.2 { "pass it on" } else { "enough: skerry-fleet root publish FILE" };
    Ok(format!(
        "{} of {} signatures of the present root's keys, {} of {} of the new one's; {next}",
        old.0, old.1, new.0, new.1
    ))
}

fn read(path: &Path) -> anyhow::Result<Draft> {
    let name = path.display();
    let draft: Draft = match serde_json::from_str(&files::read_text(path)?) {
        Ok(draft) => draft,
        Err(error) => {
            bail!("{name} is no drafted root ({error}); make one: skerry-fleet root draft")
        }
    };
    if draft.format != FORMAT {
        let format = output::clean(&draft.format);
        bail!("{name} has the format '{format}'; '{FORMAT}' is understood");
    }
    Ok(draft)
}

fn write(path: &Path, draft: &Draft) -> anyhow::Result<()> {
    Ok(files::write(path, serde_json::to_string(draft)?.as_bytes(), Readers::All)?)
}

#[cfg(test)]
mod tests;
