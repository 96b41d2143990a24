//! What this runtime can do (`features`), and what a container uses (`events`).

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args::Call;
use super::cgroup::Tree;
use super::state::{Container, Status};
use super::{Result, refused};

/// As the specification's `features` document has it.
pub fn features() -> Value {
    let names: Vec<String> = rustix::thread::CapabilitySet::all()
        .iter_names()
        .map(|(name, _)| format!("CAP_{name}"))
        .collect();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": super::state::oci_version(),
        "hooks": [
            "prestart", "createRuntime", "createContainer", "startContainer", "poststart",
            "poststop",
        ],
        "mountOptions": [
            "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "iversion",
            "lazytime", "loud", "noatime", "nodev", "nodiratime", "noexec", "noiversion",
            "nolazytime", "norelatime", "nostrictatime", "nosuid", "private", "ratime", "rbind",
            "rdev", "rdiratime", "relatime", "rexec", "rnoatime", "rnodev", "rnodiratime",
            "rnoexec", "rnorelatime", "rnostrictatime", "rnosuid", "ro", "rprivate", "rrelatime",
            "rro", "rrw", "rshared", "rslave", "rstrictatime", "rsuid", "runbindable", "rw",
            "shared", "silent", "slave", "strictatime", "suid", "sync", "tmpcopyup", "unbindable",
        ],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": names,
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false },
            "seccomp": {
                "enabled": true,
                "actions": [
                    "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                    "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRAP",
                ],
                "operators": [
                    "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                    "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
                ],
                "archs": [],
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": false },
        },
        "annotations": { "io.github.skerry.version": env!("CARGO_PKG_VERSION") },
    })
}

/// `events`: what the container uses, once, or again and again until it ends.
pub fn events(call: &Call) -> Result<u8> {
    let container = Container::load(&call.root, call.only_id()?)?;
    let interval = interval(call.value("interval").unwrap_or("5s"))?;
    if container.status() == Status::Stopped {
        return refused("container with id is not running");
    }
    let tree = container.tree()?;
    let mut kills = oom_kills(&tree);
    let mut quiet = Duration::MAX;
    loop {
        if quiet >= interval {
            println!("{}", event(&container, "stats", &stats(&tree)));
            quiet = Duration::ZERO;
        }
        if call.has("stats") || container.status() == Status::Stopped {
            return Ok(0);
        }
        // Somebody watches; this ends with the container.
        let pause = Duration::from_millis(100);
        std::thread::sleep(pause);
        quiet = quiet.saturating_add(pause);
        let now = oom_kills(&tree);
        if now > kills {
            println!("{}", event(&container, "oom", &Value::Null));
            kills = now;
        }
    }
}

/// An event's line, its fields in the order that runc writes them in.
fn event(container: &Container, kind: &str, data: &Value) -> String {
    let (kind, id) = (json!(kind), json!(container.record.id));
    let data = if data.is_null() { String::new() } else { format!(",\"data\":{data}") };
    format!("{{\"type\":{kind},\"id\":{id}{data}}}")
}

/// As Go writes durations, of one unit.
fn interval(text: &str) -> Result<Duration> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let found = units.iter().find_map(|(unit, millis)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*millis)
    });
    match found {
        Some(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => refused("duration interval must be greater than 0"),
    }
}

fn text(dir: Option<&Path>, file: &str) -> Option<String> {
    std::fs::read_to_string(dir?.join(file)).ok()
}

fn number(dir: Option<&Path>, file: &str) -> u64 {
    text(dir, file).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Lines of a name and a number.
fn table(dir: Option<&Path>, file: &str) -> Map<String, Value> {
    let text = text(dir, file).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), json!(value.trim().parse::<u64>().ok()?)))
    });
    pairs.collect()
}

fn oom_kills(tree: &Tree) -> u64 {
    let dir = tree.dir_of("memory");
    let file = if tree.is_v2() { "memory.events" } else { "memory.oom_control" };
    table(dir, file).get("oom_kill").and_then(Value::as_u64).unwrap_or(0)
}

fn stats(tree: &Tree) -> Value {
    let (memory, cpu, pids) = (tree.dir_of("memory"), tree.dir_of("cpu"), tree.dir_of("pids"));
    let throttling = table(cpu, "cpu.stat");
    let of = |name: &str| throttling.get(name).cloned().unwrap_or_else(|| json!(0));
    let (usage, limit, max, total) = if tree.is_v2() {
        let micros = throttling.get("usage_usec").and_then(Value::as_u64).unwrap_or(0);
        ("memory.current", "memory.max", "memory.peak", micros * 1000)
    } else {
        let nanos = number(tree.dir_of("cpuacct"), "cpuacct.usage");
        ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.max_usage_in_bytes", nanos)
    };
    json!({
        "cpu": {
            "usage": { "total": total },
            "throttling": {
                "periods": of("nr_periods"),
                "throttledPeriods": of("nr_throttled"),
                "throttledTime": of("throttled_time"),
            },
        },
        "memory": {
            "usage": {
                "usage": number(memory, usage),
                "limit": number(memory, limit),
                "max": number(memory, max),
                "failcnt": number(memory, "memory.failcnt"),
            },
            "raw": table(memory, "memory.stat"),
        },
        "pids": { "current": number(pids, "pids.current"), "limit": number(pids, "pids.max") },
        "blkio": {},
        "hugetlb": {},
        "intel_rdt": {},
    })
}
