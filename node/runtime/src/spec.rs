//! The OCI runtime spec of an agent. Pure: a launch and a root folder in, a spec out.
//!
//! It names no control group limits and no system call filter: the monitor sets both itself and
//! checks that they are in force. Read next: `monitor/build.rs`.

use std::path::Path;

use serde_json::{Value, json};

use crate::launch::Launch;

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

/// The spec, as libcontainer reads it from `config.json`.
pub fn spec(launch: &Launch, rootfs: &Path) -> Value {
    let capabilities = &launch.capabilities;
    json!({
        "ociVersion": "1.0.2",
        "hostname": launch.hostname,
        "root": { "path": rootfs, "readonly": launch.read_only_root },
        "process": {
            "terminal": false,
            "user": {
                "uid": launch.user.uid,
                "gid": launch.user.gid,
                "umask": 0o022,
                "additionalGids": launch.user.additional_gids,
            },
            "args": launch.args,
            "env": environment(launch),
            "cwd": launch.cwd,
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
                "inheritable": capabilities,
                "ambient": capabilities,
            },
        },
        "mounts": mounts(launch),
        "linux": {
            "cgroupsPath": launch.cgroup,
            "rootfsPropagation": "slave",
            "namespaces": [
                { "type": "pid" }, { "type": "mount" }, { "type": "uts" },
                { "type": "ipc" }, { "type": "network" }, { "type": "cgroup" },
            ],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    })
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

fn mounts(launch: &Launch) -> Value {
    let own = format!("uid={}", launch.user.uid);
    let group = format!("gid={}", launch.user.gid);
    json!([
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=64m"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/tmp", "tmpfs", &["nosuid", "nodev", "mode=1777", "size=25%"]),
        mount("/run", "tmpfs", &["nosuid", "nodev", "mode=755", "size=16m", &own, &group]),
    ])
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": kind, "source": kind, "options": options })
}

#[cfg(test)]
mod tests;
