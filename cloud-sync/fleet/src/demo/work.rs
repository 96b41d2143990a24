//! Step 5: a signed document becomes running agents.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use skerry_core::agent::{AgentSpec, Limits, Resources};
use skerry_core::bundle::Address;
use skerry_core::document::Document;
use skerry_core::ids::Digest;
use skerry_core::report::Report;
use skerry_core::trust::PublicKey;

use super::evidence::{self, Process};
use super::stage::{NODE, Stage, fact};
use crate::live::Live;
use crate::output;
use crate::publish::{Fate, Settled, Wanted, send};
use crate::release::Ready;
use crate::sign::{Content, sign_document};
use crate::workspace::Workspace;

/// The longest the node may take to say what became of a document.
pub const ANSWER_MAX: Duration = Duration::from_secs(60);
/// The agents of the demo.
pub const AGENTS: [&str; 2] = ["sensor", "heartbeat"];
const MEMORY: u64 = 64 << 20;
const CPU: u64 = 250;
const PIDS: u64 = 32;

/// Who signs, what runs, and who answers.
pub struct Scene {
    /// The operator's workspace.
    pub workspace: Workspace,
    /// The image of both agents.
    pub image: Digest,
    /// The node's public key.
    pub key: PublicKey,
}

/// The processes of the agents, by name.
pub type Pids = BTreeMap<&'static str, Process>;

impl Scene {
    /// The agents, the second with this pace.
    pub fn agents(&self, heartbeat: &str) -> anyhow::Result<Vec<AgentSpec>> {
        let limits = Limits {
            memory: Some("64Mi".parse()?),
            cpu: Some("250m".parse()?),
            pids: Some(32),
            ..Limits::default()
        };
        let mut specs = Vec::new();
        for (name, pace) in AGENTS.into_iter().zip(["200ms", heartbeat]) {
            let mut spec = AgentSpec::new(name.parse()?, self.image);
            spec.resources = Resources { limits: limits.clone(), ..Resources::default() };
            let env = [("NAME", name), ("INTERVAL", pace)];
            spec.env = env.map(|(name, value)| (name.to_owned(), value.into())).into();
            specs.push(spec);
        }
        Ok(specs)
    }

    /// Signs a document with any version.
    pub fn sign(&self, version: u64, agents: Vec<AgentSpec>) -> anyhow::Result<Ready> {
        let address = Address::Node(NODE.parse()?);
        let content = Content { agents, ..Content::default() };
        sign_document(&self.workspace, &address, version, content, Path::new("the demo"))
    }

    /// Publishes a bundle, and waits for the node's signed word.
    pub async fn publish(
        &self,
        document: Document,
        digest: Digest,
        bundle: Vec<u8>,
    ) -> anyhow::Result<Fate> {
        let node = NODE.parse()?;
        let wanted = Wanted { document, digest, bundle: Digest::of(&bundle), heard: 0 };
        let mut live = Live::open(self.workspace.broker(), Some(NODE)).await?;
        let fate = send(&mut live, &node, self.key, &wanted, bundle, ANSWER_MAX).await?;
        live.close().await;
        Ok(fate)
    }

    /// Publishes a bundle that must be accepted, and returns the signed report.
    pub async fn publish_accepted(&self, ready: Ready) -> anyhow::Result<Report> {
        let version = ready.document.version;
        match self.publish(ready.document, ready.digest, ready.bytes).await? {
            Fate::Accepted(report, Settled::Yes) => Ok(*report),
            Fate::Accepted(_, Settled::NotYet(what)) => {
                bail!("document {version} was accepted, but within {ANSWER_MAX:?}: {what}")
            }
            Fate::Refused(reason) => bail!("document {version} was refused: {reason}"),
            Fate::Unknown(why) => bail!("no answer about document {version}: {why}"),
        }
    }
}

/// Publishes document 1, and returns its bundle for a later step.
pub async fn first_document(stage: &mut Stage, scene: &Scene) -> anyhow::Result<Ready> {
    stage.step("Document 1 is signed and published; two agents start under limits")?;
    let ready = scene.sign(1, scene.agents("500ms")?)?;
    fact(&format!("signed document 1: {}, a bundle of {} bytes", ready.digest, ready.bytes.len()))?;
    let report = scene.publish_accepted(ready.clone()).await?;
    fact(&format!("{NODE} accepted it; its report {} is signed with its key", report.counter))?;
    Ok(ready)
}

/// Shows and checks what runs, by the node's and by the kernel's word.
pub async fn evidence(stage: &Stage) -> anyhow::Result<Pids> {
    let mut pids = Pids::new();
    for name in AGENTS {
        let agent = stage.skerry.inspect(name).await?;
        let process = process(stage, name).await?;
        pids.insert(name, process);
        fact(&format!(
            "{name}: {}, pid {}, watched by pid {}, image {}",
            agent.status.state,
            process.pid,
            agent.monitor_pid.unwrap_or_default(),
            agent.status.image
        ))?;
        let limits = agent.limits_in_force.context("skerry inspect shows no limits in force")?;
        let shown = |limit: Option<String>| limit.unwrap_or_else(|| "none".to_owned());
        fact(&format!(
            "  limits read back by the node: memory {}, cpu {}, pids {}",
            shown(limits.memory.map(|limit| limit.to_string())),
            shown(limits.cpu.map(|limit| limit.to_string())),
            shown(limits.pids.map(|limit| limit.to_string())),
        ))?;
        let found = evidence::limits(&agent.cgroups);
        for (path, value) in &found {
            fact(&format!("  {path} = {value}"))?;
        }
        evidence::check_limits(&found, MEMORY, CPU, PIDS)?;
        let line = stage.skerry.run(&["logs", "-n", "1", name]).await?;
        fact(&format!("  its last line: {}", output::clean(&line)))?;
    }
    Ok(pids)
}

/// The process of an agent that runs.
pub async fn process(stage: &Stage, name: &str) -> anyhow::Result<Process> {
    let agent = stage.skerry.inspect(name).await?;
    let Some(pid) = agent.status.pid else {
        bail!("agent {name} does not run: it is {}", agent.status.state);
    };
    Process::find(pid)
}
