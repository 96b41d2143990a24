//! The control groups of a container, in every hierarchy that is mounted, by one absolute path.
//!
//! Unlike an agent's group (`crate::cgroup`), it may exist already and hold others' processes, and
//! takes all that the specification knows. What is to be written is decided in `cgroup/plan.rs`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

mod devices;
mod plan;
mod resources;

pub use resources::Resources;

use super::{Result, refused, system};
use crate::cgroup::{depth_first, pids_in, put, remove_folder};

/// One container's folder in each hierarchy.
#[derive(Debug, Clone)]
pub struct Tree {
    v2: bool,
    dirs: Vec<Dir>,
}

#[derive(Debug, Clone)]
struct Dir {
    controllers: Vec<String>,
    mount: PathBuf,
    path: PathBuf,
}

impl Tree {
    /// The groups at an absolute path, whether or not they exist.
    pub fn at(path: &Path) -> Result<Self> {
        let table = std::fs::read_to_string("/proc/self/mounts");
        let table = table.map_err(system("cannot read /proc/self/mounts"))?;
        let below = path.strip_prefix("/").unwrap_or(path);
        let mut dirs = Vec::new();
        for line in table.lines() {
            let mut fields = line.split(' ').skip(1);
            let (Some(mount), Some(kind), Some(options)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let controllers = match kind {
                "cgroup" => controllers_of(options),
                "cgroup2" => vec!["unified".to_owned()],
                _ => continue,
            };
            let mount = PathBuf::from(mount);
            if dirs.iter().any(|dir: &Dir| dir.controllers == controllers) {
                continue;
            }
            dirs.push(Dir { controllers, path: mount.join(below), mount });
        }
        if dirs.is_empty() {
            return refused("no control group file system is mounted");
        }
        let v2 = dirs.iter().all(|dir| dir.is_unified());
        Ok(Self { v2, dirs })
    }

    /// Whether there is one hierarchy, of version 2.
    pub fn is_v2(&self) -> bool {
        self.v2
    }

    /// On version 2, where the hierarchy is mounted.
    pub fn unified_mount(&self) -> Option<&Path> {
        self.dirs.iter().find(|_| self.v2).map(|dir| dir.mount.as_path())
    }

    /// The folder with a controller's files.
    pub fn dir_of(&self, controller: &str) -> Option<&Path> {
        let has = |dir: &&Dir| {
            if self.v2 { true } else { dir.controllers.iter().any(|known| known == controller) }
        };
        self.dirs.iter().find(has).map(|dir| dir.path.as_path())
    }

    /// On version 2, the folder to clone a child into.
    pub fn unified(&self) -> Option<&Path> {
        self.dirs.iter().find(|_| self.v2).map(|dir| dir.path.as_path())
    }

    /// Makes the groups that do not exist yet.
    pub fn create(&self) -> Result<()> {
        for dir in &self.dirs {
            let below = dir.path.strip_prefix(&dir.mount).unwrap_or_else(|_| Path::new(""));
            let mut here = dir.mount.clone();
            for part in below.components() {
                if self.v2 {
                    hand_down(&here);
                }
                here.push(part);
                match std::fs::create_dir(&here) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => {
                        let shown = here.display();
                        return Err(system(format!("cannot make control group {shown}"))(error));
                    }
                }
                if dir.controllers.iter().any(|name| name == "cpuset") {
                    inherit_processors(&here)?;
                }
            }
        }
        Ok(())
    }

    /// Moves a process into those groups that it is not in yet.
    pub fn take_in(&self, pid: i32) -> Result<()> {
        for dir in &self.dirs {
            let file = dir.path.join("cgroup.procs");
            let inside = pids_in(&dir.path).is_ok_and(|pids| pids.contains(&pid));
            if !inside && let Err(error) = put(&file, &pid.to_string()) {
                // Beside version 1 hierarchies, this one limits nothing.
                if dir.is_unified() && !self.v2 {
                    continue;
                }
                return Err(system(format!("cannot write {}", file.display()))(error));
            }
        }
        Ok(())
    }

