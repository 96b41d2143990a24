//! What the kernel tells of the machine and of this process. What it does not tell is `null`.

use std::fs;

use crate::json::Object;

/// One reading as a JSON line.
pub(crate) fn reading(name: &str, sequence: u64) -> String {
    Object::new()
        .text("name", name)
        .number("seq", sequence)
        .number("pid", std::process::id().into())
        .raw("uptime_s", &first_word("/proc/uptime"))
        .raw("load", &first_word("/proc/loadavg"))
        .number_or_null("memory_bytes", memory())
        .number_or_null("memory_max_bytes", memory_max())
        .finish()
}

/// The first word of a file, when it is a plain number.
fn first_word(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let word = text.split_whitespace().next().unwrap_or_default();
    let plain = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain { word.to_owned() } else { "null".to_owned() }
}

fn number(paths: &[&str]) -> Option<u64> {
    paths.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
}

/// Memory in use by this process's cgroup, where that can be seen; else by the process.
fn memory() -> Option<u64> {
    let files = ["/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes"];
    number(&files).or_else(resident)
}

/// The cgroup's bound. Without one, the first version of cgroups states a huge number, and the
/// second a word.
fn memory_max() -> Option<u64> {
    number(&["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"])
        .filter(|max| *max < 1 << 62)
}

/// `VmRSS` in bytes.
fn resident() -> Option<u64> {
    status_field("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// A field of this process's status.
pub(crate) fn status_field(key: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().to_owned())
}
