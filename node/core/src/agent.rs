//! The agent spec: what one workload is, as its author writes it.
//!
//! Decides what a valid spec is ([`AgentSpec::check`]). Unknown fields are refused, and so is what
//! would have no effect, so that nothing in a spec is decoration. Documents ([`crate::document`])
//! are lists of these. One file below for each group of fields; between agents: `dependencies`.

pub mod dependencies;
pub mod env;
mod error;
mod fault;
pub mod job;
pub mod life;
pub mod output;
pub mod placement;
mod probe;
pub mod resources;
pub mod seccomp;
pub mod security;
mod text;
pub mod volume;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use dependencies::{check_dependencies, check_pods};
pub use env::{EnvFile, EnvValue, Origin, Reference};
pub use error::SpecError;
pub use job::{Concurrency, Job};
pub use life::{Backoff, Condition, PreStop, Restart, Signal, Stop};
pub use output::{Logging, Network, NetworkMode};
pub use probe::{FileProbe, HealthCheck, HttpProbe, OnUnhealthy, Scheme, StatusRange, TcpProbe};
pub use resources::{Cpuset, Io, IoDevice, Limits, Priority, Requests, Resources, Tier};
pub use seccomp::{Seccomp, SeccompProfile, SyscallArg, SyscallRule};
pub use security::{Capabilities, Device, Permissions, Rlimit, Security};
pub use volume::{Mode, Propagation, Volume, VolumeKind, VolumeType};

use crate::ids::{AgentName, DataName, Digest, PodName};
use fault::{Fault, fault};

/// The most words of command and arguments, the most variables, the most dependencies.
const LIST_MAX: usize = 256;
/// The most bytes in one word or one variable's value.
const TEXT_MAX: usize = 32 * 1024;
/// The most replicas of one agent.
pub const REPLICAS_MAX: u32 = 256;

