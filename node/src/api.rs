//! The local API's words: what goes over the node's socket, both ways.
//!
//! HTTP/1.1 with JSON on a unix socket; `http/` answers, `cli/` asks. Data only.
//!
//! | method and path | body | answer |
//! |---|---|---|
//! | `GET /v1/agents[?after=REVISION]` | | [`AgentList`]; with `after`, waits up to 30 s for a newer revision |
//! | `GET /v1/agents/NAME` | | [`AgentDetail`] |
//! | `POST /v1/agents` | [`Apply`] | [`Applied`] |
//! | `POST /v1/agents/NAME/stop`, `…/start`, `…/restart` | | [`Applied`] |
//! | `DELETE /v1/agents/NAME` | | [`Applied`] |
//! | `GET /v1/agents/NAME/logs[?tail=N][&follow=1]` | | the lines as they stand in the log, streamed |
//! | `GET /v1/stats` | | [`StatsList`] |
//! | `GET /v1/status` | | [`NodeStatus`] |
//!
//! Every error is an [`ApiError`] with a fitting HTTP status.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skerry_core::agent::{AgentSpec, Limits};
use skerry_core::document::Configs;
use skerry_core::ids::{AgentName, Digest};
use skerry_core::plan::Status;

/// All agents, as of one moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentList {
    /// Grows whenever anything below changes; give it back as `after` to wait for the next change.
    pub revision: u64,
    /// By name.
    pub agents: BTreeMap<AgentName, Status>,
    /// When each running agent began, in milliseconds since 1970 by the node's clock.
    pub started_at_ms: BTreeMap<AgentName, u64>,
}

/// Everything known of one agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentDetail {
    /// Its name.
    pub name: AgentName,
    /// Its status.
    pub status: Status,
    /// The spec that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<Arc<AgentSpec>>,
    /// The spec of what runs or ran last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Arc<AgentSpec>>,
    /// The limits as read back from the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits_in_force: Option<Limits>,
    /// The cgroup folders of what runs.
    pub cgroups: Vec<String>,
    /// The process that watches over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor_pid: Option<u32>,
    /// When it began, in milliseconds since 1970 by the node's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// Where its records are.
    pub run_dir: String,
    /// Where its output is kept.
    pub log_dir: String,
}

/// Agents that somebody on the node wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Apply {
    /// Each replaces the local agent of the same name.
    pub agents: Vec<AgentSpec>,
    /// Configs that they read; each replaces the one of the same name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: Configs,
    /// Local agents that are not among them are removed.
    #[serde(default)]
    pub prune: bool,
    /// Check everything, change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a change came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// New or started again.
    pub created: Vec<AgentName>,
    /// With a changed spec, or restarted.
    pub changed: Vec<AgentName>,
    /// As they were.
    pub unchanged: Vec<AgentName>,
    /// Removed or stopped.
    pub removed: Vec<AgentName>,
    /// The revision after which [`AgentList`] shows the change.
    pub revision: u64,
}

/// What the running agents use.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsList {
    /// By name.
    pub agents: BTreeMap<AgentName, AgentStats>,
}

/// What one agent uses.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentStats {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Its limit.
    pub memory_limit_bytes: Option<u64>,
    /// Processor time since its start, in microseconds.
    pub cpu_usec: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Its limit.
    pub pids_limit: Option<u64>,
    /// Times the kernel killed a process of it for want of memory.
    pub oom_kills: Option<u64>,
}

/// The node itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// The version of the program.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its public key, hexadecimal.
    pub public_key: String,
    /// The id of that key, by which reports are recognised.
    pub key_id: String,
    /// The document in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentInForce>,
    /// The last documents that were refused, newest last.
    pub refused: Vec<RefusedDocument>,
    /// The fleet link in a few words, such as `connected` or `offline: connection refused`.
    pub link: String,
    /// Messages that wait for the broker.
    pub outbox: u64,
    /// Agents by state.
    pub agents: BTreeMap<String, u32>,
    /// The kind of cgroup hierarchy: `v1`, `hybrid` or `v2`.
    pub cgroup: String,
    /// How the state came to be, if not in the ordinary way: rebuilt from an export, for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_notice: Option<String>,
    /// What stands in the way of the node, or of an agent from outside, and what to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Trouble>,
    /// The sources of local wishes: whether `run` and `apply` are allowed here.
    pub local_wishes: bool,
}

/// The document in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentInForce {
    /// Its version.
    pub version: u64,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Whom it names.
    pub audience: String,
}

pub use skerry_core::report::{RefusedDocument, Trouble};

/// Why a request was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// One sentence with the object, the cause, and the next step where there is one.
    pub error: String,
}
