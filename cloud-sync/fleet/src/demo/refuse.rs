//! Steps 8 and 9: what nobody signed, and what is older, is refused, and the operator reads why.

use std::path::Path;

use anyhow::{Context, bail};
use skerry_core::bundle::{Address, Bundle};
use skerry_core::document::Document;
use skerry_core::ids::Digest;

use super::stage::{NODE, Stage, fact};
use super::survive::check_same;
use super::work::{Pids, Scene};
use crate::init::{self, InitArgs};
use crate::output;
use crate::publish::Fate;
use crate::release::{self, Ready};
use crate::sign::{Content, sign_document};
use crate::status;
use crate::workspace::Overrides;

pub async fn forged(stage: &mut Stage, scene: &Scene) -> anyhow::Result<()> {
    stage.step("Somebody who holds the broker forges documents; the node refuses them")?;
    let overrides = Overrides {
        broker: Some(stage.url()),
        tenant: Some("demo".to_owned()),
        ..Overrides::default()
    };
    let forger = init::make(&stage.dir.join("forger"), &overrides, &InitArgs::plain())?;
    let address = Address::Node(NODE.parse()?);
    let ready = sign_document(&forger, &address, 9, Content::default(), Path::new("the demo"))?;
    let reason = refused(scene, ready, "a document signed with other keys").await?;
    fact("document 9, well-formed, but signed with keys of the forger's own:")?;
    fact(&format!("  refused: {reason}"))?;

    let ready = altered(scene, &address)?;
    let reason = refused(scene, ready, "a document altered after it was signed").await?;
    fact("document 2, genuinely signed, with one digit changed afterwards:")?;
    fact(&format!("  refused: {reason}"))
}

/// The newest bundle, with the document's text changed and everything else as it was signed.
fn altered(scene: &Scene, address: &Address) -> anyhow::Result<Ready> {
    let genuine = release::bundle(&scene.workspace, address, jiff::Timestamp::now())?;
    let mut bundle = Bundle::parse(&genuine.bytes)?;
    let text = bundle.director.targets.get_mut(&address.path()).context("no document")?;
    let altered = text.replacen("\"250ms\"", "\"260ms\"", 1);
    if altered == *text {
        bail!("there was nothing to alter in {text}");
    }
    *text = altered;
    let document = Document::parse(text.as_bytes())?;
    let digest = Digest::of(text.as_bytes());
    Ok(Ready { bytes: bundle.to_bytes()?, document, digest, release: genuine.release })
}

pub async fn older(stage: &mut Stage, scene: &Scene, first: Ready) -> anyhow::Result<()> {
    stage.step("Older documents are refused, however well they are signed")?;
    let reason = refused(scene, first, "the first bundle, played again").await?;
    fact("the bundle of document 1, as it was recorded on the way:")?;
    fact(&format!("  refused: {reason}"))?;
    let ready = scene.sign(1, Vec::new())?;
    fact(&format!(
        "a new document with version 1, signed with the operator's own keys (release {}):",
        ready.release
    ))?;
    let reason = refused(scene, ready, "a document with an older version").await?;
    fact(&format!("  refused: {reason}"))
}

/// Publishes what must be refused, and returns the reason that the node gives.
async fn refused(scene: &Scene, ready: Ready, what: &str) -> anyhow::Result<String> {
    match scene.publish(ready.document, ready.digest, ready.bytes).await? {
        Fate::Refused(reason) => Ok(reason),
        Fate::Accepted(..) => bail!("the node ACCEPTED {what}"),
        Fate::Unknown(why) => bail!("no answer about {what}: {why}"),
    }
}

pub async fn untouched(stage: &mut Stage, scene: &Scene, pids: &Pids) -> anyhow::Result<()> {
    stage.step("All of that touched no agent, and the operator sees it")?;
    check_same(pids, "as after document 2")?;
    fact("skerry-fleet status:")?;
    let rows = status::gather(&scene.workspace).await?;
    for line in status::text(&rows).lines() {
        output::line(&format!("        {line}"))?;
    }
    let row = rows.iter().find(|row| row.node == NODE).context("the node is not in the table")?;
    if row.document != Some(2) || row.running != Some(2) || row.refused.is_empty() {
        bail!("the table does not show document 2, two running agents and a refusal");
    }
    Ok(())
}
