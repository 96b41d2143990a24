//! Control groups of version 1, hybrid and version 2, addressed by one absolute path.
//!
//! Makes, joins, limits, kills and removes the group of one agent. It never trusts a write: limits
//! are read back (`cgroup/limits.rs`). It never touches a group other than the one named. What a
//! kernel can do is decided in `cgroup/kernel.rs`; devices are in `cgroup/devices.rs`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cgroups_rs::freezer::FreezerController;
use rustix::process::{Pid, Signal, kill_process};

mod devices;
mod kernel;
mod late;
mod limits;
mod place;
mod stats;

pub use devices::DeviceError;
pub use kernel::{Controller, Kernel, Version};
pub use limits::InForce;
pub use place::{Place, try_place};
pub use stats::Stats;

use crate::devices::Node;
use crate::launch::Limits;

/// Why a control group cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No usable hierarchy is mounted.
    #[error("no control group file system is mounted; mount cgroup2 on /sys/fs/cgroup")]
    NotMounted,
    /// This kernel lacks what a limit needs.
    #[error(
        "{limit} cannot be enforced: {controller} controller is not enabled in this kernel; {advice}"
    )]
    Missing {
        /// The limit asked for.
        limit: &'static str,
        /// The controller it needs.
        controller: Controller,
        /// What would help.
        advice: &'static str,
    },
    /// A file or folder of the hierarchy refused.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel took a limit and then reports another.
    #[error("{limit} was set to {wanted} but the kernel reports {found} in {path}")]
    NotInForce {
        /// Which limit.
        limit: &'static str,
        /// What was set.
        wanted: String,
        /// What was read back.
        found: String,
        /// The file.
        path: PathBuf,
    },
    /// This kernel cannot do what a limit needs.
    #[error("{limit} cannot be enforced: {why}")]
    Unsupported {
        /// The limit asked for.
        limit: &'static str,
        /// Why not, and what would help.
        why: String,
    },
    /// Another container lives in this group.
    #[error("control group {path} already holds processes")]
    Occupied {
        /// The group's folder.
        path: PathBuf,
    },
    /// Processes would not die.
    #[error("processes in {path} are still there {waited_ms} ms after they were killed")]
    Survivors {
        /// The group's folder.
        path: PathBuf,
        /// How long was waited.
        waited_ms: u128,
    },
    /// Devices cannot be restricted.
    #[error(transparent)]
    Devices(#[from] DeviceError),
}

/// What the kernel said, out of what the library made of it.
fn said(error: &cgroups_rs::error::Error) -> io::Error {
    let cause = std::error::Error::source(error);
    let kernel = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match kernel.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.to_owned();
    move |source| CgroupError::Io { operation, path, source }
}

/// One agent's control group: one folder on version 2, one per controller on version 1.
#[derive(Debug, Clone)]
pub struct Group {
    version: Version,
    /// Which controllers are found in which folder.
    dirs: Vec<(Vec<Controller>, PathBuf)>,
}

impl Group {
    /// The group at an absolute path, whether or not it exists.
    pub fn at(kernel: &Kernel, path: &Path) -> Self {
        let below = path.strip_prefix("/").unwrap_or(path);
        let dirs = kernel.hierarchies().iter();
        let dirs = dirs.map(|h| (h.controllers.clone(), h.mount.join(below))).collect();
        Self { version: kernel.version(), dirs }
    }

    /// Makes the group afresh: a left-over without processes is removed first.
    ///
    /// # Errors
    /// The group holds processes, or the kernel refuses it.
    pub fn create(kernel: &Kernel, path: &Path) -> Result<Self, CgroupError> {
        let group = Self::at(kernel, path);
        for (controllers, dir) in &group.dirs {
            if group.version == Version::V2 {
                kernel.delegate_down_to(path)?;
            } else if late::is_late(controllers) {
                remove_left_over(dir)?;
                continue;
            }
            make(dir)?;
            if group.version != Version::V2 && controllers.contains(&Controller::Cpuset) {
                late::give_processors(dir)?;
            }
        }
        Ok(group)
    }

    /// The folders, for the record; of those made on demand, the ones that there are.
    pub fn paths(&self) -> Vec<PathBuf> {
        let used = |(controllers, dir): &&(Vec<Controller>, PathBuf)| {
            !late::is_late(controllers) || dir.is_dir()
        };
        self.dirs.iter().filter(used).map(|(_, dir)| dir.clone()).collect()
    }

    /// The folder that a controller's files are in.
    pub(crate) fn folder_of(&self, controller: Controller) -> Option<&Path> {
        self.dir_of(controller)
    }

    /// The folder that a controller's files are in.
    fn dir_of(&self, controller: Controller) -> Option<&Path> {
        let found = self.dirs.iter().find(|(has, _)| has.contains(&controller));
        found.map(|(_, dir)| dir.as_path())
    }

    /// On version 2, the open folder to clone a child into; elsewhere `None`, and the child joins
    /// by [`Group::join`].
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub fn clone_target(&self) -> Result<Option<File>, CgroupError> {
        match (self.version, self.dirs.first()) {
            (Version::V2, Some((_, dir))) => File::open(dir).map(Some).map_err(failed("open", dir)),
            _ => Ok(None),
        }
    }

