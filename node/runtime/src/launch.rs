//! What the node asks for: one agent, as `launch.json` in its run folder.
//!
//! Decides whether a request is well formed; never touches the kernel. Written by [`crate::spawn()`],
//! read by `monitor.rs`. Every field is enforced, or refused by name: none is ignored. What a field
//! may hold is judged in `launch/`, next to its type.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod handed;
mod isolation;
mod limits;
mod mounts;
mod profile;

pub use isolation::{Device, Namespace, Network, UserNamespace};
pub(crate) use limits::processors;
pub use limits::{IoDevice, IoWeight, Limits, RLIMITS, Rlimit};
pub use mounts::{Mount, Propagation};
pub use profile::{Action, Argument, Compare, Profile, Rule, Seccomp};

/// The format of `launch.json` that this version writes.
pub const FORMAT: u32 = 2;

/// The oldest format that is read: what its agents lack is as if left out.
pub const OLDEST_FORMAT: u32 = 1;

/// The largest `launch.json` that is read.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// Why a launch is refused before anything is started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Written by a version whose format is unknown here.
    #[error("launch.json has format {found}; this version understands {OLDEST_FORMAT} to {FORMAT}")]
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
    /// [`FORMAT`], or that of an older version.
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
    /// A file of the host with further variables, which must stand in no record: `KEY=value` entries,
    /// each ended by a NUL. It is read whenever a program is started, and goes before `env`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_file: Option<PathBuf>,
    /// The working directory inside the container.
    #[serde(default = "root_folder")]
    pub cwd: PathBuf,
    /// Whom the program runs as; names are resolved by [`crate::resolve_user`].
    #[serde(default)]
    pub user: User,
    /// The container's host name; of a joined UTS namespace, the one that it has.
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
    /// What is mounted besides the image.
    #[serde(default)]
    pub volumes: Vec<Mount>,
    /// Devices of the host, besides the standard ones.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Resource limits of each process, by name ([`RLIMITS`]).
    #[serde(default)]
    pub rlimits: BTreeMap<String, Rlimit>,
    /// Kernel parameters of the agent's own namespaces, such as `net.ipv4.ip_forward`.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Whether programs may not gain privileges, as by set-user-id files.
    #[serde(default = "yes")]
    pub no_new_privileges: bool,
    /// What is hidden of `/proc` and `/sys`; the usual if `None`.
    #[serde(default)]
    pub masked_paths: Option<Vec<PathBuf>>,
    /// What cannot be written of `/proc`; the usual if `None`.
    #[serde(default)]
    pub readonly_paths: Option<Vec<PathBuf>>,
    /// All capabilities and devices, nothing masked, `/sys` writable, no filter: as root on the host.
    #[serde(default)]
    pub privileged: bool,
    /// How willingly the kernel ends the agent when memory is short, from 0 to 1000.
    #[serde(default)]
    pub oom_score_adj: Option<u16>,
    /// Host ids that stand for the container's own; none, and root is root.
    #[serde(default)]
    pub user_namespace: Option<UserNamespace>,
    /// The agent's network.
    #[serde(default)]
    pub network: Network,
    /// Its message queues and shared memory.
    #[serde(default)]
    pub ipc: Namespace,
    /// Its host name.
    #[serde(default)]
    pub uts: Namespace,
    /// Whether a small first process collects orphans and passes signals on to the program.
    #[serde(default)]
    pub init: bool,
}

impl Default for Launch {
    /// A beginning to fill in: without a name, layers, a program, a group and a log it is refused.
    fn default() -> Self {
        Self {
            format: FORMAT,
            agent: String::new(),
            instance: String::new(),
            lowers: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            env_file: None,
            cwd: root_folder(),
            user: User::default(),
            hostname: String::new(),
            limits: Limits::default(),
            cgroup: PathBuf::new(),
            log: LogPolicy::default(),
            stop: Stop::default(),
            capabilities: Vec::new(),
            read_only_root: true,
            seccomp: Seccomp::Default,
            volumes: Vec::new(),
            devices: Vec::new(),
            rlimits: BTreeMap::new(),
            sysctls: BTreeMap::new(),
            no_new_privileges: true,
            masked_paths: None,
            readonly_paths: None,
            privileged: false,
            oom_score_adj: None,
            user_namespace: None,
            network: Network::None,
            ipc: Namespace::Own,
            uts: Namespace::Own,
            init: false,
        }
    }
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

/// Where the agent's output is kept, and how much of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPolicy {
    /// The folder; made when it is missing. It holds `agent.log`, `agent.log.1` and so on.
    pub dir: PathBuf,
    /// The most that one file holds.
    pub max_bytes: u64,
    /// How many files are kept, the one being written included.
    pub files: u32,
    /// Bytes a second that are kept over ten seconds; what is above is counted and dropped.
    #[serde(default)]
    pub rate_limit: Option<u64>,
}

/// How the agent is asked to stop, before it is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The signal's number.
    pub signal: i32,
    /// How long the agent has, what is run before the signal included.
    pub grace_ms: u64,
    /// A program that is run in the container before the signal, with its arguments.
    #[serde(default)]
    pub pre_stop: Option<Vec<String>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: 15, grace_ms: 10_000, pre_stop: None }
    }
}

