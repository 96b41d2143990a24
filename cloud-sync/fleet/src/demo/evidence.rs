//! What the kernel and the log files say: the evidence behind the demo's claims. Reads only.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

/// A process that cannot be mistaken for another that later got its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it began, in clock ticks since boot.
    pub began: u64,
}

impl Process {
    /// The process of this number, if it lives.
    pub fn find(pid: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&path).with_context(|| format!("process {pid} is gone"))?;
        // The name stands in brackets and may hold anything; the state is the field after it.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
        let mut fields = fields.split_whitespace();
        if fields.next() == Some("Z") {
            bail!("process {pid} has ended");
        }
        // Field 22 of proc(5); the state is field 3.
        let began = fields.nth(18).and_then(|field| field.parse().ok());
        Ok(Self { pid, began: began.with_context(|| format!("cannot understand {path}"))? })
    }

    /// Whether it is still the same.
    pub fn lives(self) -> bool {
        Self::find(self.pid).is_ok_and(|now| now == self)
    }
}

/// The files of a control group that hold limits, in version 1 and 2.
const LIMIT_FILES: [&str; 6] = [
    "memory.limit_in_bytes",
    "memory.max",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.max",
    "pids.max",
];

/// What the kernel's own files say of the limits, by path.
pub fn limits(cgroups: &[impl AsRef<Path>]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in cgroups {
        for name in LIMIT_FILES {
            let path = folder.as_ref().join(name);
            if let Ok(text) = fs::read_to_string(&path) {
                found.insert(path.display().to_string(), text.trim().to_owned());
            }
        }
    }
    found
}

/// Checks memory in bytes, CPU in thousandths and processes against the kernel's files.
pub fn check_limits(
    found: &BTreeMap<String, String>,
    memory: u64,
    cpu: u64,
    pids: u64,
) -> anyhow::Result<()> {
    let value = |name: &str| {
        let mut named = found.iter().filter(|(path, _)| path.ends_with(&format!("/{name}")));
        named.next().map(|(_, value)| value.as_str())
    };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    let in_force = number(value("memory.max").or_else(|| value("memory.limit_in_bytes")));
    if in_force != Some(memory) {
        bail!("the memory limit in force is {in_force:?}, not {memory}");
    }
    let (quota, period) = match value("cpu.max").and_then(|text| text.split_once(' ')) {
        Some((quota, period)) => (number(Some(quota)), number(Some(period))),
        None => (number(value("cpu.cfs_quota_us")), number(value("cpu.cfs_period_us"))),
    };
    let share = quota.zip(period).filter(|(_, period)| *period > 0);
    let share = share.map(|(quota, period)| quota * 1000 / period);
    if share != Some(cpu) {
        bail!("the CPU limit in force is {share:?} thousandths, not {cpu}");
    }
    let in_force = number(value("pids.max"));
    if in_force != Some(pids) {
        bail!("the limit of processes in force is {in_force:?}, not {pids}");
    }
    Ok(())
}

/// The numbers of the readings in an agent's log, oldest first, across rotated files.
pub fn readings(log_dir: &Path) -> anyhow::Result<Vec<u64>> {
    #[derive(Deserialize)]
    struct Reading {
        seq: u64,
    }
    let mut lines = Vec::new();
    let entries = fs::read_dir(log_dir)
        .with_context(|| format!("cannot read the log folder {}", log_dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read the log {}", path.display()))?;
        // The last line may be just being written.
        let whole = text.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
        lines.extend(whole.lines().map(str::to_owned));
    }
    // Each begins with its time, which sorts as text.
    lines.sort();
    let reading = |line: &String| {
        let text = line.splitn(4, ' ').nth(3)?;
        serde_json::from_str::<Reading>(text).ok().map(|reading| reading.seq)
    };
    Ok(lines.iter().filter_map(reading).collect())
}

/// Checks that not one reading is missing or there twice, from the first on.
pub fn check_gapless(readings: &[u64]) -> anyhow::Result<()> {
    for (expected, found) in (0_u64..).zip(readings) {
        if expected != *found {
            bail!("the log has a gap: reading {found} stands where {expected} is expected");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
