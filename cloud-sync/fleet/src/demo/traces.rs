//! What the demo leaves on the machine, by the kernel's word: processes, mounts, control groups. It
//! recognises them by the temporary folder's name and the control group's, and removes no others.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal};

/// How long killed processes may take to be gone.
const GONE_MAX: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
/// Where control groups are, in version 1 (a folder for each controller) and 2.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Everything that is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    dir: PathBuf,
    cgroup: String,
    /// Processes that name the folder on their command line, or live in the control group.
    pub processes: Vec<u32>,
    /// Mounts below the folder.
    pub mounts: Vec<PathBuf>,
    /// Control groups of the node and its agents, once for each controller, each before those below.
    pub cgroups: Vec<PathBuf>,
}

impl Traces {
    /// Looks.
    pub fn of(dir: &Path, cgroup: &str) -> Self {
        let mut cgroups = Vec::new();
        let name = cgroup.trim_start_matches('/');
        let mut roots = vec![PathBuf::from(CGROUPS)];
        roots.extend(folders(Path::new(CGROUPS)));
        for root in roots {
            let parent = root.join(name);
            if parent.is_dir() {
                cgroups.push(parent.clone());
                below(&parent, &mut cgroups);
            }
        }
        let mut processes = by_command_line(dir);
        for group in &cgroups {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            processes.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        processes.sort_unstable();
        processes.dedup();
        let (dir, cgroup) = (dir.to_owned(), cgroup.to_owned());
        let mounts = mounts_below(&dir);
        Self { dir, cgroup, processes, mounts, cgroups }
    }

    /// Whether nothing is left.
    pub fn is_clean(&self) -> bool {
        self.processes.is_empty() && self.mounts.is_empty() && self.cgroups.is_empty()
    }

    /// Removes everything, and returns what could not be removed.
    pub async fn remove(self) -> Vec<String> {
        let end = tokio::time::Instant::now() + GONE_MAX;
        let mut left = self;
        while !left.processes.is_empty() && tokio::time::Instant::now() < end {
            for pid in &left.processes {
                if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                    // One that has gone meanwhile is what was wanted.
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
            tokio::time::sleep(LOOK).await;
            left = Self::of(&left.dir, &left.cgroup);
        }
        let mut problems: Vec<_> =
            left.processes.iter().map(|pid| format!("process {pid} is still there")).collect();
        for mount in left.mounts.iter().rev() {
            if let Err(error) = rustix::mount::unmount(mount, UnmountFlags::DETACH) {
                problems.push(format!("cannot unmount {}: {error}", mount.display()));
            }
        }
        for group in left.cgroups.iter().rev() {
            if let Err(error) = fs::remove_dir(group)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                problems.push(format!("cannot remove {}: {error}", group.display()));
            }
        }
        problems
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

/// All folders below a folder, each before those below it.
fn below(path: &Path, found: &mut Vec<PathBuf>) {
    let mut waiting = folders(path);
    while let Some(folder) = waiting.pop() {
        waiting.extend(folders(&folder));
        found.push(folder);
    }
}

fn by_command_line(dir: &Path) -> Vec<u32> {
    let name = dir.as_os_str().as_encoded_bytes();
    let own = std::process::id();
    let names = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(name.len()).any(|part| part == name)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own && names(*pid)).collect()
}

/// Mounts at or below a folder, in the order in which they were made.
fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let point = |line: &str| line.split(' ').nth(4).map(PathBuf::from);
    table.lines().filter_map(point).filter(|point| point.starts_with(dir)).collect()
}
