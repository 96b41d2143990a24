//! What this kernel can enforce: which control group version, which controllers, mounted where.
//!
//! Decides from `/proc/self/mounts` and `cgroup.controllers`; changes nothing, except that on
//! version 2 it hands controllers down the path of a group ([`Kernel::delegate_down_to`]).

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{CgroupError, failed, put};
use crate::launch::Limits;

/// How control groups are set up on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// Only version 1 hierarchies.
    V1,
    /// Version 1 hierarchies carry the controllers, a version 2 hierarchy is mounted beside them.
    Hybrid,
    /// One version 2 hierarchy.
    V2,
}

/// A controller that this crate uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// Memory limit and use.
    Memory,
    /// Processor quota.
    Cpu,
    /// Processor use, on version 1 only.
    Cpuacct,
    /// Number of processes.
    Pids,
    /// Which devices may be opened.
    Devices,
    /// Stopping all processes at once.
    Freezer,
    /// Which processors are used.
    Cpuset,
    /// Use of disks.
    Io,
}

const ALL: [(Controller, &str); 9] = [
    (Controller::Memory, "memory"),
    (Controller::Cpu, "cpu"),
    (Controller::Cpuacct, "cpuacct"),
    (Controller::Pids, "pids"),
    (Controller::Devices, "devices"),
    (Controller::Freezer, "freezer"),
    (Controller::Cpuset, "cpuset"),
    (Controller::Io, "io"),
    // Its name on version 1.
    (Controller::Io, "blkio"),
];

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ALL.iter().find(|(controller, _)| controller == self);
        write!(f, "the {}", name.map_or("unknown", |(_, name)| name))
    }
}

/// One mounted hierarchy and the controllers it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub controllers: Vec<Controller>,
    pub mount: PathBuf,
}

/// What this kernel can enforce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    version: Version,
    hierarchies: Vec<Hierarchy>,
}

impl Kernel {
    /// Looks at the running kernel.
    ///
    /// # Errors
    /// No control group hierarchy with a controller is mounted.
    pub fn probe() -> Result<Self, CgroupError> {
        let mounts = Path::new("/proc/self/mounts");
        let text = std::fs::read_to_string(mounts).map_err(failed("read", mounts))?;
        Self::from_mounts(&text, |mount| {
            std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default()
        })
    }

    /// Decides from the table of mounts; `offered` tells what a version 2 root offers.
    fn from_mounts(text: &str, offered: impl Fn(&Path) -> String) -> Result<Self, CgroupError> {
        let mut v1: Vec<Hierarchy> = Vec::new();
        let mut v2 = None;
        for line in text.lines() {
            let mut fields = line.split(' ').skip(1);
            let (Some(mount), Some(kind), Some(options)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let mount = PathBuf::from(mount);
            match kind {
                "cgroup2" if v2.is_none() => v2 = Some(mount),
                "cgroup" => {
                    let controllers = named(options.split(','));
                    let known = |h: &Hierarchy| h.controllers == controllers;
                    if !controllers.is_empty() && !v1.iter().any(known) {
                        v1.push(Hierarchy { controllers, mount });
                    }
                }
                _ => {}
            }
        }
        match (v1.is_empty(), v2) {
            (false, v2) => {
                let version = if v2.is_some() { Version::Hybrid } else { Version::V1 };
                Ok(Self { version, hierarchies: v1 })
            }
            (true, Some(mount)) => {
                let text = offered(&mount);
                let mut controllers = named(text.split_ascii_whitespace());
                // Part of every version 2 group, with no controller of their own.
                controllers.extend([Controller::Freezer, Controller::Cpuacct]);
                Ok(Self {
                    version: Version::V2,
                    hierarchies: vec![Hierarchy { controllers, mount }],
                })
            }
            (true, None) => Err(CgroupError::NotMounted),
        }
    }

    /// Whether every controller is in the one hierarchy of version 2.
    pub fn is_unified(&self) -> bool {
        self.version() == Version::V2
    }

    /// How control groups are set up.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether a controller can be used.
    pub fn has(&self, controller: Controller) -> bool {
        self.hierarchies.iter().any(|h| h.controllers.contains(&controller))
    }

    /// Refuses limits that this kernel cannot enforce.
    ///
    /// # Errors
    /// The first such limit, and what would help.
    pub fn check(&self, limits: &Limits) -> Result<(), CgroupError> {
        let wants = [
            (limits.memory_bytes.is_some(), "a memory limit", Controller::Memory),
            (limits.cpu_millis.is_some(), "a processor limit", Controller::Cpu),
            (limits.pids.is_some(), "a limit on processes", Controller::Pids),
            (limits.cpu_weight.is_some(), "a processor weight", Controller::Cpu),
            (limits.cpuset.is_some(), "a set of processors", Controller::Cpuset),
            (limits.io_weight.is_some_and(|w| w.required), "a disk weight", Controller::Io),
            (!limits.io_devices.is_empty(), "a limit for a disk", Controller::Io),
        ];
        for (wanted, limit, controller) in wants {
            if wanted && !self.has(controller) {
                return Err(CgroupError::Missing { limit, controller, advice: advice(controller) });
            }
        }
        Ok(())
    }

    pub(super) fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// On version 2, lets every group above `path` hand its controllers down.
    pub(super) fn delegate_down_to(&self, path: &Path) -> Result<(), CgroupError> {
        let Some(hierarchy) = self.hierarchies.first() else { return Ok(()) };
        let mut dir = hierarchy.mount.clone();
        let parents = path.parent().map(Path::components).into_iter().flatten();
        hand_down(&dir)?;
        for part in parents.filter(|part| matches!(part, std::path::Component::Normal(_))) {
            dir.push(part);
            if let Err(error) = std::fs::create_dir(&dir)
                && error.kind() != std::io::ErrorKind::AlreadyExists
            {
                return Err(failed("make", &dir)(error));
            }
            hand_down(&dir)?;
        }
        Ok(())
    }
}

/// Enables in the groups below whatever of ours is available here and is not enabled yet.
fn hand_down(dir: &Path) -> Result<(), CgroupError> {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    let enabled = read("cgroup.subtree_control");
    for name in read("cgroup.controllers").split_ascii_whitespace() {
        if ["memory", "cpu", "pids"].contains(&name)
            && !enabled.split_ascii_whitespace().any(|has| has == name)
        {
            let file = dir.join("cgroup.subtree_control");
            put(&file, &format!("+{name}")).map_err(failed("enable a controller in", &file))?;
        }
    }
    Ok(())
}

fn named<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Controller> {
    names.filter_map(|name| ALL.iter().find(|(_, known)| *known == name)).map(|(c, _)| *c).collect()
}

fn advice(controller: Controller) -> &'static str {
    match controller {
        Controller::Cpuset | Controller::Io => {
            "mount its hierarchy, use a kernel built with it, or leave the limit out"
        }
        Controller::Memory => "boot with cgroup_enable=memory, or leave the limit out",
        _ => "use a kernel built with it, or leave the limit out",
    }
}

#[cfg(test)]
mod tests;
