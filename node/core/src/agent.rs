//! The agent spec: what one workload is, as its author writes it.
//!
//! Decides what a valid spec is ([`AgentSpec::check`]). Unknown fields are refused, so that nothing
//! in a spec is decoration. Documents ([`crate::document`]) are lists of these.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{AgentName, Digest};
use crate::units::{Cpu, Memory, Span};

/// The most words of command and arguments, the most variables, the most dependencies.
const LIST_MAX: usize = 256;
/// The most bytes in one word or one variable's value.
const TEXT_MAX: usize = 32 * 1024;
/// Below this no program starts at all.
const MEMORY_MIN: Memory = Memory(1 << 20);

/// One agent: an OCI image and how it must run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentSpec {
    /// Unique on the node.
    pub name: AgentName,
    /// The image, always by the digest of its manifest.
    pub image: Digest,
    /// Replaces the image's entrypoint, as Kubernetes' `command` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Replaces the image's default arguments, as Kubernetes' `args` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// The working directory; the image's, or `/`, by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Variables on top of the image's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What the agent may use.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// What happens when the agent ends.
    #[serde(default)]
    pub restart: Restart,
    /// How its health is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Agents of the same node that must be so far before this one starts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<AgentName, Condition>,
    /// How it is asked to end.
    #[serde(default, skip_serializing_if = "Stop::is_default")]
    pub stop: Stop,
}

/// Resource settings of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Hard limits, enforced by cgroups and read back.
    #[serde(default)]
    pub limits: Limits,
}

impl Resources {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Hard limits; what is left out is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// `64Mi`; the agent is killed when it needs more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// `500m`; the agent is throttled when it wants more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// The most processes and threads at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

/// What happens when an agent ends: `always`, `unless-stopped`, `on-failure[:N]` or `never`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Restart {
    /// Start it again, whatever its exit code.
    #[default]
    Always,
    /// As `always`; kept apart since users of Docker write it. A stopped agent stays stopped under
    /// both.
    UnlessStopped,
    /// Start it again after a failure, at most so often in a row if a number is given.
    OnFailure(Option<u32>),
    /// Run it once.
    Never,
}

impl TryFrom<String> for Restart {
    type Error = SpecError;
    fn try_from(text: String) -> Result<Self, SpecError> {
        let wrong = || SpecError::Restart(text.clone());
        match text.as_str() {
            "always" => Ok(Self::Always),
            "unless-stopped" => Ok(Self::UnlessStopped),
            "never" | "no" => Ok(Self::Never),
            "on-failure" => Ok(Self::OnFailure(None)),
            other => {
                let count = other.strip_prefix("on-failure:").ok_or_else(wrong)?;
                Ok(Self::OnFailure(Some(count.parse().map_err(|_| wrong())?)))
            }
        }
    }
}

impl From<Restart> for String {
    fn from(restart: Restart) -> String {
        restart.to_string()
    }
}

impl FromStr for Restart {
    type Err = SpecError;
    fn from_str(text: &str) -> Result<Self, SpecError> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(None) => f.write_str("on-failure"),
            Self::OnFailure(Some(count)) => write!(f, "on-failure:{count}"),
            Self::Never => f.write_str("never"),
        }
    }
}

/// How far a dependency must be before its dependent may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Its process runs.
    Started,
    /// Its health check passes.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
        })
    }
}

/// How health is found out, and what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// Run in the agent's container; exit code 0 is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Connect to this port in the agent's network namespace; a connection is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// The time between two probes.
    #[serde(default = "interval")]
    pub interval: Span,
    /// A probe that takes longer has failed.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// So many failures in a row make it unhealthy.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Failures this soon after the start do not count.
    #[serde(default = "no_time")]
    pub start_period: Span,
    /// What is done then.
    #[serde(default)]
    pub on_unhealthy: OnUnhealthy,
}

fn interval() -> Span {
    Span::seconds(30)
}
fn timeout() -> Span {
    Span::seconds(5)
}
fn retries() -> u32 {
    3
}
fn no_time() -> Span {
    Span::seconds(0)
}

