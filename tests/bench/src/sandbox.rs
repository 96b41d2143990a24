//! The one sandbox that all contestants make: its mounts, devices, limits and rights, and the two
//! ways of writing it down: an OCI `config.json` for runtimes, a plan for the floor program.
//! Pure: it never touches the system. Next: `ground.rs`, which lays these files out.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

/// How control groups are offered by the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// One hierarchy a controller (also hybrid).
    V1,
    /// The unified hierarchy.
    V2,
}

/// Memory an agent may use, in bytes.
pub const MEMORY: u64 = 64 << 20;
/// CPU time an agent may use in each period of 100 ms, in microseconds.
pub const CPU_QUOTA: u64 = 100_000;
/// Processes an agent may have.
pub const PIDS: u64 = 64;
/// The cgroup, from the hierarchy's root, below which every contestant puts its container.
pub const CGROUP_PARENT: &str = "skerry-bench";
/// The controllers of v1 that the floor joins.
pub const V1_CONTROLLERS: [&str; 5] = ["cpu", "memory", "pids", "devices", "freezer"];

const NOFILE: u64 = 1024;
/// What an agent may do beyond an ordinary process, with the kernel's numbers.
pub const CAPABILITIES: [(&str, u32); 3] =
    [("CAP_AUDIT_WRITE", 29), ("CAP_KILL", 5), ("CAP_NET_BIND_SERVICE", 10)];

struct Mount {
    kind: &'static str,
    source: &'static str,
    target: &'static str,
    options: &'static [&'static str],
}

const MOUNTS: [Mount; 8] = [
    Mount {
        kind: "proc",
        source: "proc",
        target: "/proc",
        options: &["nosuid", "noexec", "nodev"],
    },
    Mount {
        kind: "sysfs",
        source: "sysfs",
        target: "/sys",
        options: &["nosuid", "noexec", "nodev", "ro"],
    },
    Mount {
        kind: "tmpfs",
        source: "tmpfs",
        target: "/dev",
        options: &["nosuid", "noexec", "mode=755", "size=65536k"],
    },
    Mount {
        kind: "devpts",
        source: "devpts",
        target: "/dev/pts",
        options: &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    },
    Mount {
        kind: "tmpfs",
        source: "shm",
        target: "/dev/shm",
        options: &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    Mount {
        kind: "mqueue",
        source: "mqueue",
        target: "/dev/mqueue",
        options: &["nosuid", "noexec", "nodev"],
    },
    Mount {
        kind: "tmpfs",
        source: "tmpfs",
        target: "/tmp",
        options: &["nosuid", "nodev", "mode=1777", "size=65536k"],
    },
    Mount {
        kind: "tmpfs",
        source: "tmpfs",
        target: "/run",
        options: &["nosuid", "nodev", "mode=755", "size=65536k"],
    },
];

const DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];

// As the device binary masks them; a path that this kernel lacks is passed over by everybody.
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

const READONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Folders that a root file system must have for the sandbox to be mounted on it.
pub const FOLDERS: [&str; 5] = ["proc", "sys", "dev", "tmp", "run"];

/// The OCI configuration of a container that runs `arguments` as `name`.
pub fn oci_config(root: &Path, name: &str, arguments: &[&str]) -> Value {
    let capabilities: Vec<&str> = CAPABILITIES.iter().map(|(name, _)| *name).collect();
    let mounts: Vec<Value> = MOUNTS
        .iter()
        .map(|m| json!({"destination": m.target, "type": m.kind, "source": m.source, "options": m.options}))
        .collect();
    let namespaces: Vec<Value> = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
        .iter()
        .map(|kind| json!({"type": kind}))
        .collect();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": arguments,
            "env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": NOFILE, "soft": NOFILE}],
            "noNewPrivileges": true,
        },
        "root": {"path": root, "readonly": true},
        "hostname": name,
        "mounts": mounts,
        "linux": {
            "cgroupsPath": format!("/{CGROUP_PARENT}/{name}"),
            "resources": {
                "devices": [{"allow": false, "access": "rwm"}],
                "memory": {"limit": MEMORY},
                "cpu": {"quota": CPU_QUOTA, "period": 100_000},
                "pids": {"limit": PIDS},
            },
            "namespaces": namespaces,
            "maskedPaths": MASKED,
            "readonlyPaths": READONLY,
        },
    })
}

