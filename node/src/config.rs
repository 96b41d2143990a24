//! The node's configuration: what may be set, where it comes from, and what is assumed.
//!
//! Flag over environment (`SKERRY_…`) over `conf.d/*.toml` over the file over the vendor's files over
//! the default. Unknown keys are refused, except in `[device]`, which is for the init of a flashed
//! device. It reads files and decides nothing about agents; next: [`crate::node`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use skerry_core::admit::{Budget, Profile};
use skerry_core::agent::Tier;
use skerry_core::agent::placement::{NodeLabels, check_labels};
use skerry_core::ids::{GroupName, NodeName, TierName};
use skerry_core::reading::{self, ReadError};
use skerry_core::units::{Cpu, Memory};
use toml::{Table, Value};

/// Where the configuration is looked for when no file is named.
pub const DEFAULT_FILE: &str = "/etc/skerry/skerry.toml";
/// What whoever packed the program lays under the configuration, with a `conf.d` of its own.
pub const VENDOR_FILE: &str = "/usr/lib/skerry/skerry.toml";
const FILE_MAX: u64 = 1 << 20;

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The node's name; the host name by default.
    #[serde(default = "host_name")]
    pub node: String,
    /// The groups it is in.
    #[serde(default)]
    pub groups: Vec<GroupName>,
    /// What is said of it, for agents of a group's document to choose by (`nodeSelector`).
    #[serde(default)]
    pub labels: NodeLabels,
    /// Where state is kept.
    #[serde(default = "state_dir")]
    pub state_dir: PathBuf,
    /// Where sockets and run folders are; gone after a reboot.
    #[serde(default = "run_dir")]
    pub run_dir: PathBuf,
    /// The control group under which agents live.
    #[serde(default = "cgroup")]
    pub cgroup: PathBuf,
    /// What is trusted.
    #[serde(default)]
    pub trust: Trust,
    /// The broker; none means that the node is managed locally or from a stick.
    #[serde(default)]
    pub broker: Option<skerry_sync::Config>,
    /// How it is taken into a fleet that does not know it yet.
    #[serde(default)]
    pub enrol: Enrol,
    /// What may be asked for on the node itself.
    #[serde(default)]
    pub local: Local,
    /// How much of each agent's output is kept.
    #[serde(default)]
    pub log: Log,
    /// What the node's own log tells: a level, or levels by module.
    #[serde(default)]
    pub log_level: Option<String>,
    /// What all requests of agents together may take; the machine's memory and processors, less a
    /// reserve for the system, by default.
    #[serde(default)]
    pub budget: BudgetConfig,
    /// Sizes that an agent may name in `resources.tier`.
    #[serde(default)]
    pub tiers: BTreeMap<TierName, Tier>,
    /// What agents may be allowed.
    #[serde(default)]
    pub policy: Policy,
    /// What a flashed device's init reads from the same file; nothing to the node.
    #[serde(default, rename = "device")]
    _device: Option<BTreeMap<String, IgnoredAny>>,
    /// All of it as it was merged, to tell what changed when it is read again.
    #[serde(skip)]
    pub table: Table,
}

/// What is trusted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// The first roots of both repositories, as `skerry-fleet init` makes them. Without them no document is
    /// accepted.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// What is done with a document while the clock is behind the time that has certainly passed, so that
    /// it may be an old one: `accept`, and report it, or `refuse`.
    #[serde(default)]
    pub unproven: skerry_core::trust::floor::Policy,
}

/// How it is taken into a fleet that does not know it yet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// A token that `skerry-fleet token create` made.
    #[serde(default)]
    pub token: Option<String>,
}

/// What all requests of agents together may take.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// Memory.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// Processor time.
    #[serde(default)]
    pub cpu: Option<Cpu>,
}

/// What agents may be allowed.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Whether an agent may be privileged, which is as strong as root on the host.
    #[serde(default)]
    pub privileged: bool,
}

/// What may be asked for on the node itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Whether `skerry run` and `skerry apply` are allowed.
    #[serde(default = "yes")]
    pub wishes: bool,
}

impl Default for Local {
    fn default() -> Self {
        Self { wishes: true }
    }
}

