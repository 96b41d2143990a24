//! Lays out what the contestants need, and takes it away again: the programs built from
//! `native/`, one root file system, bundles, cgroup parents and a tmpfs for everybody's state.
//! It never measures. Next: `race.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, kill_process};

use crate::contestant::Mode;
use crate::cost::running;
use crate::error::Error;
use crate::process::run;
use crate::sandbox::{CGROUP_PARENT, Cgroups, FOLDERS, Join, floor_plan, oci_config};

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// The ground that the contestants stand on; removed when dropped.
pub struct Ground {
    /// Run-time state, on a tmpfs, as /run is on a device.
    pub run: PathBuf,
    /// The root file system and programs, on disk.
    pub data: PathBuf,
    /// Which kind of cgroups the machine has.
    pub cgroups: Cgroups,
}

impl Ground {
    /// Makes the ground afresh, removing what an interrupted run left.
    ///
    /// # Errors
    /// When a folder, the tmpfs, a cgroup or a program cannot be made.
    pub fn lay(native: &Path) -> Result<Self, Error> {
        let v2 = Path::new(CGROUP_ROOT).join("cgroup.controllers").exists();
        let ground = Self {
            run: PathBuf::from("/run/skerry-bench"),
            data: PathBuf::from("/var/tmp/skerry-bench"),
            cgroups: if v2 { Cgroups::V2 } else { Cgroups::V1 },
        };
        ground.take_away();
        make_dir(&ground.run)?;
        mount("skerry-bench", &ground.run, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)
            .map_err(|e| Error::of("mount a tmpfs on", "/run/skerry-bench", e))?;
        for folder in FOLDERS {
            make_dir(&ground.rootfs().join(folder))?;
        }
        ground.build(native)?;
        ground.make_cgroup_parents()?;
        Ok(ground)
    }

    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.data.join("rootfs")
    }

    /// The probe, as seen on the host.
    pub fn probe(&self) -> PathBuf {
        self.rootfs().join("probe")
    }

    /// Our own copy of the device binary, so that its processes cannot be taken for another's.
    pub fn device(&self) -> PathBuf {
        self.data.join("skerry")
    }

    /// The floor program.
    pub fn floor(&self) -> PathBuf {
        self.data.join("floor")
    }

    /// Writes the floor's plan for a container of this name, and returns where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn plan(&self, join: Join, name: &str) -> Result<PathBuf, Error> {
        let path = self.run.join(name).with_extension("plan");
        write(&path, &floor_plan(self.cgroups, join, &self.rootfs(), name))?;
        Ok(path)
    }

    /// Where programs' error output is kept.
    pub fn errors(&self) -> PathBuf {
        self.run.join("errors")
    }

    /// Writes the bundles of one OCI runtime, one for each mode, and returns their folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn bundles(&self, id: &str) -> Result<PathBuf, Error> {
        let folder = self.run.join("bundles").join(id);
        for mode in [Mode::Once, Mode::Show] {
            let bundle = folder.join(mode.word());
            make_dir(&bundle)?;
            let config = oci_config(&self.rootfs(), id, &["/probe", mode.word()]);
            write(&bundle.join("config.json"), &config.to_string())?;
        }
        Ok(folder)
    }

    /// Writes a bundle whose program waits, below a folder, under a name that is its cgroup's too.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn waiting_bundle(&self, bundles: &Path, name: &str) -> Result<(), Error> {
        let bundle = bundles.join(name);
        make_dir(&bundle)?;
        let config = oci_config(&self.rootfs(), name, &["/probe", "wait"]);
        write(&bundle.join("config.json"), &config.to_string())
    }

    fn build(&self, native: &Path) -> Result<(), Error> {
        let gcc = || {
            let mut command = Command::new("gcc");
            command.args(["-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o"]);
            command
        };
        let bare = ["-nostdlib", "-ffreestanding", "-fno-stack-protector"];
        run(gcc().arg(self.probe()).args(bare).arg(native.join("probe.c")), &self.errors())?;
        run(gcc().arg(self.floor()).arg(native.join("floor.c")), &self.errors())
    }

    fn make_cgroup_parents(&self) -> Result<(), Error> {
        for parent in cgroup_parents() {
            make_dir(&parent)?;
        }
        if self.cgroups == Cgroups::V2 {
            let root = Path::new(CGROUP_ROOT);
            for folder in [root.to_path_buf(), root.join(CGROUP_PARENT)] {
                write(&folder.join("cgroup.subtree_control"), "+cpu +memory +pids")?;
            }
        }
        Ok(())
    }

    /// Removes everything; failures are left for the next run to meet.
    fn take_away(&self) {
        end_what_is_left(&self.device());
        let _ = unmount(&self.run, UnmountFlags::DETACH);
        let _ = std::fs::remove_dir_all(&self.run);
        let _ = std::fs::remove_dir_all(&self.data);
        for parent in cgroup_parents() {
            for group in groups_below(parent).into_iter().rev() {
                // The kernel takes a moment to let go of what was killed.
                let late = Instant::now() + Duration::from_secs(1);
                while group.exists() && std::fs::remove_dir(&group).is_err() {
                    if Instant::now() > late {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.take_away();
    }
}

/// Kills whatever an interrupted run left: processes of our copy of the device binary, and those in
/// our cgroups, which hold nobody else's.
fn end_what_is_left(device: &Path) {
    for pid in running(device).into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
        let _ = kill_process(pid, Signal::KILL);
    }
    for group in cgroup_parents().into_iter().flat_map(groups_below) {
        let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        for pid in text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A cgroup and all below it, each before its children.
fn groups_below(group: PathBuf) -> Vec<PathBuf> {
    let mut groups = vec![group];
    let mut next = 0;
    while let Some(group) = groups.get(next).cloned() {
        next += 1;
        let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
        groups.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    groups
}

/// Our parent cgroup in every hierarchy.
fn cgroup_parents() -> Vec<PathBuf> {
    let root = Path::new(CGROUP_ROOT);
    if root.join("cgroup.controllers").exists() {
        return vec![root.join(CGROUP_PARENT)];
    }
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten();
    hierarchies
        .map(|entry| entry.path())
        .filter(|path| path.join("cgroup.procs").exists())
        .map(|path| path.join(CGROUP_PARENT))
        .collect()
}

/// Makes a folder with its parents.
///
/// # Errors
/// When the system refuses.
pub fn make_dir(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(|e| Error::at("make", path, e))
}

/// Writes a whole file.
///
/// # Errors
/// When the system refuses.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|e| Error::at("write", path, e))
}
