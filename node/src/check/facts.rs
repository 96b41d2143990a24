//! What is so on this machine: looks and tries, and has no opinion.
//!
//! Everything here leaves the machine as it was: what is made for a try is removed. The order in
//! [`Facts::gather`] matters: whatever forks comes before whatever starts threads (the store does).
//! What the facts mean is decided in `judge.rs`.

mod node;
mod places;
mod settings;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::process::{Resource, getrlimit};
use skerry_runtime::cgroup::{Place, try_place};
use skerry_runtime::needs::{Trial, try_needs};

pub use super::options::{Options, Setting};
pub use node::NodeSays;
pub use places::Folder;
#[cfg(test)]
pub use places::{Refused, kind_of};
pub use settings::{Broker, Key, Reach, Root, Settings, StoreState};

/// All that is known.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whether this is root.
    pub root: bool,
    /// Capabilities that the node needs and this process lacks.
    pub capabilities_missing: Vec<&'static str>,
    /// The kernel's release, such as `6.1.0-18-arm64`.
    pub release: String,
    /// How the kernel was built, as far as it tells.
    pub options: Options,
    /// What was tried.
    pub trial: Trial,
    /// What was found where agents' groups would be, or why nothing was found.
    pub groups: Result<Place, String>,
    /// The path of agents' groups.
    pub cgroup: PathBuf,
    /// Whether there is swap.
    pub swap: bool,
    /// How many inotify instances a user may have, if that can be read.
    pub inotify_instances: Option<u64>,
    /// How many folders a user may watch.
    pub inotify_watches: Option<u64>,
    /// How many files a process may have open, by the hard limit; none without a limit.
    pub descriptors: Option<u64>,
    /// What a running node says.
    pub node_says: NodeSays,
    /// Whether random numbers can be had at once.
    pub entropy: Option<bool>,
    /// What the clock shows.
    pub now: Timestamp,
    /// A time that has certainly passed.
    pub floor: Timestamp,
    /// Hardware watchdogs.
    pub watchdogs: Vec<String>,
    /// What is wrong with the configuration, if anything; what follows is then about defaults.
    pub config_trouble: Option<String>,
    /// Whether the configuration was kept from us.
    pub config_forbidden: bool,
    /// The node's name.
    pub node: String,
    /// The folder of the state.
    pub state: Folder,
    /// The folder of what runs.
    pub run: Folder,
    /// The store.
    pub store: StoreState,
    /// The node's key.
    pub key: Key,
    /// The trust root.
    pub trust: Root,
    /// The broker, if there is one.
    pub broker: Option<Broker>,
}

impl Facts {
    /// Looks and tries. The process has one thread.
    pub fn gather(settings: &Settings) -> Self {
        let loaded = settings.load();
        let config = &loaded.config;
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let root = rustix::process::geteuid().is_root();
        let trial = try_needs(&places::nearest(&config.state_dir));
        let groups = skerry_runtime::Kernel::probe().map_err(|error| error.to_string());
        Self {
            root,
            capabilities_missing: capabilities_missing(),
            options: Options::read(&release),
            release,
            trial,
            groups: groups.map(|kernel| try_place(&kernel, &config.cgroup)),
            cgroup: config.cgroup.clone(),
            swap: read("/proc/swaps").lines().count() > 1,
            inotify_instances: number("/proc/sys/fs/inotify/max_user_instances"),
            inotify_watches: number("/proc/sys/fs/inotify/max_user_watches"),
            descriptors: getrlimit(Resource::Nofile).maximum,
            node_says: NodeSays::ask(&settings.socket(config)),
            entropy: entropy(),
            now: jiff::Timestamp::now(),
            floor: crate::clock::built(),
            watchdogs: names_in("/sys/class/watchdog"),
            config_trouble: loaded.trouble,
            config_forbidden: loaded.forbidden,
            node: config.node.clone(),
            state: Folder::look(&config.state_dir),
            run: Folder::look(&config.run_dir),
            key: Key::look(&config.state_dir),
            trust: Root::look(config.trust.root.as_deref()),
            broker: config.broker.as_ref().map(|broker| Broker::look(broker, settings.network)),
            // Last: the database starts threads.
            store: StoreState::look(&config.state_dir),
        }
    }
}

/// What a node does not work without; `CAP_SYS_RESOURCE`, for one, it can do without.
const CAPABILITIES: [(u32, &str); 12] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
    (12, "CAP_NET_ADMIN"),
    (18, "CAP_SYS_CHROOT"),
    (19, "CAP_SYS_PTRACE"),
    (21, "CAP_SYS_ADMIN"),
    (27, "CAP_MKNOD"),
];

fn capabilities_missing() -> Vec<&'static str> {
    let status = read("/proc/self/status");
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // Without /proc nothing is known, and other checks say so.
    let set = set.unwrap_or(u64::MAX);
    CAPABILITIES.iter().filter(|(bit, _)| set >> bit & 1 == 0).map(|(_, name)| *name).collect()
}

fn entropy() -> Option<bool> {
    use rustix::rand::{GetRandomFlags, getrandom};
    let mut byte = [0_u8; 1];
    match getrandom(&mut byte, GetRandomFlags::NONBLOCK) {
        Ok(_) => Some(true),
        Err(rustix::io::Errno::AGAIN) => Some(false),
        Err(_) => None,
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn number(path: &str) -> Option<u64> {
    read(path).trim().parse().ok()
}

fn names_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