/// Where a tcp probe connects to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpProbe {
    /// The port on the agent's own loopback interface.
    pub port: u16,
}

/// What is done with an unhealthy agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnhealthy {
    /// It is stopped, and started again after the back-off.
    #[default]
    Restart,
    /// It is only reported.
    Report,
}

/// How an agent is asked to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stop {
    /// Between the polite signal and SIGKILL.
    #[serde(default = "grace")]
    pub grace: Span,
}

fn grace() -> Span {
    Span::seconds(10)
}

impl Default for Stop {
    fn default() -> Self {
        Self { grace: grace() }
    }
}

impl Stop {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is wrong with a spec, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not a restart policy.
    #[error(
        "'{0}' is not a restart policy; use always, unless-stopped, on-failure, on-failure:N or never"
    )]
    Restart(String),
    /// A field's value is out of bounds.
    #[error("agent '{agent}': {field}: {problem}")]
    Field {
        /// The agent.
        agent: AgentName,
        /// The field's path within the agent.
        field: String,
        /// What is wrong, and what is allowed.
        problem: &'static str,
    },
    /// A dependency is not in the same document.
    #[error("agent '{agent}': dependsOn.{on}: no agent has this name")]
    NoSuchDependency {
        /// The agent.
        agent: AgentName,
        /// The missing one.
        on: AgentName,
    },
    /// A dependency must be healthy, and nothing says how that is known.
    #[error("agent '{agent}': dependsOn.{on}: is to be healthy, but '{on}' has no healthCheck")]
    NoHealthCheck {
        /// The agent.
        agent: AgentName,
        /// The one without a check.
        on: AgentName,
    },
    /// Dependencies that go round.
    #[error("dependsOn goes round in a circle: {}", .0.iter().map(AgentName::as_str).collect::<Vec<_>>().join(" -> "))]
    Cycle(Vec<AgentName>),
    /// Two agents of one name.
    #[error("two agents have the name '{0}'")]
    Duplicate(AgentName),
    /// Too many.
    #[error("{count} agents are too many for one document; at most {max} are allowed")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many may be.
        max: usize,
    },
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
            env: BTreeMap::new(),
            resources: Resources::default(),
            restart: Restart::default(),
            health_check: None,
            depends_on: BTreeMap::new(),
            stop: Stop::default(),
        }
    }

    /// Checks what the types cannot: bounds, and fields that exclude each other.
    ///
    /// # Errors
    /// The first field that is wrong, with its path.
    pub fn check(&self) -> Result<(), SpecError> {
        let fail = |field: &str, problem| {
            Err(SpecError::Field { agent: self.name.clone(), field: field.to_owned(), problem })
        };
        for (field, words) in [("command", &self.command), ("args", &self.args)] {
            if let Some(problem) = words.as_deref().and_then(words_problem) {
                return fail(field, problem);
            }
        }
        if self.command.as_ref().is_some_and(Vec::is_empty) {
            return fail("command", "is empty; leave it out to use the image's");
        }
        if self.workdir.as_ref().is_some_and(|w| !w.starts_with('/') || w.len() > 4096) {
            return fail("workdir", "must be an absolute path of at most 4096 bytes");
        }
        if self.env.len() > LIST_MAX {
            return fail("env", "has more than 256 variables");
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || name.len() > TEXT_MAX {
                return fail(&format!("env.{name}"), "is not the name of a variable");
            }
            if value.contains('\0') || value.len() > TEXT_MAX {
                return fail(&format!("env.{name}"), "has a NUL or more than 32 KiB");
            }
        }
        if self.depends_on.len() > LIST_MAX {
            return fail("dependsOn", "names more than 256 agents");
        }
        self.check_limits()?;
        self.check_health()
    }

    fn check_limits(&self) -> Result<(), SpecError> {
        let fail = |field: &str, problem| {
            Err(SpecError::Field { agent: self.name.clone(), field: field.to_owned(), problem })
        };
        let limits = &self.resources.limits;
        if limits.memory.is_some_and(|m| m < MEMORY_MIN) {
            return fail("resources.limits.memory", "is below 1Mi; no program starts with that");
        }
        if limits.cpu.is_some_and(|c| c.millis < 10) {
            return fail("resources.limits.cpu", "is below 10m, the least the kernel takes");
        }
        if limits.pids == Some(0) {
            return fail("resources.limits.pids", "is 0; at least 1 is needed");
        }
        Ok(())
    }

    fn check_health(&self) -> Result<(), SpecError> {
        let fail = |field: &str, problem| {
            Err(SpecError::Field { agent: self.name.clone(), field: field.to_owned(), problem })
        };
        let Some(check) = &self.health_check else { return Ok(()) };
        match (&check.command, &check.tcp) {
            (None, None) => return fail("healthCheck", "needs command or tcp"),
            (Some(_), Some(_)) => return fail("healthCheck", "has both command and tcp; use one"),
            (Some(words), None) if words.is_empty() => {
                return fail("healthCheck.command", "is empty");
            }
            _ => {}
        }
        if let Some(problem) = check.command.as_deref().and_then(words_problem) {
            return fail("healthCheck.command", problem);
        }
        if check.tcp.as_ref().is_some_and(|t| t.port == 0) {
            return fail("healthCheck.tcp.port", "is 0");
        }
        if check.interval.millis < 100 {
            return fail("healthCheck.interval", "is below 100ms");
        }
        if check.timeout.millis == 0 || check.timeout.millis > 3_600_000 {
            return fail("healthCheck.timeout", "must be above 0s and at most 1h");
        }
        if check.retries == 0 {
            return fail("healthCheck.retries", "is 0; at least 1 is needed");
        }
        Ok(())
    }

    /// The digest of the whole spec: two specs that differ in anything differ in it. It is the
    /// identity of what runs, by which a running agent is recognised and left alone.
    pub fn digest(&self) -> Digest {
        // A struct of strings and numbers with string keys always serialises.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

fn words_problem(words: &[String]) -> Option<&'static str> {
    if words.len() > LIST_MAX {
        return Some("has more than 256 words");
    }
    words
        .iter()
        .any(|w| w.contains('\0') || w.len() > TEXT_MAX)
        .then_some("has a word with a NUL or more than 32 KiB")
}

