//! `skerry run`: from an image to a running agent in one line.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use skerry_core::ids::AgentName;

use super::failure::Refusal;
use super::run_spec::RunArgs;
use super::{image, output, wait};
use crate::api::Apply;
use crate::client::Client;

/// Hands the agent over, waits until it runs, and prints its name.
pub async fn run(client: &Client, state_dir: &Path, args: RunArgs) -> anyhow::Result<ExitCode> {
    let digest = image::resolve(state_dir, &args.image)?;
    let name = args.name(random()?)?;
    if !args.replace {
        refuse_taken(client, &name).await?;
    }
    let spec = args.spec(name.clone(), digest)?;
    let wish =
        Apply { agents: vec![spec], configs: Default::default(), prune: false, dry_run: false };
    let applied = client.apply(&wish).await?;
    wait::until(client, &name, wait::Goal::Running, applied.revision).await?;
    output::line(name.as_str())?;
    Ok(ExitCode::SUCCESS)
}

async fn refuse_taken(client: &Client, name: &AgentName) -> anyhow::Result<()> {
    let list = client.agents(None).await?;
    if list.agents.contains_key(name) || list.replicas.contains_key(name) {
        let text = format!(
            "agent '{name}' exists already; remove it first: skerry rm -f {name}, \
             or replace it: skerry run --replace …"
        );
        return Err(Refusal(text).into());
    }
    Ok(())
}

fn random() -> anyhow::Result<u16> {
    let mut raw = [0; 2];
    getrandom::fill(&mut raw).context("cannot get random bytes for a name")?;
    Ok(u16::from_ne_bytes(raw))
}
