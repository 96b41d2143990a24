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
//! | `GET /v1/profile` | | [`skerry_core::admit::Profile`] |
//! | `GET /v1/jobs` | | [`JobList`] |
//! | `GET /v1/configs` | | [`Configs`]: those of local agents |
//! | `PUT /v1/configs/NAME` | values by key | [`Applied`]; the config is then what the body says |
//! | `DELETE /v1/configs/NAME` | | [`Applied`] |
//! | `GET /v1/secrets` | | [`SecretList`]: never a value |
//! | `POST /v1/secrets/NAME` | [`SecretValues`] | [`Done`]; other keys stay as they are |
//! | `DELETE /v1/secrets/NAME[/KEY]` | | [`Done`] |
//! | `GET /v1/volumes` | | [`VolumeList`] |
//! | `DELETE /v1/volumes/NAME` | | [`Done`]; refused while an agent uses it |
//! | `POST /v1/down` | | [`Down`]; waits up to 30 s, ask again until it is done |
//! | `POST /v1/up` | | [`Done`] |
//!
//! Every error is an [`ApiError`] with a fitting HTTP status.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skerry_core::agent::{AgentSpec, Limits};
use skerry_core::book::Ended;
use skerry_core::document::Configs;
use skerry_core::ids::{AgentName, DataKey, DataName, Digest, VolumeName};
use skerry_core::plan::{Status, Why};

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
    /// Of each agent with replicas, the names that these run under.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replicas: BTreeMap<AgentName, Vec<AgentName>>,
}

impl AgentList {
    /// The names that an agent runs under: those of its replicas, or its own.
    pub fn parts(&self, name: &AgentName) -> Vec<AgentName> {
        self.replicas.get(name).cloned().unwrap_or_else(|| vec![name.clone()])
    }
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
    /// Wishes that are not in force here, and why: only those that need not be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortfalls: Vec<Shortfall>,
    /// How it ended the last times, newest first.
    #[serde(default)]
    pub history: Vec<PastExit>,
    /// Its runs, if it is a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDetail>,
    /// Where its records are.
    pub run_dir: String,
    /// Where its output is kept.
    pub log_dir: String,
}

/// A wish that is not in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shortfall {
    /// The field of the spec.
    pub field: String,
    /// Why not, and what would help.
    pub why: String,
}

/// Why an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// By itself, with a code.
    Exit,
    /// By a signal that nobody on this node sent.
    Signal,
    /// The kernel killed it for want of memory.
    OutOfMemory,
    /// It was stopped since its checks failed.
    Unhealthy,
    /// It was stopped since it took longer than it may.
    Deadline,
    /// It was stopped; `why` says what for.
    Stopped,
    /// It could not be started; `message` says why.
    NotStarted,
    /// Its monitor went without a word, so that nobody knows how it ended.
    MonitorLost,
}

/// How an agent ended once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastExit {
    /// In one word.
    pub reason: Reason,
    /// What ran.
    pub instance: Digest,
    /// Its exit code, if it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// What it was stopped for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// Why it could not be started, or what the check said that it was stopped for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_ms: Option<u64>,
    /// When it ended, in milliseconds since 1970 by the node's clock.
    pub finished_at_ms: i64,
    /// How often it had been started again before.
    pub restarts: u32,
    /// The run of a job that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
}

impl PastExit {
    /// In words, for the audit log.
    pub fn in_words(&self) -> String {
        let code = self.code.map(|code| format!("exit code {code}"));
        let signal = || self.signal.map(|signal| format!("signal {signal}"));
        let ended = code.or_else(signal).or_else(|| self.message.clone());
        let ended = ended.unwrap_or_else(|| "nobody knows how it ended".to_owned());
        match (self.reason, self.why) {
            (Reason::OutOfMemory, _) => format!("{ended}, out of memory"),
            (Reason::NotStarted, _) => format!("not started: {ended}"),
            (_, Some(why)) => {
                let said = self.message.as_ref().filter(|said| **said != ended);
                let said = said.map(|said| format!(": {said}")).unwrap_or_default();
                format!("{ended}, {why}{said}")
            }
            _ => ended,
        }
    }
}

/// Every job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobList {
    /// By name.
    pub jobs: BTreeMap<AgentName, JobDetail>,
}

/// The runs of one job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobDetail {
    /// When; none if it runs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// When it is due next, in milliseconds since 1970 by the node's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_ms: Option<i64>,
    /// Why that cannot be reckoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Runs under way, oldest first.
    pub running: Vec<JobRun>,
    /// Runs that have ended, newest first.
    pub history: Vec<Ended>,
}

/// A run of a job that is under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRun {
    /// Which.
    pub execution: String,
    /// The moment that it was due, in milliseconds since 1970.
    pub scheduled_ms: i64,
    /// When it was started first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// How often it was started.
    pub attempts: u32,
}

/// Nothing more to say than that it is done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Done {}

/// The secrets of the node, without their values.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SecretList {
    /// By name.
    pub secrets: BTreeMap<DataName, SecretEntry>,
}

/// One secret, without its values.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretEntry {
    /// Its keys.
    pub keys: Vec<DataKey>,
    /// The agents that read it.
    pub agents: Vec<AgentName>,
}

/// Values of a secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretValues {
    /// By key, in hexadecimal, since a value may hold any bytes.
    pub hex: BTreeMap<DataKey, String>,
}

/// The volumes of the node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VolumeList {
    /// By name.
    pub volumes: BTreeMap<VolumeName, VolumeEntry>,
}

/// One volume.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeEntry {
    /// Its folder.
    pub path: String,
    /// What it takes on disk; none if it holds too many files to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The most that it may hold, if it has a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// The agents that name it.
    pub agents: Vec<AgentName>,
}

/// How far a stop of everything is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Down {
    /// Everything is stopped.
    pub done: bool,
    /// Who still runs.
    pub left: Vec<AgentName>,
    /// The node's process ends now. If not, it stays, and starts nothing until it is told to.
    pub ends: bool,
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
    /// Time that it wanted a processor and had no share left, in microseconds.
    #[serde(default)]
    pub throttled_usec: Option<u64>,
    /// Bytes read from disks.
    #[serde(default)]
    pub read_bytes: Option<u64>,
    /// Bytes written to disks.
    #[serde(default)]
    pub written_bytes: Option<u64>,
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
    /// What the node trusts, and by which time it judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Arc<TrustState>>,
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
    /// Everything is stopped, or about to be, until `skerry up`.
    #[serde(default)]
    pub down: bool,
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

pub use skerry_core::report::{RefusedDocument, Trouble, TrustState};

/// Why a request was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// One sentence with the object, the cause, and the next step where there is one.
    pub error: String,
}
