//! What an agent may do to the machine. Everything is refused until it is said here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::LIST_MAX;
use super::fault::{Fault, fault};
use super::seccomp::Seccomp;
use super::text::{self, path_problem};
use crate::as_text::as_text;

/// What an agent may do. Names are those of Kubernetes' security context, where it has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Security {
    /// The user id the program runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<u32>,
    /// Its group id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<u32>,
    /// Further groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supplemental_groups: Vec<u32>,
    /// Nothing of the image can be changed; true by default. If not, changes are in memory, count
    /// towards its limit, and are gone when the agent ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
    /// Capabilities (capabilities(7)); none by default.
    #[serde(default, skip_serializing_if = "Capabilities::is_empty")]
    pub capabilities: Capabilities,
    /// No program in it can gain more rights than it was given; true by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_new_privileges: Option<bool>,
    /// Which system calls it may make.
    #[serde(default, skip_serializing_if = "Seccomp::is_default")]
    pub seccomp: Seccomp,
    /// It gets a range of user ids of its own, in which its root is nobody on the host.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub user_namespace: bool,
    /// Paths that it cannot see; the usual ones of `/proc` and `/sys` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked_paths: Option<Vec<String>>,
    /// Paths that it can only read; the usual ones of `/proc` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readonly_paths: Option<Vec<String>>,
    /// Devices of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Every capability, every device, no filter: the agent is as strong as root on the host. Only
    /// where the node's policy allows it.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub privileged: bool,
    /// Kernel settings of its own namespaces, such as `net.ipv4.ip_unprivileged_port_start`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "text::map")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, crate::schema::Text>"))]
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of its processes (setrlimit(2)), such as `nofile`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rlimits: BTreeMap<String, Rlimit>,
}

/// Capabilities that are added to none, or left out of what was added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// Such as `NET_RAW`, with or without `CAP_`; `ALL` for every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// What is left out of `add`. `ALL` is understood, and changes nothing: none is the beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

/// Every capability, in the order of their numbers (capabilities(7)).
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

fn plain_capability(text: &str) -> String {
    let name = text.to_ascii_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}

impl Capabilities {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the agent has in the end, without `CAP_`.
    pub fn granted(&self) -> Vec<&'static str> {
        let added: Vec<String> = self.add.iter().map(|name| plain_capability(name)).collect();
        let dropped: Vec<String> = self.drop.iter().map(|name| plain_capability(name)).collect();
        let has = |list: &[String], name: &str| list.iter().any(|entry| entry == name);
        let all = has(&added, "ALL");
        CAPABILITIES
            .into_iter()
            .filter(|name| all || has(&added, name))
            .filter(|name| !has(&dropped, name))
            .collect()
    }

    fn check(&self) -> Result<(), Fault> {
        for (field, list) in [("add", &self.add), ("drop", &self.drop)] {
            let known = |name: &String| {
                let name = plain_capability(name);
                name == "ALL" || CAPABILITIES.contains(&name.as_str())
            };
            if let Some(unknown) = list.iter().find(|name| !known(name)) {
                return fault(field, format!("'{unknown}' is not a capability, such as NET_RAW"));
            }
        }
        let added: Vec<String> = self.add.iter().map(|name| plain_capability(name)).collect();
        let moot = |name: &&String| {
            let name = plain_capability(name);
            name != "ALL" && !added.contains(&name) && !added.iter().any(|added| added == "ALL")
        };
        if let Some(name) = self.drop.iter().find(moot) {
            let problem =
                format!("names {name}, which add does not; without it, it has none anyway");
            return fault("drop", problem);
        }
        Ok(())
    }
}

/// A device of the host that an agent gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// Its path on the host, such as `/dev/ttyUSB0`.
    pub path: String,
    /// Its path inside; the same by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What is allowed: `r`, `w` and `m` (mknod); `rw` by default.
    #[serde(default)]
    pub permissions: Permissions,
}

/// What is allowed with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
    /// Making device nodes.
    pub mknod: bool,
}

as_text!(Permissions, "a choice of r, w and m");

impl Default for Permissions {
    fn default() -> Self {
        Self { read: true, write: true, mknod: false }
    }
}

impl FromStr for Permissions {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 3 || !text.bytes().all(|b| b"rwm".contains(&b)) {
            return Err(format!("'{text}' is not a choice of r, w and m, such as rw"));
        }
        let has = |letter| text.contains(letter);
        Ok(Self { read: has('r'), write: has('w'), mknod: has('m') })
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, there) in [("r", self.read), ("w", self.write), ("m", self.mknod)] {
            if there {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// A limit of setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rlimit {
    /// What holds.
    pub soft: u64,
    /// Up to where the program may raise it.
    pub hard: u64,
}

/// The names that setrlimit(2) knows, in lower case and without `RLIMIT_`.
pub const RLIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Settings that are the agent's own: of its network, IPC and host name.
const SYSCTLS: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.domainname",
];

