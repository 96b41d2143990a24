//! A place for one test: a folder and a cgroup parent, both gone afterwards with all they held.
//!
//! It ends processes in its own cgroup and those whose command line names its own folder, and
//! unmounts what is mounted below that folder; nothing else. `SKERRY_TEST_KEEP=1` keeps the folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Where cgroup hierarchies are mounted: one (v2), or one a controller (v1, hybrid).
const CGROUPS: &str = "/sys/fs/cgroup";

/// How long monitors get to leave by themselves after their containers were killed.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long killed processes get to die: each needs a processor for that, and a busy machine may not have
/// one for seconds. A cgroup with one of them cannot be removed.
const DYING: Duration = Duration::from_secs(30);

/// A folder and a cgroup parent for one test. All of it goes when this value does.
#[derive(Debug)]
pub struct Scratch {
    folder: Option<TempDir>,
    path: PathBuf,
    cgroup: String,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// Makes the folder and chooses the cgroup's name. The cgroup appears with the first container.
    ///
    /// # Panics
    /// When the folder can't be made.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::Builder::new().prefix("skerry-").tempdir();
        let folder = folder.expect("a temporary folder for the test");
        let path = folder.path().canonicalize().expect("the temporary folder's real path");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("/skerry-test-{}-{count}", std::process::id());
        Self { folder: Some(folder), path, cgroup }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cgroup parent, as an absolute path in each hierarchy.
    #[must_use]
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// A folder inside, made now.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// A file inside, written now.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        let parent = path.parent().expect("a file inside the scratch folder has a parent");
        fs::create_dir_all(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Every process in the cgroup parent or below it, whichever the hierarchy.
    #[must_use]
    pub fn contained(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.cgroups().iter().flat_map(|group| pids_of(group)).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Kills every process in the cgroup parent or below it; monitors see it and leave.
    pub fn end_contained(&self) {
        self.contained().into_iter().for_each(kill);
    }

    /// The parent and everything below it, in each hierarchy, the deepest first.
    fn cgroups(&self) -> Vec<PathBuf> {
        let name = self.cgroup.trim_start_matches('/');
        let mut roots = vec![Path::new(CGROUPS).join(name)];
        roots.extend(folders_in(Path::new(CGROUPS)).map(|hierarchy| hierarchy.join(name)));
        let mut found = Vec::new();
        for root in roots.into_iter().filter(|root| root.is_dir()) {
            collect_depth_first(&root, &mut found);
        }
        found
    }

    /// Processes whose command line names the folder: nodes and monitors that a test left behind.
    fn named(&self) -> Vec<u32> {
        let needle = self.path.to_string_lossy().into_owned();
        let own = std::process::id();
        let numbers = folders_in(Path::new("/proc"))
            .filter_map(|entry| entry.file_name()?.to_str()?.parse::<u32>().ok());
        numbers
            .filter(|pid| *pid != own)
            .filter(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains(&needle)
            })
            .collect()
    }

    fn end_processes(&self) {
        for group in self.cgroups() {
            // A frozen process dies only when thawed (v1).
            let _ = fs::write(group.join("freezer.state"), "THAWED");
        }
        let start = Instant::now();
        loop {
            let contained = self.contained();
            let late = start.elapsed() > PATIENCE;
            let named = self.named();
            if (contained.is_empty() && named.is_empty()) || start.elapsed() > PATIENCE + DYING {
                return;
            }
            contained.iter().for_each(|pid| kill(*pid));
            if late {
                named.iter().for_each(|pid| kill(*pid));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn unmount_all(&self) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let mut below: Vec<PathBuf> =
            points.filter(|point| point.starts_with(&self.path)).collect();
        // Later mounts may stand on earlier ones.
        below.reverse();
        for point in below {
            let _ = unmount(&point, UnmountFlags::DETACH);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.end_processes();
        self.unmount_all();
        for group in self.cgroups() {
            let _ = fs::remove_dir(group);
        }
        if let Some(folder) = self.folder.take() {
            if std::env::var_os("SKERRY_TEST_KEEP").is_some() {
                println!("kept for a look: {}", folder.keep().display());
            } else if let Err(error) = folder.close() {
                // Not a panic: that would hide the failure which brought us here.
                println!("could not remove the scratch folder: {error}");
            }
        }
    }
}

fn folders_in(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}

fn collect_depth_first(folder: &Path, into: &mut Vec<PathBuf>) {
    for child in folders_in(folder) {
        collect_depth_first(&child, into);
    }
    into.push(folder.to_owned());
}

fn pids_of(group: &Path) -> Vec<u32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests;
