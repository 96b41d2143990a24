//! What processes cost while they do nothing: memory, wake-ups and writes, as the kernel counts
//! them under /proc. Next: `node.rs`, which has the processes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Memory of one process, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Its share of all it maps: shared pages count in parts.
    pub pss: u64,
    /// What would be free if it left: private pages, clean and dirty.
    pub private: u64,
    /// The dirty part of it, which no other copy can replace.
    pub private_dirty: u64,
}

/// Counters that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times that a thread was scheduled anew, over all threads.
    pub switches: u64,
    /// Bytes sent towards storage.
    pub written: u64,
}

impl Counters {
    /// What was added since.
    pub fn since(self, before: Self) -> Self {
        Self {
            switches: self.switches.saturating_sub(before.switches),
            written: self.written.saturating_sub(before.written),
        }
    }
}

/// The memory of a process.
///
/// # Errors
/// When it is gone, or the kernel has no `smaps_rollup`.
pub fn memory(pid: u32) -> Result<Memory, Error> {
    let text = read(&proc(pid).join("smaps_rollup"))?;
    parse_memory(&text).ok_or_else(|| Error::form("smaps_rollup", &text))
}

fn parse_memory(text: &str) -> Option<Memory> {
    let value = |name: &str| number_after(text, name);
    let private_dirty = value("Private_Dirty:")?;
    Some(Memory {
        pss: value("Pss:")?,
        private: value("Private_Clean:")? + private_dirty,
        private_dirty,
    })
}

/// The counters of a process.
///
/// # Errors
/// When it is gone.
pub fn counters(pid: u32) -> Result<Counters, Error> {
    let io = read(&proc(pid).join("io"))?;
    let written = number_after(&io, "write_bytes:").ok_or_else(|| Error::form("io", &io))?;
    let tasks = proc(pid).join("task");
    let list = std::fs::read_dir(&tasks).map_err(|e| Error::at("list", &tasks, e))?;
    let mut switches = 0;
    for task in list.flatten() {
        let status = read(&task.path().join("status"))?;
        switches += number_after(&status, "voluntary_ctxt_switches:").unwrap_or(0);
        switches += number_after(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
    }
    Ok(Counters { switches, written })
}

/// Processor time of a process so far, in milliseconds, over all its threads.
///
/// # Errors
/// When it is gone.
pub fn processor_ms(pid: u32) -> Result<f64, Error> {
    let tasks = proc(pid).join("task");
    let list = std::fs::read_dir(&tasks).map_err(|e| Error::at("list", &tasks, e))?;
    let mut nanoseconds = 0;
    for task in list.flatten() {
        // The first field of `schedstat` is the time on a processor, exact to the nanosecond.
        let text = read(&task.path().join("schedstat"))?;
        let first = text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
        nanoseconds += first.ok_or_else(|| Error::form("schedstat", &text))?;
    }
    Ok(number(nanoseconds) / 1e6)
}

/// The children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let path = proc(pid).join("task").join(pid.to_string()).join("children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// How many threads a process has.
pub fn threads(pid: u32) -> usize {
    std::fs::read_dir(proc(pid).join("task")).into_iter().flatten().count()
}

/// All processes that run this very file, through whatever mount: a monitor has one of its own, where
/// the file has no path that could be compared.
pub fn running(program: &Path) -> Vec<u32> {
    let file = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let Some(wanted) = file(program) else { return Vec::new() };
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| file(&proc(*pid).join("exe")) == Some(wanted))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn proc(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|e| Error::at("read", path, e))
}

/// The number that follows a name at the beginning of a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests;
