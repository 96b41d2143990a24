//! Steps 6 and 7: agents go on without broker and node; then one of them alone is changed.

use std::time::Duration;

use anyhow::{Context, bail};

use super::evidence;
use super::stage::{Stage, fact, until};
use super::work::{AGENTS, Pids, Scene, process};

/// So many more readings are waited for while nobody watches over the agent.
const MORE: usize = 5;
const READINGS_MAX: Duration = Duration::from_secs(20);
const LINK_MAX: Duration = Duration::from_secs(30);

pub async fn without_network_and_node(stage: &mut Stage, pids: &Pids) -> anyhow::Result<()> {
    stage.step("The broker is cut off and the node is killed; the agents go on")?;
    let log = stage.skerry.inspect("sensor").await?.log_dir;
    let old = stage.skerry.status().await?.pid;
    stage.kill_broker().await?;
    fact("the broker got SIGKILL: no network")?;
    stage.kill_node().await?;
    fact(&format!("the node, process {old}, got SIGKILL"))?;

    let before = evidence::readings(&log)?;
    let after = until("the sensor's log grows without the node", READINGS_MAX, async || {
        let readings = evidence::readings(&log)?;
        Ok((readings.len() >= before.len() + MORE).then_some(readings))
    })
    .await?;
    evidence::check_gapless(&after)?;
    fact(&format!(
        "without a node the sensor wrote on: reading {} -> {}, none missing",
        before.len().saturating_sub(1),
        after.len().saturating_sub(1)
    ))?;
    check_same(pids, "while the node was dead")?;

    let new = stage.start_node().await?;
    for (name, process) in pids {
        let now = self::process(stage, name).await?;
        if now != *process {
            bail!("agent {name} was restarted: pid {} became {}", process.pid, now.pid);
        }
        fact(&format!("{name}: adopted by the new node process {new}, still pid {}", now.pid))?;
    }
    let link = until("the node says that it is offline", LINK_MAX, async || {
        let link = stage.skerry.status().await?.link;
        Ok(link.starts_with("offline").then_some(link))
    })
    .await?;
    let status = stage.skerry.status().await?;
    let version = status.document.context("the node has lost its document")?.version;
    fact(&format!("the node started with document {version} from its disk; link: {link}"))
}

/// The agents' processes after document 2.
pub async fn second_document(
    stage: &mut Stage,
    scene: &Scene,
    before: &Pids,
) -> anyhow::Result<Pids> {
    stage.step("The broker is back; document 2 changes one of the two agents")?;
    let pid = stage.start_broker().await?;
    fact(&format!("{} again, process {pid}", stage.url()))?;
    let ready = scene.sign(2, scene.agents("250ms")?)?;
    fact(&format!("signed document 2: {}; only heartbeat's INTERVAL differs", ready.digest))?;
    let report = scene.publish_accepted(ready).await?;
    fact(&format!("accepted; signed report {}", report.counter))?;

    let mut pids = Pids::new();
    for name in AGENTS {
        let now = process(stage, name).await?;
        let then = before.get(name).context("an agent was not seen before")?;
        match (name, now == *then) {
            ("sensor", true) => fact(&format!("sensor:    untouched, still pid {}", now.pid))?,
            ("sensor", false) => bail!("sensor was restarted, and nothing of it had changed"),
            (_, false) => fact(&format!("{name}: pid {} -> {}", then.pid, now.pid))?,
            (_, true) => bail!("{name} was not restarted, and its environment had changed"),
        }
        pids.insert(name, now);
    }
    let log = stage.skerry.inspect("sensor").await?.log_dir;
    let readings = evidence::readings(&log)?;
    evidence::check_gapless(&readings)?;
    fact(&format!("sensor's log: {} readings since its start, none missing", readings.len()))?;
    Ok(pids)
}

/// Checks that every agent is the process that it was.
pub fn check_same(pids: &Pids, when: &str) -> anyhow::Result<()> {
    for (name, process) in pids {
        if !process.lives() {
            bail!("agent {name} (pid {}) ended {when}", process.pid);
        }
    }
    let shown: Vec<_> =
        pids.iter().map(|(name, process)| format!("{name} pid {}", process.pid)).collect();
    fact(&format!("the same processes {when}: {}", shown.join(", ")))
}