/// How many user and group ids an agent with a user namespace has.
pub const IDS_OF_A_NAMESPACE: u32 = 65_536;

impl Security {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.supplemental_groups.len() > 64 {
            return fault("supplementalGroups", "has more than 64 entries");
        }
        let ids = [("runAsUser", self.run_as_user), ("runAsGroup", self.run_as_group)];
        let groups = self.supplemental_groups.iter().map(|id| ("supplementalGroups", Some(*id)));
        for (field, id) in ids.into_iter().chain(groups) {
            let Some(id) = id else { continue };
            if id == u32::MAX {
                return fault(field, "is 4294967295, which stands for no id");
            }
            if self.user_namespace && id >= IDS_OF_A_NAMESPACE {
                return fault(field, "is over 65535, the last id that userNamespace gives it");
            }
        }
        if self.run_as_group.is_some() && self.run_as_user.is_none() {
            return fault("runAsGroup", "needs runAsUser; or use user: UID:GID");
        }
        self.capabilities.check().map_err(Fault::below("capabilities"))?;
        for (field, paths) in
            [("maskedPaths", &self.masked_paths), ("readonlyPaths", &self.readonly_paths)]
        {
            let paths = paths.as_deref().unwrap_or_default();
            if paths.len() > LIST_MAX || paths.iter().any(|path| path_problem(path).is_some()) {
                return fault(field, "must be at most 256 absolute paths without '..'");
            }
        }
        self.check_devices()?;
        self.check_settings()?;
        if self.privileged {
            let moot = [
                ("capabilities", !self.capabilities.is_empty()),
                ("devices", !self.devices.is_empty()),
                ("seccomp", !self.seccomp.is_default()),
                ("maskedPaths", self.masked_paths.is_some()),
                ("readonlyPaths", self.readonly_paths.is_some()),
            ];
            if let Some((field, _)) = moot.into_iter().find(|(_, said)| *said) {
                return fault(field, "has no meaning beside privileged, which allows everything");
            }
        }
        if let Seccomp::Profile(profile) = &self.seccomp {
            profile.check().map_err(Fault::below("seccomp"))?;
        }
        Ok(())
    }

    fn check_devices(&self) -> Result<(), Fault> {
        if self.devices.len() > 64 {
            return fault("devices", "has more than 64 entries");
        }
        for (index, device) in self.devices.iter().enumerate() {
            for (field, path) in [("path", Some(&device.path)), ("target", device.target.as_ref())]
            {
                let wrong = |path: &String| {
                    path_problem(path).is_some() || !path.starts_with("/dev/") || path.len() < 6
                };
                if path.is_some_and(wrong) {
                    return fault(format!("devices[{index}].{field}"), "must be a path below /dev");
                }
            }
            let inside =
                |device: &Device| device.target.clone().unwrap_or_else(|| device.path.clone());
            if self.devices.iter().take(index).any(|other| inside(other) == inside(device)) {
                let problem = "stands where another device does";
                return fault(format!("devices[{index}]"), problem);
            }
        }
        Ok(())
    }

    fn check_settings(&self) -> Result<(), Fault> {
        if self.sysctls.len() > 64 {
            return fault("sysctls", "has more than 64 entries");
        }
        for (name, value) in &self.sysctls {
            let plain =
                name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
            let own = SYSCTLS.contains(&name.as_str())
                || name.starts_with("net.")
                || name.starts_with("fs.mqueue.");
            if !plain || name.contains("..") || !own {
                return fault(
                    format!("sysctls.{name}"),
                    "is a setting of the whole machine, or unknown; allowed are net.*, fs.mqueue.*, kernel.msg*, kernel.shm*, kernel.sem and kernel.domainname",
                );
            }
            if value.is_empty() || value.len() > 256 || value.contains(['\0', '\n']) {
                return fault(format!("sysctls.{name}"), "must be 1 to 256 characters on one line");
            }
        }
        for (name, limit) in &self.rlimits {
            if !RLIMITS.contains(&name.as_str()) {
                return fault(
                    format!("rlimits.{name}"),
                    format!("is unknown; known are {}", RLIMITS.join(", ")),
                );
            }
            if limit.soft > limit.hard {
                return fault(format!("rlimits.{name}"), "has a soft limit over its hard one");
            }
        }
        Ok(())
    }
}