/// How the floor joins a cgroup of v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Through `tasks`, as one thread: it waits for nothing.
    Thread,
    /// Through `cgroup.procs`, as runtimes do: after a rest it waits for an RCU grace period.
    Process,
}

/// The plan of the same container for the floor program.
pub fn floor_plan(cgroups: Cgroups, join: Join, root: &Path, name: &str) -> String {
    let mut plan = String::new();
    let mut line = |text: String| {
        plan.push_str(&text);
        plan.push('\n');
    };
    for text in cgroup_lines(cgroups, join, name) {
        line(text);
    }
    line(format!("root {}", root.display()));
    for mount in &MOUNTS {
        let (flags, data) = flags_and_data(mount.options);
        line(format!("mount {} {} {} {flags:x} {data}", mount.kind, mount.source, mount.target));
    }
    for (path, major, minor) in DEVICES {
        line(format!("device {path} {major} {minor}"));
    }
    for (target, path) in LINKS {
        line(format!("link {target} {path}"));
    }
    for path in MASKED {
        line(format!("mask {path}"));
    }
    for path in READONLY {
        line(format!("readonly {path}"));
    }
    line(format!("hostname {name}"));
    line(format!("nofile {NOFILE}"));
    let kept = CAPABILITIES.iter().fold(0_u64, |mask, (_, number)| mask | 1 << number);
    line(format!("capabilities {kept:x}"));
    plan
}

fn cgroup_lines(cgroups: Cgroups, join: Join, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    match cgroups {
        Cgroups::V1 => {
            let dir =
                |controller: &str| format!("/sys/fs/cgroup/{controller}/{CGROUP_PARENT}/{name}");
            let file = match join {
                Join::Thread => "tasks",
                Join::Process => "cgroup.procs",
            };
            lines.extend(V1_CONTROLLERS.map(|c| format!("cgroup1 {} {file}", dir(c))));
            let mut set = |controller: &str, file: &str, value: &str| {
                lines.push(format!("set {}/{controller}.{file} {value}", dir(controller)));
            };
            set("cpu", "cfs_period_us", "100000");
            set("cpu", "cfs_quota_us", &CPU_QUOTA.to_string());
            set("memory", "limit_in_bytes", &MEMORY.to_string());
            set("pids", "max", &PIDS.to_string());
            set("devices", "deny", "a");
            for rule in ["c *:* m", "b *:* m", "c 5:2 rwm", "c 136:* rwm"] {
                set("devices", "allow", rule);
            }
            for (_, major, minor) in DEVICES {
                set("devices", "allow", &format!("c {major}:{minor} rwm"));
            }
        }
        Cgroups::V2 => {
            let dir = format!("/sys/fs/cgroup/{CGROUP_PARENT}/{name}");
            lines.push(format!("cgroup2 {dir}"));
            lines.push(format!("set {dir}/cpu.max {CPU_QUOTA} 100000"));
            lines.push(format!("set {dir}/memory.max {MEMORY}"));
            lines.push(format!("set {dir}/pids.max {PIDS}"));
        }
    }
    lines
}

/// Splits mount options into the flags of mount(2) and the rest, which is the file system's.
fn flags_and_data(options: &[&str]) -> (u64, String) {
    let mut flags = 0;
    let mut data = String::new();
    for option in options {
        match *option {
            "ro" => flags |= 1,
            "nosuid" => flags |= 2,
            "nodev" => flags |= 4,
            "noexec" => flags |= 8,
            other => {
                let comma = if data.is_empty() { "" } else { "," };
                let _ = write!(data, "{comma}{other}");
            }
        }
    }
    (flags, data)
}

#[cfg(test)]
mod tests;
