//! `skerry-fleet demo`: the whole of Skerry at work on this machine, step by step, with evidence.
//!
//! Every part is the real one: this program's broker and keys, the `skerry` program as node, packer
//! and command line, real containers. What a step claims it has checked, or the demo fails. It
//! works in a temporary folder and a control group of its own, and removes both however it ends.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::output;

mod evidence;
mod finish;
mod prepare;
mod refuse;
mod skerry;
mod stage;
mod survive;
mod traces;
mod work;

use stage::Stage;

/// Shows the whole of Skerry at work on this machine, step by step, and cleans up after itself.
/// It starts containers, so it needs root
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// The 'skerry' program
    #[arg(long, value_name = "PATH")]
    skerry: PathBuf,
    /// The sample agent, a static program
    #[arg(long, value_name = "PATH")]
    sensor: PathBuf,
    /// Keep the temporary folder, to look at it afterwards
    #[arg(long)]
    keep: bool,
}

/// Plays all steps, and cleans up.
pub async fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        bail!("the demo starts containers, which needs root; do: sudo skerry-fleet demo …");
    }
    let began = Instant::now();
    let mut stage = Stage::new(args.skerry.clone(), args.sensor.clone())?;
    let played = tokio::select! {
        played = play(&mut stage) => played,
        interrupted = interrupted() => interrupted,
    };
    if let Err(error) = &played {
        let (step, why) = (stage.step_number(), output::sentence(error));
        if error.is::<Interrupted>() {
            output::note(&format!("{why} in step {step}; cleaning up"));
        } else {
            output::note(&format!("step {step} failed: {why}\n{}", stage.node_log_tail()));
        }
    }
    let left = stage.clean_up(args.keep).await;
    for problem in &left {
        output::note(&format!("while cleaning up: {problem}"));
    }
    if played.is_err() || !left.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    output::line(&format!(
        "\nAll {} steps passed in {:.1} s; nothing is left behind.",
        stage.step_number(),
        began.elapsed().as_secs_f64()
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    prepare::broker(stage).await?;
    let workspace = prepare::keys(stage)?;
    let image = prepare::image(stage, &workspace).await?;
    let key = prepare::node(stage, &workspace).await?;
    let scene = work::Scene { workspace, image, key };
    let first = work::first_document(stage, &scene).await?;
    let pids = work::evidence(stage).await?;
    survive::without_network_and_node(stage, &pids).await?;
    let pids = survive::second_document(stage, &scene, &pids).await?;
    refuse::forged(stage, &scene).await?;
    refuse::older(stage, &scene, first).await?;
    refuse::untouched(stage, &scene, &pids).await?;
    finish::everything(stage, &scene).await
}

/// Somebody wants the demo to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

async fn interrupted() -> anyhow::Result<()> {
    let wait = |kind| signal(kind).context("cannot wait for signals");
    let (mut asked, mut closed) = (wait(SignalKind::terminate())?, wait(SignalKind::hangup())?);
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C")?,
        _ = asked.recv() => {}
        _ = closed.recv() => {}
    }
    Err(Interrupted.into())
}
