//! The `skerry` program, as an operator at the device uses it: runs a verb, reads its JSON.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use skerry_core::agent::Limits;
use tokio::process::Command;
use tokio::time::timeout;

/// The longest a verb may take.
const VERB_MAX: Duration = Duration::from_secs(60);

/// The program, pointed at one node.
pub struct Skerry {
    program: PathBuf,
    socket: PathBuf,
    state_dir: PathBuf,
}

/// What `skerry status --format json` says, as far as it is needed here.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node's process.
    pub pid: u32,
    /// Its public key in hexadecimal.
    pub public_key: String,
    /// The fleet link in a few words.
    pub link: String,
    /// The document in force.
    pub document: Option<InForce>,
}

/// The document in force.
#[derive(Debug, Clone, Deserialize)]
pub struct InForce {
    /// Its version.
    pub version: u64,
}

/// What `skerry inspect` says of one agent, as far as it is needed here.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Where it is.
    pub status: AgentStatus,
    /// The limits as read back from the kernel.
    pub limits_in_force: Option<Limits>,
    /// Its control groups' folders.
    pub cgroups: Vec<PathBuf>,
    /// The process that watches over it.
    pub monitor_pid: Option<u32>,
    /// Where its output is kept.
    pub log_dir: PathBuf,
}

/// Where an agent is.
#[derive(Debug, Clone, Deserialize)]
pub struct AgentStatus {
    /// One word.
    pub state: String,
    /// Its process.
    pub pid: Option<u32>,
    /// Its image.
    pub image: String,
}

impl Skerry {
    /// The program, for the node with this socket and state.
    pub fn new(program: PathBuf, socket: PathBuf, state_dir: PathBuf) -> Self {
        Self { program, socket, state_dir }
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The node itself.
    pub async fn status(&self) -> anyhow::Result<NodeStatus> {
        self.json(&["status", "--format", "json"]).await
    }

    /// One agent.
    pub async fn inspect(&self, name: &str) -> anyhow::Result<Agent> {
        let mut agents: Vec<Agent> = self.json(&["inspect", name]).await?;
        agents.pop().with_context(|| format!("skerry inspect {name} showed nothing"))
    }

    /// Carries out a verb, and returns what it prints.
    pub async fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> anyhow::Result<String> {
        let words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
        let shown = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SKERRY_") {
                command.env_remove(name);
            }
        }
        command.arg("--socket").arg(&self.socket).arg("--state-dir").arg(&self.state_dir);
        command.args(words).stdin(Stdio::null()).kill_on_drop(true);
        let output = match timeout(VERB_MAX, command.output()).await {
            Ok(output) => output.with_context(|| format!("cannot run skerry {shown}"))?,
            Err(_) => bail!("'skerry {shown}' took longer than {} s", VERB_MAX.as_secs()),
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("'skerry {shown}' failed ({}): {}", output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    async fn json<T: DeserializeOwned>(&self, words: &[&str]) -> anyhow::Result<T> {
        let text = self.run(words).await?;
        serde_json::from_str(&text)
            .with_context(|| format!("cannot understand what 'skerry {}' printed", words.join(" ")))
    }
}
