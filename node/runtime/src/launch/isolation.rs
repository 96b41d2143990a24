//! What an agent shares with the host and with other agents: devices, ids, namespaces, parameters.
//!
//! Refuses what contradicts itself, such as parameters of a namespace that is the host's.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Launch, Mount, Seccomp, User, Wrong, check_path, wrong};

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its file on the host.
    pub path: PathBuf,
    /// Its file in the container, below `/dev`; as on the host if `None`.
    #[serde(default)]
    pub target: Option<PathBuf>,
    /// Whether it may be read.
    pub read: bool,
    /// Whether it may be written.
    pub write: bool,
    /// Whether further files may be made for it, given the capability.
    #[serde(default)]
    pub mknod: bool,
}

impl Device {
    /// Where it is in the container.
    pub fn target(&self) -> &Path {
        self.target.as_ref().unwrap_or(&self.path)
    }
}

/// Ids of the container, from 0 upwards, and the ids of the host that stand for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserNamespace {
    /// The host's user id that is the container's 0.
    pub uid_start: u32,
    /// The host's group id that is the container's 0.
    pub gid_start: u32,
    /// How many ids there are.
    pub count: u32,
}

/// An agent's network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Its own, with the loopback interface only.
    #[default]
    None,
    /// The host's.
    Host,
    /// The one that this file stands for, such as one made by [`crate::pod`].
    Join(PathBuf),
}

/// A namespace of another kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Its own.
    #[default]
    Own,
    /// The one that this file stands for.
    Join(PathBuf),
}

impl Namespace {
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Own => None,
            Self::Join(path) => Some(path),
        }
    }
}

pub(super) fn check(launch: &Launch) -> Result<(), Wrong> {
    launch.devices.iter().try_for_each(check_device)?;
    check_namespaces(launch)?;
    if let Some(ids) = launch.user_namespace {
        check_ids(launch, ids)?;
    }
    if launch.privileged && matches!(launch.seccomp, Seccomp::Profile(_)) {
        return wrong("privileged", "excludes a seccomp profile; leave one of them out");
    }
    launch.sysctls.keys().try_for_each(|name| check_sysctl(launch, name))
}

fn check_device(device: &Device) -> Result<(), Wrong> {
    check_path("devices", &device.path)?;
    check_path("devices", device.target())?;
    let target = device.target();
    if !target.starts_with("/dev") || target == Path::new("/dev") {
        let why = format!("'{}' is not below /dev; give a target that is", target.display());
        return wrong("devices", why);
    }
    match device.read || device.write || device.mknod {
        true => Ok(()),
        false => wrong("devices", format!("'{}' may not even be read", device.path.display())),
    }
}

fn check_namespaces(launch: &Launch) -> Result<(), Wrong> {
    if let Network::Join(path) = &launch.network {
        check_path("network", path)?;
    }
    for (field, namespace) in [("ipc", &launch.ipc), ("uts", &launch.uts)] {
        namespace.path().map_or(Ok(()), |path| check_path(field, path))?;
    }
    Ok(())
}

fn check_ids(launch: &Launch, ids: UserNamespace) -> Result<(), Wrong> {
    const FIELD: &str = "user_namespace";
    let ends = [ids.uid_start, ids.gid_start].map(|start| start.checked_add(ids.count));
    // Pseudo-terminals belong to group 5.
    if ids.count < 6 || ends.contains(&None) {
        return wrong(FIELD, "has fewer than 6 ids, or more than there are");
    }
    if ids.uid_start == 0 || ids.gid_start == 0 {
        return wrong(FIELD, "begins at the host's root; name a range of ids that nobody has");
    }
    let User { uid, gid, additional_gids } = &launch.user;
    let owners = launch.volumes.iter().flat_map(|volume| match volume {
        Mount::Tmpfs { uid, gid, .. } | Mount::Files { uid, gid, .. } => vec![uid, gid],
        Mount::Bind { .. } | Mount::Volume { .. } => Vec::new(),
    });
    let used = additional_gids.iter().chain([uid, gid]).chain(owners);
    if let Some(id) = used.into_iter().find(|id| **id >= ids.count) {
        return wrong(
            FIELD,
            format!("has no id {id}, which the user or a volume needs; its count is too low"),
        );
    }
    if launch.privileged {
        return wrong(FIELD, "excludes privileged; leave one of them out");
    }
    let joined = matches!(launch.network, Network::Join(_))
        || [&launch.ipc, &launch.uts].iter().any(|other| other.path().is_some());
    match joined {
        true => wrong(
            FIELD,
            "cannot join namespaces of other agents, as it has no rights in them; leave it out",
        ),
        false => Ok(()),
    }
}

/// Parameters that each namespace has a copy of, by what their names begin with.
const OF_IPC: [&str; 7] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm",
    "kernel.msg_next_id",
    "fs.mqueue.",
];

fn check_sysctl(launch: &Launch, name: &str) -> Result<(), Wrong> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let (well_formed, parted) = (name.bytes().all(plain), name.split(['.', '/']));
    if !well_formed || parted.into_iter().any(str::is_empty) || name.len() > 200 {
        return wrong("sysctls", format!("'{name}' is no name of a parameter"));
    }
    if OF_IPC.iter().any(|begin| name.starts_with(begin)) {
        return Ok(());
    }
    if !name.starts_with("net.") {
        let why = "is not of a namespace: it would change the host; set it there";
        return wrong("sysctls", format!("'{name}' {why}"));
    }
    match launch.network {
        Network::Host => wrong(
            "sysctls",
            format!("'{name}' would change the host's network; set it there, or leave it out"),
        ),
        _ => Ok(()),
    }
}
