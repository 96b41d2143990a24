//! What the facts mean: one finding for each check, in the order of [`CHECKS`]. Pure.
//!
//! An error is told where the node or its agents will not work, a warning where they work with less
//! or at a risk, and what could not be looked at is told as such. Facts are gathered in `facts.rs`.

mod groups;
mod kernel;
mod places;
mod settings;

use super::{CHECKS, Check, Facts, Finding, Level};

/// One finding before it has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    level: Level,
    says: String,
    next: Option<String>,
}

fn ok(says: impl Into<String>) -> Verdict {
    Verdict { level: Level::Ok, says: says.into(), next: None }
}

fn skipped(says: impl Into<String>, next: impl Into<String>) -> Verdict {
    Verdict { level: Level::Skipped, says: says.into(), next: Some(next.into()) }
}

fn warning(says: impl Into<String>, next: impl Into<String>) -> Verdict {
    Verdict { level: Level::Warning, says: says.into(), next: Some(next.into()) }
}

fn error(says: impl Into<String>, next: impl Into<String>) -> Verdict {
    Verdict { level: Level::Error, says: says.into(), next: Some(next.into()) }
}

/// What only root can look at.
fn needs_root(what: &str) -> Verdict {
    skipped(format!("{what} can be looked at by root alone"), "sudo skerry check")
}

/// What the kernel's error number says in words.
fn errno(number: i32) -> String {
    std::io::Error::from_raw_os_error(number).to_string()
}

/// Names as a list.
fn list(names: &[&str]) -> String {
    names.join(", ")
}

/// What each check has found.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let finding = |check: &Check| {
        let Verdict { level, says, next } = verdict(check.name, facts, check.options);
        Finding { check: *check, level, says, next }
    };
    CHECKS.iter().map(finding).collect()
}

fn verdict(name: &str, facts: &Facts, options: &[&str]) -> Verdict {
    match name {
        "user" => kernel::user(facts),
        "kernel-version" => kernel::version(facts),
        "kernel-calls" => kernel::calls(facts),
        "namespaces" => kernel::namespaces(facts),
        "loopback" => kernel::loopback(facts, options),
        "mounts" => kernel::mounts(facts),
        "overlayfs" => kernel::overlay(facts, options),
        "pivot-root" => kernel::pivot_root(facts),
        "seccomp" => kernel::seccomp(facts, options),
        "cgroups" => groups::hierarchy(facts, options),
        "cgroup-place" => groups::place(facts),
        "cgroup-memory" => groups::memory(facts, options),
        "cgroup-swap" => groups::swap(facts),
        "cgroup-cpu" => groups::cpu(facts, options),
        "cgroup-pids" => groups::pids(facts, options),
        "device-rules" => groups::devices(facts),
        "inotify-limits" => kernel::inotify(facts),
        "open-files" => kernel::open_files(facts),
        "node" => settings::node(facts),
        "entropy" => kernel::entropy(facts),
        "clock" => kernel::clock(facts),
        "watchdog" => kernel::watchdog(facts),
        "config" => settings::config(facts),
        "node-name" => settings::node_name(facts),
        "state-dir" => places::state_dir(facts),
        "state-filesystem" => places::file_system(facts),
        "state-space" => places::space(facts),
        "run-dir" => places::run_dir(facts),
        "store" => settings::store(facts),
        "identity" => settings::identity(facts),
        "trust-root" => settings::trust_root(facts),
        "broker" => settings::broker(facts),
        "broker-reach" => settings::reach(facts),
        _ => skipped("there is no such check", "report this as a defect"),
    }
}

#[cfg(test)]
mod tests;