    /// Moves the calling process, which has one thread, into the groups, or groups below them.
    pub fn join(&self, places: &Places) -> Result<()> {
        for dir in &self.dirs {
            let path = dir.path.join(places.of(&dir.controllers));
            if dir.is_unified() && !self.v2 && !path.is_dir() {
                continue;
            }
            let file = path.join(if dir.is_unified() { "cgroup.procs" } else { "tasks" });
            match put(&file, "0") {
                Err(_) if dir.is_unified() && !self.v2 => {}
                done => done.map_err(system(format!(
                    "adding pid {} to cgroups failed: {}",
                    std::process::id(),
                    path.join("cgroup.procs").display()
                )))?,
            }
        }
        Ok(())
    }

    /// Sets limits, and checks that they are in force.
    pub fn apply(&self, resources: &Resources) -> Result<()> {
        plan::apply(self, resources)
    }

    /// Allows the devices of the rules, and the ordinary ones.
    pub fn restrict_devices(&self, resources: &Resources) -> Result<()> {
        match (self.v2, self.dir_of("devices")) {
            (true, Some(dir)) => devices::attach(dir, &resources.devices),
            (false, Some(dir)) => devices::write(dir, &resources.devices),
            (_, None) => refused("devices cannot be restricted: no devices controller is mounted"),
        }
    }

