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
    /// Time that it wanted a processor and had no share left, in microseconds.
    pub throttled_usec: u64,
    /// Bytes read from disks.
    pub read_bytes: u64,
    /// Bytes written to disks.
    pub written_bytes: u64,
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
    let cpu = text(group, Controller::Cpu, "cpu.stat");
    let throttled_usec = match v2 {
        true => field(&cpu, "throttled_usec"),
        false => field(&cpu, "throttled_time") / 1000,
    };
    let io = match v2 {
        true => text(group, Controller::Io, "io.stat"),
        false => text(group, Controller::Io, "blkio.throttle.io_service_bytes"),
    };
    let (read_bytes, written_bytes) = disks(&io);
    Stats {
        throttled_usec,
        read_bytes,
        written_bytes,
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

/// What was read and written, over all disks: `8:0 rbytes=1 wbytes=2 …` on version 2, `8:0 Read 1`
/// and `8:0 Write 2` on version 1.
fn disks(text: &str) -> (u64, u64) {
    let (mut read, mut written) = (0_u64, 0_u64);
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [_, kind, amount] = words.as_slice() {
            match *kind {
                "Read" => read = read.saturating_add(number(amount)),
                "Write" => written = written.saturating_add(number(amount)),
                _ => {}
            }
        }
        for word in words {
            let value = |name| word.strip_prefix(name).map_or(0, number);
            read = read.saturating_add(value("rbytes="));
            written = written.saturating_add(value("wbytes="));
        }
    }
    (read, written)
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

#[cfg(test)]
mod tests {
    use super::disks;

    #[test]
    fn both_versions_tell_of_each_disk() {
        assert_eq!(
            disks("8:0 rbytes=1 wbytes=2 rios=9 wios=9\n8:16 rbytes=10 wbytes=20\n"),
            (11, 22)
        );
        assert_eq!(disks("8:0 Read 1\n8:0 Write 2\n8:0 Sync 9\n8:16 Read 10\nTotal 99\n"), (11, 2));
    }
}
