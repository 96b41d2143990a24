//! What an agent may use: of the machine as a whole, and each of its processes.
//!
//! Only the values' forms are judged here; whether the kernel can enforce them is `cgroup/`'s to say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Wrong, check_path, wrong};

/// Limits; `None` means no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory, with no swap beyond it unless `swap_bytes` says so.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Swap beyond the memory limit; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_bytes: Option<u64>,
    /// Processor time: 500 is half a core.
    #[serde(default)]
    pub cpu_millis: Option<u32>,
    /// The share of the processors when they are wanted by all, from 1 to 10000; the usual is 100.
    /// Version 1 keeps it as shares, by the formula of the OCI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_weight: Option<u16>,
    /// The processors to run on, such as `0-1,3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<String>,
    /// Processes and threads.
    #[serde(default)]
    pub pids: Option<u32>,
    /// The share of the disks when they are wanted by all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_weight: Option<IoWeight>,
    /// Limits for single disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub io_devices: Vec<IoDevice>,
}

/// A share of the disks. Few kernels and fewer schedulers keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoWeight {
    /// From 1 to 10000; the usual is 100.
    pub value: u16,
    /// Whether the agent is refused when the weight has no effect here. Otherwise that is told in
    /// [`crate::State::shortfalls`].
    #[serde(default)]
    pub required: bool,
}

/// Limits for one disk. On version 1 the kernel counts what is read and what is written directly,
/// and not what it writes from its cache later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoDevice {
    /// Its device file on the host. The kernel limits whole disks: of a partition, that is its disk.
    pub path: PathBuf,
    /// Bytes read a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bps: Option<u64>,
    /// Bytes written a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_bps: Option<u64>,
    /// Reads a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_iops: Option<u64>,
    /// Writes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_iops: Option<u64>,
}

/// A resource limit of each process; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    /// What is in force, and may be raised up to the hard one.
    pub soft: Option<u64>,
    /// The most that the soft one can be.
    pub hard: Option<u64>,
}

/// The resource limits that the kernel knows, by their names.
pub const RLIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

impl Limits {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        // The kernel's smallest quota is one millisecond in each period of 100.
        if self.cpu_millis.is_some_and(|millis| millis < 10) {
            return wrong("limits.cpu_millis", "is below 10, the kernel's least");
        }
        if self.memory_bytes.is_some_and(|bytes| bytes < 1024 * 1024) {
            return wrong("limits.memory_bytes", "is below 1 MiB; nothing starts in it");
        }
        if self.pids == Some(0) {
            return wrong("limits.pids", "is 0; at least 1 is needed");
        }
        if self.swap_bytes.is_some() && self.memory_bytes.is_none() {
            return wrong("limits.swap_bytes", "needs memory_bytes, beyond which it is counted");
        }
        let weights = [
            ("limits.cpu_weight", self.cpu_weight),
            ("limits.io_weight", self.io_weight.map(|weight| weight.value)),
        ];
        for (field, weight) in weights {
            if weight.is_some_and(|weight| !(1..=10_000).contains(&weight)) {
                return wrong(field, "is not from 1 to 10000");
            }
        }
        if let Some(list) = &self.cpuset
            && processors(list).is_none()
        {
            return wrong("limits.cpuset", format!("'{list}' is no list such as 0-1,3"));
        }
        self.io_devices.iter().try_for_each(IoDevice::check)
    }
}

impl IoDevice {
    fn check(&self) -> Result<(), Wrong> {
        const FIELD: &str = "limits.io_devices";
        check_path(FIELD, &self.path)?;
        let limits = [self.read_bps, self.write_bps, self.read_iops, self.write_iops];
        let shown = self.path.display();
        if limits.iter().all(Option::is_none) {
            return wrong(FIELD, format!("{shown} has no limit; give one, or leave it out"));
        }
        match limits.contains(&Some(0)) {
            true => wrong(FIELD, format!("{shown} has a limit of 0; the kernel's least is 1")),
            false => Ok(()),
        }
    }
}

/// The numbers in a list such as `0-1,3`, in order; `None` if it is none.
pub(crate) fn processors(list: &str) -> Option<Vec<u32>> {
    const MOST: u32 = 8192;
    let mut found = std::collections::BTreeSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u32>().ok())?.filter(|number| *number < MOST)
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found.into_iter().collect())
}

pub(super) fn check_rlimits(limits: &BTreeMap<String, Rlimit>) -> Result<(), Wrong> {
    for (name, Rlimit { soft, hard }) in limits {
        if !RLIMITS.contains(&name.as_str()) {
            return wrong("rlimits", format!("'{name}' is none of {}", RLIMITS.join(", ")));
        }
        if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            return wrong("rlimits", format!("{name}: the soft limit is above the hard one"));
        }
    }
    Ok(())
}