/// One agent: an OCI image and how it must run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentSpec {
    /// Unique on the node.
    pub name: AgentName,
    /// The image, always by the digest of its manifest.
    pub image: Digest,
    /// Replaces the image's entrypoint, as Kubernetes' `command` does.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::words")]
    #[cfg_attr(test, schemars(with = "Option<Vec<crate::schema::Text>>"))]
    pub command: Option<Vec<String>>,
    /// Replaces the image's default arguments, as Kubernetes' `args` does.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::words")]
    #[cfg_attr(test, schemars(with = "Option<Vec<crate::schema::Text>>"))]
    pub args: Option<Vec<String>>,
    /// The working directory; the image's, or `/`, by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Whom the program runs as: `UID[:GID]`, or names that the image's own `/etc/passwd` and
    /// `/etc/group` resolve. The image's user by default.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text::one")]
    #[cfg_attr(test, schemars(with = "Option<crate::schema::Text>"))]
    pub user: Option<String>,
    /// The host name inside; the agent's own name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Short marks to choose agents by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "text::map")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, crate::schema::Text>"))]
    pub labels: BTreeMap<String, String>,
    /// Longer notes for people and other tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "text::map")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, crate::schema::Text>"))]
    pub annotations: BTreeMap<String, String>,
    /// On which nodes of a group it runs: those that have all of these labels, in their configuration. On all
    /// of them by default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "text::map")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, crate::schema::Text>"))]
    pub node_selector: BTreeMap<String, String>,
    /// Variables on top of the image's and of `envFile`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// Files of `NAME=value` lines, kept as configs or secrets; later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_file: Vec<EnvFile>,
    /// What is mounted into its file system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// What the agent may use.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Who goes first when processor, disk or memory are short.
    #[serde(default, skip_serializing_if = "Priority::is_default")]
    pub priority: Priority,
    /// What happens when the agent ends; `always` by default. A job has `retries` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// How long it waits before it starts again.
    #[serde(default, skip_serializing_if = "Backoff::is_default")]
    pub restart_backoff: Backoff,
    /// How it is known that it works. An agent that fails is started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// How it is known that it can serve. Until then nothing that depends on it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<HealthCheck>,
    /// How it is known that it has started. Until then the other checks wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<HealthCheck>,
    /// Agents of the same node that must be so far before this one starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<AgentName, Condition>,
    /// How it is asked to end.
    #[serde(default, skip_serializing_if = "Stop::is_default")]
    pub stop: Stop,
    /// Whether a tiny init collects orphaned processes and passes signals on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub init: bool,
    /// Runs it so many times, under the names `NAME-0`, `NAME-1` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Agents of one pod share network, IPC and host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodName>,
    /// It runs to its end, once or by a schedule, instead of for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// What it may do to the machine.
    #[serde(default, skip_serializing_if = "Security::is_default")]
    pub security: Security,
    /// How much of its output is kept.
    #[serde(default, skip_serializing_if = "Logging::is_default")]
    pub logging: Logging,
    /// Which network it sees.
    #[serde(default, skip_serializing_if = "Network::is_default")]
    pub network: Network,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl AgentSpec {
    /// A spec with defaults everywhere but for its name and image.
    pub fn new(name: AgentName, image: Digest) -> Self {
        Self {
            name,
            image,
            command: None,
            args: None,
            workdir: None,
            user: None,
            hostname: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            node_selector: BTreeMap::new(),
            env: BTreeMap::new(),
            env_file: Vec::new(),
            volumes: Vec::new(),
            resources: Resources::default(),
            priority: Priority::default(),
            restart: None,
            restart_backoff: Backoff::default(),
            health_check: None,
            readiness: None,
            startup: None,
            depends_on: BTreeMap::new(),
            stop: Stop::default(),
            init: false,
            replicas: None,
            pod: None,
            job: None,
            security: Security::default(),
            logging: Logging::default(),
            network: Network::default(),
        }
    }

    /// What happens when it ends, said or not.
    pub fn restart(&self) -> Restart {
        match (&self.job, self.restart) {
            (Some(job), _) => Restart::OnFailure(Some(job.retries)),
            (None, policy) => policy.unwrap_or_default(),
        }
    }

    /// Every config and secret it names.
    pub fn references(&self) -> impl Iterator<Item = (Origin, DataName)> {
        let env = self.env.values().filter_map(|value| match value {
            EnvValue::Text(_) => None,
            EnvValue::From(reference) => Some((reference.from, reference.name.clone())),
        });
        let files = self.env_file.iter().map(|file| (file.from, file.name.clone()));
        let volumes = self.volumes.iter().filter_map(|volume| match volume.kind() {
            Ok(VolumeKind::Config(name)) => Some((Origin::Config, name)),
            Ok(VolumeKind::Secret(name)) => Some((Origin::Secret, name)),
            _ => None,
        });
        env.chain(files).chain(volumes)
    }

    /// Checks what the types cannot: bounds, and fields that exclude each other.
    ///
    /// # Errors
    /// The first field that is wrong, with its path.
    pub fn check(&self) -> Result<(), SpecError> {
        self.find_fault().map_err(|Fault { field, problem }| SpecError::Field {
            agent: self.name.clone(),
            field,
            problem,
        })
    }

    fn find_fault(&self) -> Result<(), Fault> {
        self.check_program()?;
        self.check_notes()?;
        env::check(&self.env, &self.env_file)?;
        volume::check(&self.volumes)?;
        self.resources.check().map_err(Fault::below("resources"))?;
        self.restart_backoff.check().map_err(Fault::below("restartBackoff"))?;
        for (field, check) in [
            ("healthCheck", &self.health_check),
            ("readiness", &self.readiness),
            ("startup", &self.startup),
        ] {
            let Some(check) = check else { continue };
            check.check().map_err(Fault::below(field))?;
            if field != "healthCheck" && check.on_unhealthy.is_some() {
                return fault(format!("{field}.onUnhealthy"), "belongs into healthCheck only");
            }
        }
        if self.depends_on.len() > LIST_MAX {
            return fault("dependsOn", "names more than 256 agents");
        }
        self.stop.check().map_err(Fault::below("stop"))?;
        self.security.check().map_err(Fault::below("security"))?;
        self.logging.check().map_err(Fault::below("logging"))?;
        self.network.check().map_err(Fault::below("network"))?;
        if let Some(job) = &self.job {
            job.check().map_err(Fault::below("job"))?;
        }
        self.check_together()
    }

    fn check_program(&self) -> Result<(), Fault> {
        for (field, words) in [("command", &self.command), ("args", &self.args)] {
            if let Some(problem) = words.as_deref().and_then(text::words_problem) {
                return fault(field, problem);
            }
        }
        let command = self.command.as_deref();
        if command.is_some_and(|words| words.first().is_none_or(String::is_empty)) {
            return fault("command", "names no program; leave it out to use the image's");
        }
        if self.workdir.as_deref().is_some_and(|path| text::path_problem(path).is_some()) {
            return fault("workdir", "must be an absolute path of at most 4096 bytes without '..'");
        }
        if self.user.as_deref().is_some_and(|user| !is_user(user)) {
            return fault("user", "must be UID, UID:GID, or names as in the image's /etc/passwd");
        }
        Ok(())
    }

    fn check_notes(&self) -> Result<(), Fault> {
        if let Some(name) = &self.hostname {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
            if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
                return fault("hostname", "must be 1 to 64 letters, digits, '-' and '.'");
            }
        }
        for (field, map, longest) in [
            ("labels", &self.labels, 256),
            ("nodeSelector", &self.node_selector, 256),
            ("annotations", &self.annotations, 16 * 1024),
        ] {
            placement::check_marks(field, map, longest)?;
        }
        Ok(())
    }

    /// What excludes each other.
    fn check_together(&self) -> Result<(), Fault> {
        if self.user.is_some() && self.security.run_as_user.is_some() {
            return fault("user", "is said twice; use either user or security.runAsUser");
        }
        if self.replicas.is_some_and(|count| count > REPLICAS_MAX) {
            return fault("replicas", "is over 256");
        }
        if self.restart == Some(Restart::Never) && !self.restart_backoff.is_default() {
            return fault("restartBackoff", "has no meaning with restart: never");
        }
        if self.job.is_some() {
            let said = [
                ("restart", self.restart.is_some(), "does not go with job; use job.retries"),
                ("replicas", self.replicas.is_some(), "does not go with job"),
            ];
            for (field, there, problem) in said {
                if there {
                    return fault(field, problem);
                }
            }
        }
        if self.pod.is_some() {
            let said = [
                ("hostname", self.hostname.is_some(), "is the pod's; leave it out"),
                (
                    "network.mode",
                    self.network.mode == NetworkMode::Host,
                    "host does not go with pod, whose agents share a network of their own",
                ),
                (
                    "security.userNamespace",
                    self.security.user_namespace,
                    "does not go with pod, whose agents share namespaces",
                ),
            ];
            for (field, there, problem) in said {
                if there {
                    return fault(field, problem);
                }
            }
        }
        if self.network.mode == NetworkMode::Host
            && let Some(name) = self.security.sysctls.keys().find(|name| name.starts_with("net."))
        {
            let problem = "would change the host's own network, which network.mode host shares";
            return fault(format!("security.sysctls.{name}"), problem);
        }
        if self.security.user_namespace {
            if self.security.privileged {
                return fault("security.userNamespace", "does not go with privileged");
            }
            if self.network.mode == NetworkMode::Host {
                return fault("security.userNamespace", "does not go with network.mode host");
            }
            let ids = self.user.iter().flat_map(|user| user.split(':'));
            let beyond = |id: u64| id >= u64::from(security::IDS_OF_A_NAMESPACE);
            if ids.into_iter().any(|id| id.parse::<u64>().is_ok_and(beyond)) {
                return fault("user", "is over 65535, the last id that userNamespace gives it");
            }
        }
        Ok(())
    }

    /// The digest of the whole spec: two specs that differ in anything differ in it.
    pub fn digest(&self) -> Digest {
        // A struct of strings and numbers with string keys always serialises.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The digest of what its container is made from, by which a running agent is recognised and
    /// left alone. What can be changed while it runs is not in it: limits and requests, checks,
    /// dependencies, restart policy, labels and annotations.
    pub fn container_digest(&self) -> Digest {
        let mut made_from = self.clone();
        made_from.resources = Resources::default();
        made_from.restart = None;
        made_from.restart_backoff = Backoff::default();
        made_from.health_check = None;
        made_from.readiness = None;
        made_from.startup = None;
        made_from.depends_on = BTreeMap::new();
        made_from.labels = BTreeMap::new();
        made_from.annotations = BTreeMap::new();
        made_from.node_selector = BTreeMap::new();
        made_from.replicas = None;
        made_from.job = None;
        made_from.digest()
    }
}

/// `1000`, `1000:1000`, `app`, `app:www`.
fn is_user(text: &str) -> bool {
    let one = |part: &str| {
        !part.is_empty()
            && part.len() <= 64
            && !part.starts_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !(part.bytes().all(|b| b.is_ascii_digit())
                && part.parse::<u64>().is_ok_and(|id| id >= u64::from(u32::MAX)))
    };
    let (user, group) = text.split_once(':').unwrap_or((text, "0"));
    one(user) && one(group)
}

#[cfg(test)]
mod tests;