/// The first circle among the dependencies, if there is one.
///
/// # Errors
/// A dependency that no spec has, or the circle as a list that begins and ends with one name.
pub fn check_dependencies(specs: &[AgentSpec]) -> Result<(), SpecError> {
    let by_name: BTreeMap<_, _> = specs.iter().map(|s| (&s.name, s)).collect();
    for spec in specs {
        if let Some(on) = spec.depends_on.keys().find(|on| !by_name.contains_key(on)) {
            return Err(SpecError::NoSuchDependency { agent: spec.name.clone(), on: on.clone() });
        }
        let unchecked = spec.depends_on.iter().find(|(on, condition)| {
            **condition == Condition::Healthy
                && by_name.get(on).is_some_and(|dependency| dependency.health_check.is_none())
        });
        if let Some((on, _)) = unchecked {
            return Err(SpecError::NoHealthCheck { agent: spec.name.clone(), on: on.clone() });
        }
    }
    // Take away, again and again, who depends on nobody that is left: what stays is in a circle or
    // behind one.
    let mut left = by_name;
    loop {
        let free: Vec<_> = left
            .values()
            .filter(|s| s.depends_on.keys().all(|on| !left.contains_key(on)))
            .map(|s| &s.name)
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
        }
    }
    match left.keys().next() {
        None => Ok(()),
        Some(first) => Err(SpecError::Cycle(walk_circle(&left, first))),
    }
}

fn walk_circle(left: &BTreeMap<&AgentName, &AgentSpec>, first: &AgentName) -> Vec<AgentName> {
    let mut path: Vec<AgentName> = vec![first.clone()];
    while let Some(spec) = path.last().and_then(|name| left.get(name)) {
        let Some(next) = spec.depends_on.keys().find(|on| left.contains_key(on)) else { break };
        if let Some(start) = path.iter().position(|seen| seen == next) {
            path.push(next.clone());
            return path.split_off(start);
        }
        path.push(next.clone());
    }
    path
}

#[cfg(test)]
mod tests;