fn root_folder() -> PathBuf {
    PathBuf::from("/")
}

fn yes() -> bool {
    true
}

/// A field, and what is wrong with it.
type Wrong = (&'static str, String);

/// The most of anything that comes in lists.
const MOST: usize = 256;

impl Launch {
    /// Checks everything that can be checked without the kernel.
    ///
    /// # Errors
    /// The first field that cannot be used, and why.
    pub fn check(&self) -> Result<(), LaunchError> {
        if !(OLDEST_FORMAT..=FORMAT).contains(&self.format) {
            return Err(LaunchError::Format { found: self.format });
        }
        let checks = [
            Self::check_program,
            Self::check_paths,
            Self::check_policies,
            Self::check_counts,
            |launch: &Self| launch.limits.check(),
            |launch: &Self| limits::check_rlimits(&launch.rlimits),
            |launch: &Self| mounts::check(&launch.volumes),
            isolation::check,
            |launch: &Self| launch.seccomp.check(),
        ];
        let wrong = checks.iter().find_map(|check| check(self).err());
        wrong.map_or(Ok(()), |(field, why)| {
            Err(LaunchError::Field { agent: self.agent.clone(), field, why })
        })
    }

    fn check_program(&self) -> Result<(), Wrong> {
        if self.args.first().is_none_or(String::is_empty) {
            return wrong("args", "are empty; the program to run is needed");
        }
        let texts = self.args.iter().chain(&self.env).chain([&self.hostname, &self.agent]);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return wrong("args, env or hostname", "hold a NUL character");
        }
        match self.env.iter().find(|e| e.find('=').is_none_or(|at| at == 0)) {
            Some(entry) => wrong("env", format!("entry '{entry}' is not KEY=value")),
            None => Ok(()),
        }
    }

    fn check_paths(&self) -> Result<(), Wrong> {
        if self.lowers.is_empty() {
            return wrong("lowers", "are empty; at least one image layer is needed");
        }
        let paths = [("cwd", &self.cwd), ("cgroup", &self.cgroup), ("log.dir", &self.log.dir)];
        let lowers = self.lowers.iter().map(|lower| ("lowers", lower));
        let masked = self.masked_paths.iter().flatten().map(|path| ("masked_paths", path));
        let read_only = self.readonly_paths.iter().flatten().map(|path| ("readonly_paths", path));
        let handed = self.env_file.iter().map(|path| ("env_file", path));
        let lists = lowers.chain(masked).chain(read_only).chain(handed);
        for (field, path) in paths.into_iter().chain(lists) {
            check_path(field, path)?;
        }
        if self.cgroup.components().count() < 2 {
            return wrong("cgroup", "is the root of the hierarchy; name one below it");
        }
        Ok(())
    }

    fn check_policies(&self) -> Result<(), Wrong> {
        if self.log.max_bytes < 64 * 1024 || self.log.files == 0 || self.log.files > 1000 {
            return wrong("log", "needs max_bytes of at least 65536 and 1 to 1000 files");
        }
        if self.log.rate_limit.is_some_and(|rate| rate < 128) {
            return wrong("log.rate_limit", "is below 128 bytes a second; nothing would be kept");
        }
        if !(1..=64).contains(&self.stop.signal) {
            return wrong("stop.signal", format!("{} is no signal", self.stop.signal));
        }
        match &self.stop.pre_stop {
            Some(words) if words.first().is_none_or(String::is_empty) => {
                wrong("stop.pre_stop", "is empty; name a program, or leave it out")
            }
            _ => Ok(()),
        }
    }

    fn check_counts(&self) -> Result<(), Wrong> {
        let paths = |paths: &Option<Vec<PathBuf>>| paths.as_ref().map_or(0, Vec::len);
        for (field, count) in [
            ("volumes", self.volumes.len()),
            ("devices", self.devices.len()),
            ("sysctls", self.sysctls.len()),
            ("limits.io_devices", self.limits.io_devices.len()),
            ("masked_paths", paths(&self.masked_paths)),
            ("readonly_paths", paths(&self.readonly_paths)),
            ("user.additional_gids", self.user.additional_gids.len()),
        ] {
            if count > MOST {
                return wrong(field, format!("are {count}; at most {MOST} can be used"));
            }
        }
        match self.oom_score_adj {
            Some(score) if score > 1000 => {
                wrong("oom_score_adj", format!("{score} is not from 0 to 1000"))
            }
            _ => Ok(()),
        }
    }

    /// The filter in force: a privileged agent has none.
    pub(crate) fn filter(&self) -> &Seccomp {
        if self.privileged { &Seccomp::Unconfined } else { &self.seccomp }
    }
}

fn wrong<T>(field: &'static str, why: impl Into<String>) -> Result<T, Wrong> {
    Err((field, why.into()))
}

fn check_path(field: &'static str, path: &Path) -> Result<(), Wrong> {
    if is_plain_absolute(path) {
        return Ok(());
    }
    wrong(field, format!("'{}' is not an absolute path without '..'", path.display()))
}

fn is_plain_absolute(path: &Path) -> bool {
    use std::path::Component;
    path.is_absolute()
        && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
        && !path.as_os_str().as_encoded_bytes().contains(&0)
}

#[cfg(test)]
mod tests;
