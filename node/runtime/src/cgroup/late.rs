//! Controllers that a group gets only when a limit needs them: those of processors and of disks.
//!
//! On version 1 each is one more folder to make and to join at every start, and a set of processors
//! that was written down does not grow with the machine. So an agent without such a limit is in
//! neither, and one that gets such a limit while it runs is moved there then.

use std::io;
use std::path::{Path, PathBuf};

use super::{CgroupError, Controller, Group, Version, failed, make, pids_in, put};
use crate::launch::Limits;

/// How often is looked for processes that were forked while others were moved.
const ROUNDS: u32 = 100;

/// Whether a hierarchy is joined only when it is needed.
pub(super) fn is_late(controllers: &[Controller]) -> bool {
    let late = |controller: &Controller| matches!(controller, Controller::Cpuset | Controller::Io);
    controllers.iter().all(late)
}

impl Group {
    /// Gives the group, and what is in it, the controllers that these limits need. To be called
    /// before processes join, or at any later time.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn prepare_for(&self, limits: &Limits) -> Result<(), CgroupError> {
        let wanted = [
            (Controller::Cpuset, "cpuset", limits.cpuset.is_some()),
            (Controller::Io, "io", limits.io_weight.is_some() || !limits.io_devices.is_empty()),
        ];
        for (controller, name, wanted) in wanted {
            let Some(dir) = self.dir_of(controller).filter(|_| wanted) else { continue };
            if self.version == Version::V2 {
                hand_down(dir, name)?;
            } else if !dir.is_dir() {
                make(dir)?;
                if controller == Controller::Cpuset {
                    give_processors(dir)?;
                }
                self.gather(dir)?;
            }
        }
        Ok(())
    }

    /// Moves whatever is in the group into one more of its folders.
    fn gather(&self, dir: &Path) -> Result<(), CgroupError> {
        for _ in 0..ROUNDS {
            let here = pids_in(dir).map_err(failed("list the processes of", dir))?;
            let mut missing = self.pids()?;
            missing.retain(|pid| !here.contains(pid));
            if missing.is_empty() {
                return Ok(());
            }
            for pid in missing {
                match put(&dir.join("cgroup.procs"), &pid.to_string()) {
                    Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
                    done => done.map_err(failed("move a process into", dir))?,
                }
            }
        }
        let busy = io::Error::from(io::ErrorKind::ResourceBusy);
        Err(failed("move all processes into", dir)(busy))
    }
}

/// The groups from below a hierarchy's root down to this one.
fn way_down(dir: &Path) -> Vec<PathBuf> {
    let is_group = |dir: &Path| dir.join("cgroup.procs").exists();
    let groups = dir.ancestors().take_while(|dir| is_group(dir));
    let mut way: Vec<PathBuf> = groups.map(Path::to_owned).collect();
    way.reverse();
    way
}

/// On version 2, every group above hands this controller down.
fn hand_down(dir: &Path, name: &str) -> Result<(), CgroupError> {
    for above in way_down(dir.parent().unwrap_or(dir)) {
        let file = above.join("cgroup.subtree_control");
        let enabled = std::fs::read_to_string(&file).map_err(failed("read", &file))?;
        if !enabled.split_ascii_whitespace().any(|has| has == name) {
            let put = put(&file, &format!("+{name}"));
            put.map_err(failed("enable a controller in", &file))?;
        }
    }
    Ok(())
}

/// A version 1 group takes no process before it has processors and memory: those of its parent.
pub(super) fn give_processors(dir: &Path) -> Result<(), CgroupError> {
    for group in way_down(dir).iter().skip(1) {
        let Some(parent) = group.parent() else { continue };
        for name in ["cpuset.cpus", "cpuset.mems"] {
            let (file, from) = (group.join(name), parent.join(name));
            let read = |file: &Path| std::fs::read_to_string(file).map_err(failed("read", file));
            if read(&file)?.trim().is_empty() {
                put(&file, read(&from)?.trim()).map_err(failed("set", &file))?;
            }
        }
    }
    Ok(())
}
