//! `skerry check`: whether this machine, this place and these settings can carry a node.
//!
//! Three parts that never mix: `check/facts.rs` looks and tries (effects, no opinion),
//! `check/judge.rs` decides what the facts mean (pure), and `cli/check.rs` tells. Here are their
//! words: what a check is called, which feature needs it, and which kernel options give it. It needs
//! no node and no network.

pub mod facts;
pub mod judge;
mod options;

use serde::Serialize;

pub use facts::{Facts, Settings};
pub use judge::judge;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It could not be looked at, or was not asked for.
    Skipped,
    /// The node works, with less than it could have, or at a risk.
    Warning,
    /// The node or its agents will not work.
    Error,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name.
    #[serde(rename = "check")]
    pub name: &'static str,
    /// The feature that needs it.
    pub needed_for: &'static str,
    /// Kernel options that give it, without `CONFIG_`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub options: &'static [&'static str],
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check.
    #[serde(flatten)]
    pub check: Check,
    /// How it ended.
    pub level: Level,
    /// What was found, and what that means.
    pub says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

const fn check(
    name: &'static str,
    needed_for: &'static str,
    options: &'static [&'static str],
) -> Check {
    Check { name, needed_for, options }
}

/// Every check, in the order in which they are told.
pub const CHECKS: [Check; 33] = [
    check("user", "making containers and control groups", &[]),
    check("kernel-version", "mounting agents' file systems (mount_setattr, 5.12)", &[]),
    check(
        "kernel-calls",
        "the node's event loop, the monitors of agents, image import",
        &["EPOLL", "EVENTFD", "SIGNALFD", "INOTIFY_USER", "UNIX"],
    ),
    check(
        "namespaces",
        "keeping agents apart from the host and each other",
        &["NAMESPACES", "UTS_NS", "IPC_NS", "PID_NS", "NET_NS"],
    ),
    check("loopback", "an agent's own network: TCP health checks within it", &["NET", "INET"]),
    check(
        "mounts",
        "an agent's /proc, /sys, /dev/pts, /dev/mqueue, /tmp and /run",
        &["PROC_FS", "SYSFS", "TMPFS", "UNIX98_PTYS", "POSIX_MQUEUE"],
    ),
    check("overlayfs", "an agent's root from its image's layers", &["OVERLAY_FS"]),
    check("pivot-root", "taking the host's files away from an agent", &[]),
    check("seccomp", "the system call filter of agents", &["SECCOMP", "SECCOMP_FILTER"]),
    check("cgroups", "telling agents' processes apart, ending and counting them", &["CGROUPS"]),
    check("cgroup-place", "the control groups of agents", &[]),
    check("cgroup-memory", "memory limits", &["MEMCG"]),
    check("cgroup-swap", "memory limits that swap cannot get round", &[]),
    check("cgroup-cpu", "processor limits", &["CGROUP_SCHED", "FAIR_GROUP_SCHED", "CFS_BANDWIDTH"]),
    check("cgroup-pids", "limits on processes", &["CGROUP_PIDS"]),
    check(
        "device-rules",
        "which devices an agent may open",
        &["CGROUP_DEVICE", "BPF_SYSCALL", "CGROUP_BPF"],
    ),
    check("inotify-limits", "noticing how agents end, following logs", &["INOTIFY_USER"]),
    check("open-files", "many agents at once", &[]),
    check("entropy", "the node's key, TLS", &[]),
    check("clock", "judging whether signed instructions are current", &["RTC_CLASS"]),
    check("watchdog", "coming back when the kernel hangs", &["WATCHDOG"]),
    check("node", "all of the above, as a running node sees it", &[]),
    check("config", "the node's start", &[]),
    check("node-name", "telling this node from others", &[]),
    check("state-dir", "what the node must not forget, and images", &[]),
    check("state-filesystem", "surviving power cuts; image layers", &["EXT4_FS"]),
    check("state-space", "documents, images, logs", &[]),
    check("run-dir", "records of running agents, the local socket", &[]),
    check("store", "the document in force", &[]),
    check("identity", "signing what the node says", &[]),
    check("trust-root", "accepting documents from the fleet", &[]),
    check("broker", "reaching the fleet", &[]),
    check("broker-reach", "reaching the fleet (tried with --network alone)", &[]),
];

/// The worst of what was found.
pub fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}

#[cfg(test)]
mod tests;
