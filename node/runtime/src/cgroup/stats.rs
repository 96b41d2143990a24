//! Reads what a group uses. A file that this kernel lacks counts as 0; nothing here fails.

use super::{Controller, Group, Version};

/// What an agent uses at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stats {
    /// Memory in use, page cache that can be given back left out.
    pub memory_bytes: u64,
    /// Processor time used since the start, in microseconds.
    pub cpu_usec: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: u64,
}

pub(super) fn read(group: &Group) -> Stats {
    let v2 = group.version == Version::V2;
    let (used, inactive) = if v2 {
        ("memory.current", "inactive_file")
    } else {
        ("memory.usage_in_bytes", "total_inactive_file")
    };
    let used = number(&text(group, Controller::Memory, used));
    let cache = field(&text(group, Controller::Memory, "memory.stat"), inactive);
    let cpu_usec = if v2 {
        field(&text(group, Controller::Cpuacct, "cpu.stat"), "usage_usec")
    } else {
        number(&text(group, Controller::Cpuacct, "cpuacct.usage")) / 1000
    };
    Stats {
        memory_bytes: used.saturating_sub(cache),
        cpu_usec,
        pids: number(&text(group, Controller::Pids, "pids.current")),
        oom_kills: oom_kills(group),
    }
}

pub(super) fn oom_kills(group: &Group) -> u64 {
    let file = if group.version == Version::V2 { "memory.events" } else { "memory.oom_control" };
    field(&text(group, Controller::Memory, file), "oom_kill")
}

fn text(group: &Group, controller: Controller, file: &str) -> String {
    let path = group.dir_of(controller).map(|dir| dir.join(file));
    path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_default()
}

/// The number after a name in a file of `name number` lines.
fn field(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name).map_or(0, |(_, value)| number(value))
}
