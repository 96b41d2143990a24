//! The last step: everything ends, and nothing is left.

use std::time::Duration;

use anyhow::bail;

use super::stage::{Stage, fact, until};
use super::work::Scene;

/// Monitors leave a moment after their agents.
const GONE_MAX: Duration = Duration::from_secs(20);

pub async fn everything(stage: &mut Stage, scene: &Scene) -> anyhow::Result<()> {
    stage.step("Document 3 asks for nothing: the agents end, the node ends, nothing is left")?;
    let report = scene.publish_accepted(scene.sign(3, Vec::new())?).await?;
    if !report.agents.is_empty() {
        bail!("the node still reports {} agents", report.agents.len());
    }
    fact(&format!("accepted; signed report {} names no agent any more", report.counter))?;
    stage.stop_node().await?;
    fact("the node got SIGTERM and has ended")?;
    stage.stop_broker().await?;
    fact("the broker got SIGTERM and has ended")?;
    let traces = until("processes, mounts and control groups are gone", GONE_MAX, async || {
        let traces = stage.traces();
        Ok(traces.is_clean().then_some(traces))
    })
    .await;
    let traces = match traces {
        Ok(traces) => traces,
        Err(late) => bail!("{late}: {:?}", stage.traces()),
    };
    fact(&format!(
        "left on the machine: {} processes, {} mounts, {} control groups",
        traces.processes.len(),
        traces.mounts.len(),
        traces.cgroups.len()
    ))
}