    /// Moves the calling process, which must have one thread, into the group.
    ///
    /// On version 1 it writes 0 to `tasks` rather than a number to `cgroup.procs`: a thread that
    /// moves itself needs not the lock over all forks and exits, which after an idle moment waits
    /// 5 to 10 ms for every processor.
    ///
    /// # Errors
    /// The kernel refuses the move.
    pub fn join(&self) -> Result<(), CgroupError> {
        let file = if self.version == Version::V2 { "cgroup.procs" } else { "tasks" };
        for dir in self.paths() {
            put(&dir.join(file), "0").map_err(failed("join", &dir))?;
        }
        Ok(())
    }

    /// Allows the standard devices and these, and no others; `false` when this kernel cannot.
    ///
    /// # Errors
    /// The kernel has the means and refuses.
    pub(crate) fn restrict_devices(&self, nodes: &[Node]) -> Result<bool, CgroupError> {
        if self.version == Version::V2 {
            let Some((_, dir)) = self.dirs.first() else { return Ok(false) };
            return Ok(devices::attach(dir, nodes)?);
        }
        match self.dir_of(Controller::Devices) {
            Some(dir) => {
                devices::write_rules(dir, nodes)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Sets the limits, lifts all others, and returns what the kernel then reports.
    ///
    /// # Errors
    /// A limit that this kernel cannot enforce, refuses, or reports differently.
    pub fn limit(&self, wanted: &Limits) -> Result<InForce, CgroupError> {
        limits::set(self, wanted)
    }

    /// The processes in the group and below it, each once.
    ///
    /// # Errors
    /// A folder that exists cannot be read.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = Vec::new();
        for (_, dir) in &self.dirs {
            for folder in depth_first(dir) {
                pids.extend(pids_in(&folder).map_err(failed("list the processes of", &folder))?);
            }
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Kills every process in the group and waits until none is left.
    ///
    /// # Errors
    /// Processes are left after `patience`, as when one hangs in the kernel.
    pub fn kill(&self, patience: Duration) -> Result<(), CgroupError> {
        let began = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            self.kill_once()?;
            if self.pids()?.is_empty() {
                return Ok(());
            }
            if began.elapsed() >= patience {
                let path = self.dirs.first().map(|(_, dir)| dir.clone()).unwrap_or_default();
                return Err(CgroupError::Survivors {
                    path,
                    waited_ms: began.elapsed().as_millis(),
                });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn kill_once(&self) -> Result<(), CgroupError> {
        if self.version == Version::V2 {
            for (_, dir) in &self.dirs {
                match put(&dir.join("cgroup.kill"), "1") {
                    Ok(()) => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(failed("kill the processes of", dir)(error)),
                }
            }
        }
        // Frozen, so that nothing forks faster than it is killed.
        let frozen = self.freeze(true);
        for pid in self.pids()?.into_iter().filter_map(Pid::from_raw) {
            // Gone already is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
        if frozen {
            self.freeze(false);
        }
        Ok(())
    }

    fn freeze(&self, frozen: bool) -> bool {
        let Some(dir) = self.dir_of(Controller::Freezer) else { return false };
        let freezer = FreezerController::new(dir.to_owned(), self.version == Version::V2);
        if frozen { freezer.freeze() } else { freezer.thaw() }.is_ok()
    }

    /// Removes the group, groups below it first. Goes on after a failure and returns them all.
    pub fn remove(&self) -> Vec<CgroupError> {
        let mut errors = Vec::new();
        for (_, dir) in &self.dirs {
            for folder in depth_first(dir) {
                if let Err(error) = remove_folder(&folder) {
                    errors.push(failed("remove", &folder)(error));
                }
            }
        }
        errors
    }

    /// How many processes the kernel has killed in this group for want of memory; 0 if unknown.
    pub fn oom_kills(&self) -> u64 {
        stats::oom_kills(self)
    }

    /// What the group uses now; what the kernel does not tell is 0.
    pub fn stats(&self) -> Stats {
        stats::read(self)
    }
}

fn make(dir: &Path) -> Result<(), CgroupError> {
    for _ in 0..3 {
        match std::fs::create_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = dir.parent() {
                    std::fs::create_dir_all(parent).map_err(failed("make", parent))?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => remove_left_over(dir)?,
            Err(error) => return Err(failed("make", dir)(error)),
        }
    }
    std::fs::create_dir(dir).map_err(failed("make", dir))
}

fn remove_left_over(dir: &Path) -> Result<(), CgroupError> {
    for folder in depth_first(dir) {
        if pids_in(&folder).is_ok_and(|pids| !pids.is_empty()) {
            return Err(CgroupError::Occupied { path: folder });
        }
        remove_folder(&folder).map_err(failed("remove left-over", &folder))?;
    }
    Ok(())
}

/// A group stays busy for a moment after its last process was reaped.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    let mut pause = Duration::from_micros(500);
    for _ in 0..12 {
        match std::fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            done => return done,
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    std::fs::remove_dir(folder)
}

/// A folder and those below it, deepest first; empty when it does not exist.
pub(crate) fn depth_first(dir: &Path) -> Vec<PathBuf> {
    let mut found = if dir.is_dir() { vec![dir.to_owned()] } else { Vec::new() };
    let mut next = 0;
    // An agent that may make groups cannot make this walk endless.
    while next < found.len() && found.len() < 10_000 {
        if let Some(entries) = found.get(next).and_then(|folder| std::fs::read_dir(folder).ok()) {
            let folders = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
            found.extend(folders.map(|entry| entry.path()));
        }
        next += 1;
    }
    found.reverse();
    found
}

pub(crate) fn pids_in(folder: &Path) -> io::Result<Vec<i32>> {
    match std::fs::read_to_string(folder.join("cgroup.procs")) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// One write, as control files want it.
pub(crate) fn put(path: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(path)?.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests;
