//! What an agent may use, what it needs, and who goes first.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fault::{Fault, fault};
use super::text::path_problem;
use crate::as_text::as_text;
use crate::ids::TierName;
use crate::units::{Cpu, Memory};

/// Below this no program starts at all.
const MEMORY_MIN: Memory = Memory(1 << 20);
/// The most processes that a 64-bit kernel has, and takes as a limit.
const PIDS_MAX: u32 = 1 << 22;
/// The most processors that a set may name.
const CPUS_MAX: u32 = 8192;

/// Resource settings of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Requests and limits by a name that the node's configuration defines; what is said here goes
    /// before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierName>,
    /// What the agent needs: the sum over all agents never passes the node's budget.
    #[serde(default, skip_serializing_if = "Requests::is_empty")]
    pub requests: Requests,
    /// Hard limits, enforced by cgroups and read back.
    #[serde(default)]
    pub limits: Limits,
}

/// What an agent needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requests {
    /// `64Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
}

impl Requests {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Hard limits; what is left out is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// `64Mi`; the agent is killed when it needs more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// `500m`; the agent is throttled when it wants more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// The most processes and threads at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// Swap beyond `memory`; none by default where memory is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<Memory>,
    /// The processors it may run on, such as `0-1,3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<Cpuset>,
    /// Reading and writing.
    #[serde(default, skip_serializing_if = "Io::is_empty")]
    pub io: Io,
}

/// Limits on block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Io {
    /// The share among those that compete: 1 to 10000, 100 by default (cgroup v2's `io.weight`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Hard limits for each device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<IoDevice>,
}

impl Io {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Hard limits for one block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IoDevice {
    /// Its path, such as `/dev/mmcblk0`.
    pub path: String,
    /// Bytes read in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bps: Option<Memory>,
    /// Bytes written in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_bps: Option<Memory>,
    /// Reads in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_iops: Option<u64>,
    /// Writes in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_iops: Option<u64>,
}

/// A set of processors, as the kernel writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpuset(Vec<(u32, u32)>);

as_text!(Cpuset, "a set of processors, such as 0-1,3", or a number);

impl Cpuset {
    /// The highest processor of the set.
    pub fn highest(&self) -> u32 {
        self.0.iter().map(|(_, last)| *last).max().unwrap_or_default()
    }
}

impl FromStr for Cpuset {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a set of processors; write such as 0-1,3");
        let one = |part: &str| -> Option<(u32, u32)> {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last && last < CPUS_MAX).then_some((first, last))
        };
        if text.split(',').count() > 256 {
            return Err("has more than 256 ranges of processors".to_owned());
        }
        let ranges: Option<Vec<_>> = text.split(',').map(one).collect();
        ranges.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Cpuset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if first == last {
                write!(f, "{first}")?;
            } else {
                write!(f, "{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// Who goes first when processor, disk or memory are short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Gives way to all others, and is killed first when the machine has no memory left.
    Low,
    /// As most.
    #[default]
    Normal,
    /// Before most.
    High,
    /// Before all, and killed last.
    Critical,
}

impl Priority {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The share of processor among those that compete (cgroup v2's `cpu.weight`, 1 to 10000).
    pub fn cpu_weight(self) -> u16 {
        match self {
            Self::Low => 25,
            Self::Normal => 100,
            Self::High => 400,
            Self::Critical => 1600,
        }
    }

    /// The share of disk among those that compete (cgroup v2's `io.weight`, 1 to 10000).
    pub fn io_weight(self) -> u16 {
        self.cpu_weight()
    }

    /// Whom the kernel kills first when memory runs out (`oom_score_adj`); the node itself has less
    /// than all of these.
    pub fn oom_score_adj(self) -> i16 {
        match self {
            Self::Low => 900,
            Self::Normal => 500,
            Self::High => 200,
            Self::Critical => 0,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// What a name for a size means, by the node's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tier {
    /// What an agent of this size needs.
    #[serde(default)]
    pub requests: Requests,
    /// What it gets at most.
    #[serde(default)]
    pub limits: Limits,
}

impl Resources {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These settings with a tier's behind them: what the agent says itself goes first.
    #[must_use]
    pub fn over(&self, tier: &Tier) -> Self {
        let (own, given) = (&self.limits, &tier.limits);
        Self {
            tier: None,
            requests: Requests {
                memory: self.requests.memory.or(tier.requests.memory),
                cpu: self.requests.cpu.or(tier.requests.cpu),
            },
            limits: Limits {
                memory: own.memory.or(given.memory),
                cpu: own.cpu.or(given.cpu),
                pids: own.pids.or(given.pids),
                swap: own.swap.or(given.swap),
                cpuset: own.cpuset.clone().or_else(|| given.cpuset.clone()),
                io: if own.io.is_empty() { given.io.clone() } else { own.io.clone() },
            },
        }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        let limits = &self.limits;
        if limits.memory.is_some_and(|m| m < MEMORY_MIN) {
            return fault("limits.memory", "is below 1Mi; no program starts with that");
        }
        if limits.cpu.is_some_and(|c| c.millis < 10) {
            return fault("limits.cpu", "is below 10m, the least the kernel takes");
        }
        if limits.pids.is_some_and(|pids| !(1..=PIDS_MAX).contains(&pids)) {
            return fault("limits.pids", "must be 1 to 4194304, the most that a kernel has");
        }
        if limits.swap.is_some() && limits.memory.is_none() && self.tier.is_none() {
            return fault("limits.swap", "needs limits.memory, which it is counted on top of");
        }
        if self.requests.memory.zip(limits.memory).is_some_and(|(need, most)| need > most) {
            return fault("requests.memory", "is over limits.memory");
        }
        if self.requests.cpu.zip(limits.cpu).is_some_and(|(need, most)| need > most) {
            return fault("requests.cpu", "is over limits.cpu");
        }
        limits.io.check().map_err(Fault::below("limits.io"))
    }
}

impl Io {
    fn check(&self) -> Result<(), Fault> {
        if self.weight.is_some_and(|weight| !(1..=10_000).contains(&weight)) {
            return fault("weight", "must be 1 to 10000");
        }
        if self.devices.len() > 16 {
            return fault("devices", "has more than 16 entries");
        }
        for (index, device) in self.devices.iter().enumerate() {
            let field = |name: &str| format!("devices[{index}].{name}");
            if path_problem(&device.path).is_some() || !device.path.starts_with("/dev/") {
                return fault(field("path"), "must be the path of a block device below /dev");
            }
            if self.devices.iter().take(index).any(|other| other.path == device.path) {
                return fault(field("path"), "is named twice");
            }
            let rates = [
                device.read_bps.map(|rate| rate.0),
                device.write_bps.map(|rate| rate.0),
                device.read_iops,
                device.write_iops,
            ];
            if rates.iter().all(Option::is_none) {
                return fault(format!("devices[{index}]"), "limits nothing");
            }
            if rates.contains(&Some(0)) {
                return fault(
                    format!("devices[{index}]"),
                    "has a limit of 0; nothing would ever end",
                );
            }
        }
        Ok(())
    }
}
