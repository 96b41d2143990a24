//! What of the service that started the node is left behind: its control group, by monitors and
//! agents, and its shelter from the OOM killer, by agents alone.
//!
//! A service manager kills and counts what it finds in a service's group, and agents outlive the node.
//! Only the hierarchies by which a manager follows processes matter here; limits are in
//! [`crate::cgroup`]. Where no manager follows (the group is the root) nothing is done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Moves the calling process, which must have one thread, to where monitors stand: the group of an
/// agent being `BASE/agents/NAME`, that is `BASE/monitors`. A group of another shape says nothing of
/// where monitors should be, and nothing is done.
///
/// # Errors
/// The kernel refuses.
pub fn leave_group(agent: &Path) -> io::Result<()> {
    let Some(place) = place(agent) else { return Ok(()) };
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let names: Vec<&str> = followed(&own).collect();
    if names.is_empty() {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    for mount in names.into_iter().filter_map(|name| mount_of(name, &mounts)) {
        let group = mount.join(&place);
        fs::create_dir_all(&group)?;
        fs::write(group.join("cgroup.procs"), "0")?;
    }
    Ok(())
}

/// Gives up the protection that a node may have been given, so that the kernel, short of memory,
/// takes an agent and not the node.
///
/// # Errors
/// The kernel refuses.
pub fn leave_shelter() -> io::Result<()> {
    let file = "/proc/self/oom_score_adj";
    let sheltered = fs::read_to_string(file)?.trim().parse().is_ok_and(|score: i32| score < 0);
    if sheltered { fs::write(file, "0") } else { Ok(()) }
}

/// Where monitors stand, relative to the root of a hierarchy.
fn place(agent: &Path) -> Option<PathBuf> {
    let agents = agent.parent().filter(|parent| parent.ends_with("agents"))?;
    Some(agents.with_file_name("monitors").strip_prefix("/").ok()?.to_owned())
}

/// The hierarchies by which a manager follows the process whose groups are `own`. Version 2 has no
/// name; a version 1 hierarchy for following has a name and no controller.
fn followed(own: &str) -> impl Iterator<Item = &str> {
    let groups = own.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        (path != "/").then_some(controllers)
    });
    groups.filter(|name| name.is_empty() || name.starts_with("name="))
}

fn mount_of(name: &str, mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (mount, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let found = match kind {
            "cgroup2" => name.is_empty(),
            "cgroup" => !name.is_empty() && options.split(',').any(|option| option == name),
            _ => false,
        };
        found.then(|| PathBuf::from(mount))
    })
}

#[cfg(test)]
mod tests;