/// How much of each agent's output is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Size of one file.
    #[serde(default = "log_size")]
    pub max_size: Memory,
    /// How many files are kept, the one being written included.
    #[serde(default = "log_files")]
    pub files: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self { max_size: log_size(), files: log_files() }
    }
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    name.split('.').next().unwrap_or_default().to_owned()
}
fn state_dir() -> PathBuf {
    "/var/lib/skerry".into()
}
fn run_dir() -> PathBuf {
    "/run/skerry".into()
}
fn cgroup() -> PathBuf {
    "/skerry".into()
}
fn yes() -> bool {
    true
}
fn log_size() -> Memory {
    Memory(1 << 20)
}
fn log_files() -> u32 {
    3
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not TOML.
    #[error("configuration {path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// The whole has an unknown key or a value of the wrong kind.
    #[error("configuration (from {sources}): {source}")]
    Content {
        /// What was merged.
        sources: String,
        /// What is wrong, and where.
        source: ReadError,
    },
    /// The node's name cannot be used.
    #[error("configuration: node: {0}")]
    Node(#[from] skerry_core::ids::IdError),
    /// A value is out of bounds.
    #[error("configuration: {key} {problem}")]
    Value {
        /// Which.
        key: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// The broker's part is wrong.
    #[error("configuration: broker: {0}")]
    Broker(#[from] skerry_sync::ConfigError),
}

/// A setting that is laid over the files: a dotted key and its text.
pub type Override = (&'static str, String);

/// The variables that are understood, with the key each sets.
pub const VARIABLES: [(&str, &str); 10] = [
    ("SKERRY_NODE", "node"),
    ("SKERRY_STATE_DIR", "state_dir"),
    ("SKERRY_RUN_DIR", "run_dir"),
    ("SKERRY_CGROUP", "cgroup"),
    ("SKERRY_TRUST_ROOT", "trust.root"),
    ("SKERRY_ENROL_TOKEN", "enrol.token"),
    ("SKERRY_BROKER_URL", "broker.url"),
    ("SKERRY_BROKER_TENANT", "broker.tenant"),
    ("SKERRY_BROKER_USERNAME", "broker.username"),
    ("SKERRY_BROKER_PASSWORD_FILE", "broker.password_file"),
];

impl Config {
    /// Reads the file (the usual one, if it exists, when none is named) and its `conf.d`, and lays
    /// them over the vendor's, and the environment and `flags` over all.
    ///
    /// # Errors
    /// A file that cannot be read, or a key or value that cannot be used.
    pub fn load(file: Option<&Path>, flags: &[Override]) -> Result<Self, ConfigError> {
        Self::load_over(Path::new(VENDOR_FILE), file, flags)
    }

    fn load_over(
        vendor: &Path,
        file: Option<&Path>,
        flags: &[Override],
    ) -> Result<Self, ConfigError> {
        let (mut table, mut sources) = read_files(vendor, file)?;
        for (variable, key) in VARIABLES {
            if let Ok(value) = std::env::var(variable) {
                set(&mut table, key, value);
                sources.push(variable.to_owned());
            }
        }
        for (key, value) in flags {
            set(&mut table, key, value.clone());
            sources.push(format!("--{}", key.replace(['.', '_'], "-")));
        }
        let merged = table.clone();
        let mut config = read(&table).map_err(|source| {
            let sources =
                if sources.is_empty() { "defaults".to_owned() } else { sources.join(", ") };
            ConfigError::Content { sources, source }
        })?;
        config.table = merged;
        config.check()?;
        Ok(config)
    }

    /// What is assumed where nothing is set: for looking at a machine whose files cannot be used.
    pub fn assumed() -> Self {
        Self {
            node: host_name(),
            groups: Vec::new(),
            labels: NodeLabels::new(),
            state_dir: state_dir(),
            run_dir: run_dir(),
            cgroup: cgroup(),
            trust: Trust::default(),
            enrol: Enrol::default(),
            broker: None,
            local: Local::default(),
            log: Log::default(),
            log_level: None,
            budget: BudgetConfig::default(),
            tiers: BTreeMap::new(),
            policy: Policy::default(),
            _device: None,
            table: Table::new(),
        }
    }

    /// The node's name, proven to be one.
    ///
    /// # Errors
    /// It is not a DNS label.
    pub fn node_name(&self) -> Result<NodeName, ConfigError> {
        Ok(self.node.parse()?)
    }

    /// What this node gives and allows, on a machine of so much memory and so many processors.
    pub fn profile(&self, memory: Memory, cpus: u32) -> Profile {
        // The system gets an eighth, 32 MiB at least.
        let reserve = (memory.0 / 8).max(32 << 20);
        let own = Budget {
            memory: Some(Memory(memory.0.saturating_sub(reserve))),
            cpu: Some(Cpu { millis: cpus.saturating_mul(1000) }),
        };
        Profile {
            budget: Budget {
                memory: self.budget.memory.or(own.memory),
                cpu: self.budget.cpu.or(own.cpu),
            },
            tiers: self.tiers.clone(),
            privileged: self.policy.privileged,
            cpus,
            labels: self.labels.clone(),
        }
    }

    /// Where the local API listens.
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join("api.sock")
    }

    fn check(&mut self) -> Result<(), ConfigError> {
        self.node_name()?;
        let absolute = |key, path: &Path| {
            let wrong = ConfigError::Value { key, problem: "must be an absolute path" };
            if path.is_absolute() { Ok(()) } else { Err(wrong) }
        };
        if check_labels(&self.labels).is_err() {
            let problem = "holds at most 64 labels: keys of 1 to 128 letters, digits, '-', '_', '.' and \
                           '/', values of at most 256 bytes";
            return Err(ConfigError::Value { key: "labels", problem });
        }
        absolute("state_dir", &self.state_dir)?;
        absolute("run_dir", &self.run_dir)?;
        absolute("cgroup", &self.cgroup)?;
        if self.cgroup == Path::new("/") {
            let problem = "must be below the root of the hierarchy, such as /skerry";
            return Err(ConfigError::Value { key: "cgroup", problem });
        }
        if self.log.max_size < Memory(65_536) || self.log.files == 0 || self.log.files > 1000 {
            let problem = "needs a max_size of at least 64Ki and 1 to 1000 files";
            return Err(ConfigError::Value { key: "log", problem });
        }
        if let Some(broker) = &mut self.broker {
            broker.node.clone_from(&self.node);
            if broker.tenant.is_empty() {
                broker.tenant = "default".to_owned();
            }
            broker.groups = self.groups.iter().map(ToString::to_string).collect();
            broker.check()?;
        }
        Ok(())
    }
}

/// The merged table as what it means: by the one reader, which tells the key that is wrong.
fn read(table: &Table) -> Result<Config, ReadError> {
    let json = serde_json::to_vec(table).map_err(|error| ReadError {
        path: String::new(),
        key: false,
        problem: error.to_string(),
    })?;
    reading::read(&json)
}

fn read_files(vendor: &Path, file: Option<&Path>) -> Result<(Table, Vec<String>), ConfigError> {
    let path = file.unwrap_or_else(|| Path::new(DEFAULT_FILE));
    let mut files = with_drop_ins(vendor, vendor.exists());
    // Named, it must be there.
    files.extend(with_drop_ins(path, file.is_some() || path.exists()));
    let mut table = Table::new();
    for path in &files {
        merge(&mut table, read_file(path)?);
    }
    Ok((table, files.iter().map(|path| path.display().to_string()).collect()))
}

/// A file, if it is wanted, and the drop-ins beside it, in order.
fn with_drop_ins(path: &Path, wanted: bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path.with_file_name("conf.d")).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    found.sort();
    wanted.then(|| path.to_owned()).into_iter().chain(found).collect()
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    use std::io::Read;
    let fail = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    file.take(FILE_MAX).read_to_string(&mut text).map_err(fail)?;
    text.parse()
        .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })
}

/// Lays one table over another; tables within are merged, everything else is replaced.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

fn set(table: &mut Table, key: &str, value: String) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), Value::String(value))),
        Some((outer, inner)) => {
            let below = table.entry(outer).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(below) = below {
                set(below, inner, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
