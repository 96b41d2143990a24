//! What has no owner is removed: control groups, run folders, monitors and mounts that no agent
//! answers for.
//!
//! A crash in the middle of a step, a run folder that somebody deleted or a record that cannot be read
//! leaves such things behind. Every agent that may live has a run folder with its `agent.json`;
//! whatever is below the node's own base and has none, has no owner. It looks nowhere else: not at
//! other control groups, not at other mounts, and never at volumes. [`crate::reconciler`] calls it at
//! its start and after changes, between two steps, so that nothing is being made meanwhile.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use skerry_runtime::Kernel;
use skerry_runtime::cgroup::Group;

use crate::troubles::{Kind, Troubles};

/// How long killed processes get to disappear.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than this is not read of a command line.
const LINE_MAX: usize = 64 << 10;

/// Where the node's own things are.
pub struct Base<'a> {
    /// The folder of run folders.
    pub agents: &'a Path,
    /// The folder of what pods share.
    pub pods: &'a Path,
    /// The control group of agents.
    pub cgroup: &'a Path,
}

/// Something that was found without an owner, and what became of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Swept {
    /// What it was.
    pub what: String,
    /// Why some of it is still there.
    pub left: Option<String>,
}

/// Sweeps. `owned` names the agents whose records can be read, `pods` the pods that somebody wants or
/// is in.
pub fn sweep(base: &Base<'_>, owned: &BTreeSet<String>, pods: &BTreeSet<String>) -> Vec<Swept> {
    let mut swept = Vec::new();
    // Monitors first: a monitor whose agent is killed would write into a folder that is gone.
    swept.extend(monitors(base.agents));
    swept.extend(groups(base, owned));
    swept.extend(run_folders(base.agents, owned));
    swept.extend(folders_in(base.pods).filter(|name| !is_among(name, pods)).map(|name| {
        let folder = base.pods.join(&name);
        told(format!("what the pod {} shared", name.display()), take_away(&folder))
    }));
    swept
}

/// Tells what was swept: a line each, and a trouble for what could not be.
pub fn tell(swept: &[Swept], troubles: &Troubles) {
    for Swept { what, left } in swept {
        match left {
            None => tracing::warn!(what, "removed: it had no owner"),
            Some(why) => tracing::error!(what, why, "has no owner, and cannot be removed"),
        }
    }
    let stuck = swept.iter().find_map(|s| Some((&s.what, s.left.as_ref()?)));
    match stuck {
        None => troubles.clear(Kind::Orphan, ""),
        Some((what, why)) => troubles.raise(
            Kind::Orphan,
            "",
            &format!("{what} has no owner, and cannot be removed: {why}"),
            "look for a process that hangs in the kernel (ps: state D); a restart of the device helps",
        ),
    }
}

fn told(what: String, done: Result<(), String>) -> Swept {
    Swept { what, left: done.err() }
}

/// Control groups of agents that have no run folder, with all that lives in them.
fn groups(base: &Base<'_>, owned: &BTreeSet<String>) -> Vec<Swept> {
    let Ok(kernel) = Kernel::probe() else { return Vec::new() };
    let found: BTreeSet<OsString> = Group::at(&kernel, base.cgroup)
        .paths()
        .iter()
        .flat_map(|folder| folders_in(folder).collect::<Vec<_>>())
        .collect();
    let orphans = found.into_iter().filter(|name| !is_among(name, owned));
    orphans
        .map(|name| {
            let group = Group::at(&kernel, &base.cgroup.join(&name));
            let lived = group.pids().map_or(0, |pids| pids.len());
            let killed = group.kill(PATIENCE).map_err(|error| error.to_string());
            let removed = match group.remove().first() {
                None => Ok(()),
                Some(error) => Err(error.to_string()),
            };
            let what = format!("the control group {} with {lived} processes", name.display());
            told(what, killed.and(removed))
        })
        .collect()
}

/// Run folders that say nothing of whose they are. What lived in their control groups is gone by now.
fn run_folders(agents: &Path, owned: &BTreeSet<String>) -> Vec<Swept> {
    let orphans = folders_in(agents).filter(|name| !is_among(name, owned));
    orphans
        .map(|name| {
            let folder = agents.join(&name);
            let what = format!("the run folder {}", folder.display());
            end(monitors_of(|run_dir| run_dir == folder));
            told(what, take_away(&folder))
        })
        .collect()
}

/// Monitors whose run folder is gone.
fn monitors(agents: &Path) -> Vec<Swept> {
    let of_us = |run_dir: &Path| run_dir.parent() == Some(agents) && !run_dir.exists();
    let found = monitors_of(of_us);
    let what = |pid: &i32| format!("the monitor {pid}, whose run folder is gone");
    let swept = found.iter().map(|pid| told(what(pid), Ok(()))).collect();
    end(found);
    swept
}

/// The processes that are monitors of such run folders: `EXE monitor RUN_DIR`.
fn monitors_of(such: impl Fn(&Path) -> bool) -> Vec<i32> {
    let numbers = folders_in(Path::new("/proc"));
    let numbers = numbers.filter_map(|name| name.to_str()?.parse::<i32>().ok());
    numbers
        .filter(|pid| {
            let line = read_line(*pid).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0).skip(1);
            let verb = words.next();
            let is_monitor = verb == Some(b"monitor") || verb == Some(b"monitor-wait");
            let run_dir = words.next().map(|word| PathBuf::from(OsStr::from_bytes(word)));
            is_monitor && run_dir.is_some_and(|run_dir| such(&run_dir)) && is_roots(*pid)
        })
        .collect()
}

fn read_line(pid: i32) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut line = Vec::new();
    let file = fs::File::open(format!("/proc/{pid}/cmdline"))?;
    file.take(LINE_MAX as u64).read_to_end(&mut line)?;
    Ok(line)
}

/// Anybody may name a process as he likes; a monitor is ours, and in our own process namespace.
fn is_roots(pid: i32) -> bool {
    use std::os::unix::fs::MetadataExt;
    let ours = rustix::process::geteuid().as_raw();
    let owner = fs::metadata(format!("/proc/{pid}")).map(|folder| folder.uid());
    let space = |who: &str| fs::read_link(format!("/proc/{who}/ns/pid"));
    owner.is_ok_and(|owner| owner == ours)
        && matches!((space(&pid.to_string()), space("self")), (Ok(a), Ok(b)) if a == b)
}

fn end(pids: Vec<i32>) {
    for pid in pids.into_iter().filter_map(Pid::from_raw) {
        // Gone already is as good.
        if let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) {
            let _ = pidfd_send_signal(&handle, Signal::KILL);
        }
    }
}

/// Lets go of what is mounted below a folder, and removes it.
fn take_away(folder: &Path) -> Result<(), String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let points = points.map(|point| PathBuf::from(point.replace("\\040", " ")));
    let mut below: Vec<_> = points.filter(|point| point.starts_with(folder)).collect();
    // Later ones may stand on earlier ones.
    below.reverse();
    for point in below {
        unmount(&point, UnmountFlags::DETACH)
            .map_err(|errno| format!("cannot unmount {}: {errno}", point.display()))?;
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn is_among(name: &OsStr, names: &BTreeSet<String>) -> bool {
    name.to_str().is_some_and(|name| names.contains(name))
}

fn folders_in(folder: &Path) -> impl Iterator<Item = OsString> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.file_name())
}

#[cfg(test)]
mod tests;
