//! Whether agents' groups can be made and limited at one place: for `skerry check`.
//!
//! It makes one empty group as near to the place as folders are, looks at what the kernel puts into
//! it, tries the device filter on it, and removes it. It enables nothing and judges nothing.

use std::io;
use std::path::{Path, PathBuf};

use super::{Controller, Group, Kernel, Version, depth_first, devices, pids_in, put};

/// What was found at the place where agents' groups would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How control groups are set up.
    pub version: Version,
    /// The controllers that the hierarchy has at all.
    pub has: Vec<Controller>,
    /// The lowest folder that exists on the way to the place, in each hierarchy that has a problem.
    pub refused: Option<(PathBuf, i32)>,
    /// On version 2, a group on the way that holds processes itself: it can hand no controller down.
    pub crowded: Option<PathBuf>,
    /// Whether devices can be restricted; an error number where the kernel refuses the attempt.
    pub devices: Result<bool, i32>,
    /// Whether a processor quota can be set; `None` where that shows only in a group with the
    /// controller.
    pub quota: Option<bool>,
    /// Whether swap can be limited with memory; `None` as above.
    pub swap: Option<bool>,
}

/// Looks at the place where the group `path` would be.
pub fn try_place(kernel: &Kernel, path: &Path) -> Place {
    let known = [
        Controller::Memory,
        Controller::Cpu,
        Controller::Cpuacct,
        Controller::Pids,
        Controller::Devices,
        Controller::Freezer,
    ];
    let version = kernel.version();
    let mut place = Place {
        version,
        has: known.into_iter().filter(|controller| kernel.has(*controller)).collect(),
        refused: None,
        crowded: None,
        devices: Ok(false),
        quota: None,
        swap: None,
    };
    let name = format!("skerry-check-{}", std::process::id());
    for (hierarchy, (_, dir)) in kernel.hierarchies().iter().zip(Group::at(kernel, path).dirs) {
        let above = nearest(&hierarchy.mount, &dir);
        if version == Version::V2 {
            place.crowded = crowded(&hierarchy.mount, &above);
        }
        let group = above.join(&name);
        if let Err(error) = std::fs::create_dir(&group) {
            place.refused = Some((above, error.raw_os_error().unwrap_or_default()));
            continue;
        }
        look(&mut place, &hierarchy.controllers, &group);
        for folder in depth_first(&group) {
            let _ = std::fs::remove_dir(folder);
        }
    }
    place
}

/// What the kernel has put into an empty group.
fn look(place: &mut Place, controllers: &[Controller], group: &Path) {
    let has = |file: &str| group.join(file).exists();
    if place.version == Version::V2 {
        place.devices = devices::attach(group, &[]).map_err(|error| errno(&error));
        let given = std::fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
        let given = |name: &str| given.split_ascii_whitespace().any(|has| has == name);
        place.quota = given("cpu").then(|| has("cpu.max"));
        place.swap = given("memory").then(|| has("memory.swap.max"));
        return;
    }
    if controllers.contains(&Controller::Devices) {
        // As a write to the group itself, which nothing is in.
        let tried = put(&group.join("devices.deny"), "a");
        place.devices = tried.map(|()| true).map_err(|e| e.raw_os_error().unwrap_or_default());
    }
    if controllers.contains(&Controller::Cpu) {
        place.quota = Some(has("cpu.cfs_quota_us"));
    }
    if controllers.contains(&Controller::Memory) {
        place.swap = Some(has("memory.memsw.limit_in_bytes"));
    }
}

/// The lowest folder that exists on the way from the hierarchy's root to a group's parent.
fn nearest(mount: &Path, dir: &Path) -> PathBuf {
    let mut ways = dir.ancestors().take_while(|way| way.starts_with(mount));
    ways.find(|way| way.is_dir()).unwrap_or(mount).to_owned()
}

/// A group, other than the machine's root, that would have to hand controllers down and holds
/// processes.
fn crowded(mount: &Path, lowest: &Path) -> Option<PathBuf> {
    let on_the_way = lowest.ancestors().take_while(|way| way.starts_with(mount));
    let mut inner = on_the_way.filter(|way| way.join("cgroup.type").exists());
    inner
        .find(|way| misses_controllers(way) && pids_in(way).is_ok_and(|pids| !pids.is_empty()))
        .map(Path::to_owned)
}

/// Whether a group has controllers of ours that it does not hand down yet.
fn misses_controllers(group: &Path) -> bool {
    let words = |file: &str| std::fs::read_to_string(group.join(file)).unwrap_or_default();
    let (has, hands_down) = (words("cgroup.controllers"), words("cgroup.subtree_control"));
    let ours = has.split_ascii_whitespace().filter(|name| ["memory", "cpu", "pids"].contains(name));
    ours.into_iter().any(|name| !hands_down.split_ascii_whitespace().any(|given| given == name))
}

fn errno(error: &devices::DeviceError) -> i32 {
    let source = std::error::Error::source(error);
    let kernel = source.and_then(|source| source.downcast_ref::<io::Error>());
    kernel.and_then(io::Error::raw_os_error).unwrap_or_default()
}

#[cfg(test)]
mod tests;
