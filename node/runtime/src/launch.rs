//! What the node asks for: one agent, as `launch.json` in its run folder.
//!
//! Decides whether a request is well formed; never touches the kernel. Written by [`crate::spawn()`],
//! read by `monitor.rs`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The format of `launch.json` that this version writes and reads.
pub const FORMAT: u32 = 1;

/// The largest `launch.json` that is read.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// Why a launch is refused before anything is started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Written by a version whose format is unknown here.
    #[error("launch.json has format {found}; this version understands {FORMAT}")]
    Format {
        /// The format found.
        found: u32,
    },
    /// A field's value cannot be used.
    #[error("launch of agent '{agent}': {field} {why}")]
    Field {
        /// The agent's name.
        agent: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// Everything needed to run one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The agent's name.
    pub agent: String,
    /// What the caller recognises this run by, such as the digest of the agent's spec; opaque here.
    pub instance: String,
    /// The unpacked image layers, bottom to top.
    pub lowers: Vec<PathBuf>,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// The environment, as `KEY=value`.
    #[serde(default)]
    pub env: Vec<String>,
    /// The working directory inside the container.
    #[serde(default = "root_folder")]
    pub cwd: PathBuf,
    /// Whom the program runs as.
    #[serde(default)]
    pub user: User,
    /// The container's host name.
    pub hostname: String,
    /// What the agent may use.
    #[serde(default)]
    pub limits: Limits,
    /// The absolute cgroup path, such as `/skerry/agents/NAME`.
    pub cgroup: PathBuf,
    /// Where output goes.
    pub log: LogPolicy,
    /// How the agent is asked to stop.
    #[serde(default)]
    pub stop: Stop,
    /// Capabilities the agent keeps, such as `CAP_NET_RAW`; none by default.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Whether the root file system is read-only; if not, changes live in memory and are lost.
    #[serde(default = "yes")]
    pub read_only_root: bool,
    /// The system call filter.
    #[serde(default)]
    pub seccomp: Seccomp,
}

/// Numeric user and groups inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    #[serde(default)]
    pub additional_gids: Vec<u32>,
}

/// Limits; `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory, with no swap beyond it.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Processor time: 500 is half a core.
    #[serde(default)]
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    #[serde(default)]
    pub pids: Option<u32>,
}

/// Where the agent's output is kept, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPolicy {
    /// The folder; made when it is missing. It holds `agent.log`, `agent.log.1` and so on.
    pub dir: PathBuf,
    /// The most that one file holds.
    pub max_bytes: u64,
    /// How many files are kept, the one being written included.
    pub files: u32,
}

/// How the agent is asked to stop, before it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The signal's number.
    pub signal: i32,
    /// How long the agent has after the signal.
    pub grace_ms: u64,
}

/// The system call filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// An allow-list of ordinary calls; all others fail with EPERM.
    #[default]
    Default,
    /// No filter.
    Unconfined,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: 15, grace_ms: 10_000 }
    }
}

fn root_folder() -> PathBuf {
    PathBuf::from("/")
}

fn yes() -> bool {
    true
}

impl Launch {
    /// Checks everything that can be checked without the kernel.
    ///
    /// # Errors
    /// The first field that cannot be used, and why.
    pub fn check(&self) -> Result<(), LaunchError> {
        if self.format != FORMAT {
            return Err(LaunchError::Format { found: self.format });
        }
        self.check_program()?;
        self.check_paths()?;
        self.check_limits()
    }

    fn check_program(&self) -> Result<(), LaunchError> {
        if self.args.first().is_none_or(String::is_empty) {
            return Err(self.refuse("args", "are empty; the program to run is needed"));
        }
        let texts = self.args.iter().chain(&self.env).chain([&self.hostname, &self.agent]);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Err(self.refuse("args, env or hostname", "hold a NUL character"));
        }
        match self.env.iter().find(|e| e.find('=').is_none_or(|at| at == 0)) {
            Some(entry) => Err(self.refuse("env", format!("entry '{entry}' is not KEY=value"))),
            None => Ok(()),
        }
    }

    fn check_paths(&self) -> Result<(), LaunchError> {
        if self.lowers.is_empty() {
            return Err(self.refuse("lowers", "are empty; at least one image layer is needed"));
        }
        let paths = [("cwd", &self.cwd), ("cgroup", &self.cgroup), ("log.dir", &self.log.dir)];
        let lowers = self.lowers.iter().map(|lower| ("lowers", lower));
        for (field, path) in paths.into_iter().chain(lowers) {
            if !is_plain_absolute(path) {
                let why = format!("'{}' is not an absolute path without '..'", path.display());
                return Err(self.refuse(field, why));
            }
        }
        if self.cgroup.components().count() < 2 {
            return Err(self.refuse("cgroup", "is the root of the hierarchy; name one below it"));
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), LaunchError> {
        let Limits { memory_bytes, cpu_millis, pids } = self.limits;
        // The kernel's smallest quota is one millisecond in each period of 100.
        if cpu_millis.is_some_and(|millis| millis < 10) {
            return Err(self.refuse("limits.cpu_millis", "is below 10, the kernel's least"));
        }
        if memory_bytes.is_some_and(|bytes| bytes < 1024 * 1024) {
            return Err(self.refuse("limits.memory_bytes", "is below 1 MiB; nothing starts in it"));
        }
        if pids == Some(0) {
            return Err(self.refuse("limits.pids", "is 0; at least 1 is needed"));
        }
        if self.log.max_bytes < 64 * 1024 || self.log.files == 0 || self.log.files > 1000 {
            return Err(self.refuse("log", "needs max_bytes of at least 65536 and 1 to 1000 files"));
        }
        if !(1..=64).contains(&self.stop.signal) {
            return Err(self.refuse("stop.signal", format!("{} is no signal", self.stop.signal)));
        }
        Ok(())
    }

    fn refuse(&self, field: &'static str, why: impl Into<String>) -> LaunchError {
        LaunchError::Field { agent: self.agent.clone(), field, why: why.into() }
    }
}

fn is_plain_absolute(path: &Path) -> bool {
    use std::path::Component;
    path.is_absolute()
        && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
        && !path.as_os_str().as_encoded_bytes().contains(&0)
}

#[cfg(test)]
mod tests;
