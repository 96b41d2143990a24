//! The OCI runtime spec of an agent. Pure: a launch and a root folder in, a spec out.
//!
//! It names no control group limits and no system call filter: the monitor sets both itself and
//! checks that they are in force. Read next: `monitor/build.rs`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::devices::Node;
use crate::launch::{Launch, Mount, Network, Propagation, UserNamespace};

/// What programs are looked for in when the agent's environment has no PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As in Docker's defaults.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/scsi",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The spec, as libcontainer reads it from `config.json`. User and capabilities are not in it: the
/// first process takes them on itself, as its last step (`privileges.rs`).
pub fn spec(launch: &Launch, rootfs: &Path, devices: &[Node], mut volumes: Vec<Value>) -> Value {
    let none = if launch.privileged { Some(Vec::new()) } else { None };
    let paths = |own: &Option<Vec<PathBuf>>, usual: &[&str]| -> Vec<PathBuf> {
        let own = own.clone().or_else(|| none.clone());
        own.unwrap_or_else(|| usual.iter().map(PathBuf::from).collect())
    };
    // What one volume hands to the host, its mount must be able to.
    let shared =
        |volume: &Mount| matches!(volume, Mount::Bind { propagation: Propagation::RShared, .. });
    let propagation = if launch.volumes.iter().any(shared) { "shared" } else { "slave" };
    let mapping = |start: fn(UserNamespace) -> u32| -> Vec<Value> {
        let range = launch
            .user_namespace
            .map(|ids| json!({ "containerID": 0, "hostID": start(ids), "size": ids.count }));
        range.into_iter().collect()
    };
    let (made, mounted): (Vec<Value>, Vec<Value>) = match launch.user_namespace {
        None => (devices.iter().map(Node::entry).collect(), Vec::new()),
        Some(_) => (Vec::new(), devices.iter().map(Node::mount).collect()),
    };
    volumes.extend(mounted);
    json!({
        "ociVersion": "1.0.2",
        "hostname": launch.hostname,
        "root": { "path": rootfs, "readonly": launch.read_only_root },
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0, "umask": 0o022 },
            "args": launch.args,
            "env": environment(launch),
            "cwd": launch.cwd,
            "noNewPrivileges": launch.no_new_privileges,
        },
        "mounts": mounts(launch, volumes),
        "linux": {
            "cgroupsPath": launch.cgroup,
            "rootfsPropagation": propagation,
            "namespaces": namespaces(launch),
            "devices": made,
            "uidMappings": mapping(|ids| ids.uid_start),
            "gidMappings": mapping(|ids| ids.gid_start),
            "maskedPaths": paths(&launch.masked_paths, &MASKED),
            "readonlyPaths": paths(&launch.readonly_paths, &READ_ONLY),
        },
    })
}

/// What an agent has of its own, and what it shares.
fn namespaces(launch: &Launch) -> Vec<Value> {
    let own = |kind: &str| json!({ "type": kind });
    let shared = |kind: &str, path: Option<&Path>| match path {
        Some(path) => json!({ "type": kind, "path": path }),
        None => own(kind),
    };
    let mut namespaces = vec![own("pid"), own("mount"), own("cgroup")];
    namespaces.extend(launch.user_namespace.map(|_| own("user")));
    namespaces.push(shared("uts", launch.uts.path()));
    namespaces.push(shared("ipc", launch.ipc.path()));
    match &launch.network {
        Network::None => namespaces.push(own("network")),
        Network::Join(path) => namespaces.push(shared("network", Some(path))),
        Network::Host => {}
    }
    namespaces
}

/// The agent's environment, with a PATH and a HOME if it has none.
pub fn environment(launch: &Launch) -> Vec<String> {
    let mut env = launch.env.clone();
    if !env.iter().any(|entry| entry.starts_with("PATH=")) {
        env.push(format!("PATH={DEFAULT_PATH}"));
    }
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push(format!("HOME={}", if launch.user.uid == 0 { "/root" } else { "/" }));
    }
    env
}

/// The usual ones, less those whose place is taken, and then the volumes.
fn mounts(launch: &Launch, volumes: Vec<Value>) -> Vec<Value> {
    let own = format!("uid={}", launch.user.uid);
    let group = format!("gid={}", launch.user.gid);
    let sys: &[&str] = &["nosuid", "noexec", "nodev", "ro"];
    let sys = if launch.privileged { sys.get(..3).unwrap_or_default() } else { sys };
    let mut mounts = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=64m"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", sys),
        mount("/tmp", "tmpfs", &["nosuid", "nodev", "mode=1777", "size=25%"]),
        mount("/run", "tmpfs", &["nosuid", "nodev", "mode=755", "size=16m", &own, &group]),
    ];
    let place = |mount: &Value| mount.get("destination").cloned();
    mounts.retain(|usual| !volumes.iter().any(|volume| place(volume) == place(usual)));
    mounts.extend(volumes);
    mounts
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": kind, "options": options })
}

#[cfg(test)]
mod tests;