    /// The processes in the groups and below, each once.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        for dir in &self.dirs {
            for folder in depth_first(&dir.path) {
                let found = pids_in(&folder);
                let failed = system(format!("cannot list processes of {}", folder.display()));
                pids.extend(
                    found
                        .or_else(|error| match error.raw_os_error() {
                            // A threaded group lists threads only.
                            Some(nix::libc::EOPNOTSUPP | nix::libc::ENODEV) => Ok(Vec::new()),
                            _ => Err(error),
                        })
                        .map_err(failed)?,
                );
            }
        }
        pids.sort_unstable();
        pids.dedup();
        pids.retain(|pid| *pid > 0);
        Ok(pids)
    }

    fn freezer(&self) -> Option<(PathBuf, bool)> {
        let file = if self.v2 { "cgroup.freeze" } else { "freezer.state" };
        let file = self.dir_of("freezer")?.join(file);
        file.exists().then_some((file, self.v2))
    }

    /// Whether the processes are stopped, or are being stopped.
    pub fn is_frozen(&self) -> bool {
        let Some((file, v2)) = self.freezer() else { return false };
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if v2 { text.trim() == "1" } else { text.starts_with("FR") }
    }

    /// Stops all processes at once, or lets them go on; waits until it has come about.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let Some((file, v2)) = self.freezer() else {
            return refused("cannot pause: no freezer is in this kernel's control groups");
        };
        let word = match (v2, frozen) {
            (true, true) => "1",
            (true, false) => "0",
            (false, true) => "FROZEN",
            (false, false) => "THAWED",
        };
        let failed = || format!("unable to freeze: {}", file.display());
        let began = Instant::now();
        loop {
            put(&file, word).map_err(system(failed()))?;
            let done = if v2 {
                let events = file.with_file_name("cgroup.events");
                let events = std::fs::read_to_string(events).unwrap_or_default();
                events.lines().any(|line| line == format!("frozen {word}"))
            } else {
                std::fs::read_to_string(&file).unwrap_or_default().trim() == word
            };
            if done {
                return Ok(());
            }
            if began.elapsed() > Duration::from_secs(10) {
                let _ = put(&file, if v2 { "0" } else { "THAWED" });
                return refused(failed());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal to every process in the groups.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        let was_frozen = self.is_frozen();
        // Frozen, so that nothing forks faster than it is told.
        let frozen = was_frozen || self.freeze(true).is_ok();
        for pid in self.pids()? {
            let Some(pid) = Pid::from_raw(pid) else { continue };
            let Ok(handle) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            else {
                continue;
            };
            use std::os::fd::AsFd;
            // Gone already is as good.
            let _ = crate::sys::send_signal(handle.as_fd(), signal);
        }
        if frozen && (!was_frozen || signal == Signal::KILL.as_raw()) {
            let _ = self.freeze(false);
        }
        Ok(())
    }

    /// Kills whatever is left, and waits until nothing is.
    pub fn kill(&self, patience: Duration) -> Result<()> {
        let began = Instant::now();
        let mut pause = Duration::from_micros(200);
        while !self.pids()?.is_empty() {
            if began.elapsed() >= patience {
                return refused("container's processes are still there after they were killed");
            }
            let killer = self.unified().map(|dir| dir.join("cgroup.kill"));
            if killer.is_none_or(|file| put(&file, "1").is_err()) {
                for pid in self.pids()?.into_iter().filter_map(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            if self.is_frozen() {
                let _ = self.freeze(false);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Removes the groups, those below first. Goes on after a failure.
    pub fn remove(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for dir in self.dirs.iter().filter(|dir| dir.path != dir.mount) {
            for folder in depth_first(&dir.path) {
                if let Err(error) = remove_folder(&folder) {
                    errors.push(format!("cannot remove {}: {error}", folder.display()));
                }
            }
        }
        errors
    }
}

/// Groups below a container's, in which a program is to run.
#[derive(Debug, Default)]
pub struct Places(Vec<(Vec<String>, PathBuf)>);

impl Places {
    /// Reads `[CONTROLLER,…:]PATH`, once for each hierarchy that is meant; the first without
    /// controllers is for all others.
    pub fn new<'a>(words: impl Iterator<Item = &'a str>, tree: &Tree) -> Result<Self> {
        let mut places = Vec::new();
        for word in words {
            let (controllers, path) = match word.split_once(':') {
                Some((names, path)) if !tree.v2 => (names, path),
                Some(_) => return refused(format!("{word}: there are no controllers to name")),
                None => ("", word),
            };
            let below = Path::new(path.trim_start_matches('/'));
            if below.components().any(|part| part == std::path::Component::ParentDir) {
                return refused(format!("bad sub cgroup path: {path} is not a sub cgroup path"));
            }
            let controllers = controllers.split(',').filter(|name| !name.is_empty());
            let controllers: Vec<String> = controllers.map(str::to_owned).collect();
            for name in &controllers {
                if !tree.dirs.iter().any(|dir| dir.controllers.contains(name)) {
                    return refused(format!("unknown controller {name} in --cgroup"));
                }
            }
            places.push((controllers, below.to_owned()));
        }
        Ok(Self(places))
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder below the one with these controllers.
    pub fn of(&self, controllers: &[String]) -> &Path {
        let named = self.0.iter().find(|(names, _)| names.iter().any(|n| controllers.contains(n)));
        let named = named.or_else(|| self.0.iter().find(|(names, _)| names.is_empty()));
        named.map_or_else(|| Path::new(""), |(_, path)| path)
    }
}

impl Dir {
    fn is_unified(&self) -> bool {
        self.controllers == ["unified"]
    }
}

/// The controllers among the options of a version 1 mount; its name, if it has none.
fn controllers_of(options: &str) -> Vec<String> {
    let flags =
        ["rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime", "xattr", "clone_children"];
    let named = options.split(',').filter(|option| !flags.contains(option));
    let named = named.filter(|option| !option.starts_with("release_agent"));
    named.map(str::to_owned).collect()
}

/// Enables every controller there is in the groups below; what cannot be handed down is missed when
/// a limit needs it.
fn hand_down(dir: &Path) {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    let enabled = read("cgroup.subtree_control");
    for name in read("cgroup.controllers").split_ascii_whitespace() {
        if !enabled.split_ascii_whitespace().any(|has| has == name) {
            let _ = put(&dir.join("cgroup.subtree_control"), &format!("+{name}"));
        }
    }
}

/// On version 1 a new group has no processors and no memory until it is told which.
fn inherit_processors(dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = dir.join(file);
        let has = std::fs::read_to_string(&own).unwrap_or_default();
        if !has.trim().is_empty() {
            continue;
        }
        let above = dir.parent().map(|parent| parent.join(file));
        let given = above.and_then(|above| std::fs::read_to_string(above).ok()).unwrap_or_default();
        put(&own, given.trim()).map_err(system(format!("cannot write {}", own.display())))?;
    }
    Ok(())
}
