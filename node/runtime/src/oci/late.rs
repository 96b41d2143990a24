//! Binds folders that a container's own root user cannot reach into a user namespace.
//!
//! There libcontainer looks for them as that user, who may not pass through the host's folders. So
//! they are left out of its copy of the configuration, and put in place by a process of the host's
//! root user, at the turn when `createRuntime` hooks run: the root is laid out, and not entered yet.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use super::config::{Config, Mount};
use super::{Result, refused, system};
use crate::sys::{self, Forked};

/// The mounts that have to wait, with sources that are absolute.
pub fn mounts(config: &Config, bundle: &Path) -> Vec<Mount> {
    if !config.has_new("user") {
        return Vec::new();
    }
    let binds = config.mounts.iter().filter(|mount| mount.has("bind") || mount.has("rbind"));
    binds
        .filter_map(|mount| {
            let source = std::fs::canonicalize(bundle.join(&mount.source)).ok()?;
            let closed = |path: &Path| path.metadata().is_ok_and(|stat| stat.mode() & 0o001 == 0);
            let waits = source.ancestors().skip(1).any(closed);
            waits.then(|| Mount { source: source.to_string_lossy().into_owned(), ..mount.clone() })
        })
        .collect()
}

/// Takes the mounts that wait out of libcontainer's copy.
pub fn leave_out(copy: &mut Value, late: &[Mount]) {
    if let Some(mounts) = copy["mounts"].as_array_mut() {
        mounts.retain(|mount| {
            let at = mount["destination"].as_str().unwrap_or_default();
            !late.iter().any(|late| late.destination == at)
        });
    }
}

/// Puts them in place, in the mount namespace of the container's first process.
pub fn place(late: &[Mount], root: &Path, init: i32) -> Result<()> {
    if late.is_empty() {
        return Ok(());
    }
    let sources: Vec<OwnedFd> = late.iter().map(source).collect::<Result<_>>()?;
    let owner = (mapped_root(init, "uid_map")?, mapped_root(init, "gid_map")?);
    let namespace = std::fs::File::open(format!("/proc/{init}/ns/mnt"))
        .map_err(system("cannot open the container's mount namespace"))?;
    // In a child, as the hooks that come after belong to the host's namespace.
    match sys::fork(None).map_err(system("cannot fork"))? {
        Forked::Child => {
            let entered =
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount));
            let done = entered.map_err(system("cannot enter the container's mount namespace"));
            let done = done.and_then(|()| attach(late, &sources, root, owner));
            if let Err(error) = &done {
                eprintln!("{}", super::sentence(error));
            }
            sys::exit_now(i32::from(done.is_err()))
        }
        Forked::Parent(child) => {
            let child = rustix::process::Pid::from_raw(child);
            let ended = rustix::process::waitpid(child, rustix::process::WaitOptions::empty())
                .map_err(system("cannot collect a child"))?;
            match ended.and_then(|(_, status)| status.exit_status()) {
                Some(0) => Ok(()),
                _ => refused("cannot bind folders into the user namespace"),
            }
        }
    }
}

fn source(mount: &Mount) -> Result<OwnedFd> {
    let failed = || format!("cannot bind {}", mount.source);
    let below = mount.has("rbind");
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if below {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(CWD, &mount.source, flags).map_err(system(failed()))?;
    let known = [
        ("ro", nix::libc::MOUNT_ATTR_RDONLY),
        ("nosuid", nix::libc::MOUNT_ATTR_NOSUID),
        ("nodev", nix::libc::MOUNT_ATTR_NODEV),
        ("noexec", nix::libc::MOUNT_ATTR_NOEXEC),
    ];
    let set = known.iter().filter(|(option, _)| mount.has(option));
    let set = set.fold(0, |set, (_, attribute)| set | attribute);
    if set != 0 {
        sys::restrict_mount(tree.as_fd(), set, false).map_err(system(failed()))?;
    }
    Ok(tree)
}

/// Whom the container's root user is on the host.
fn mapped_root(init: i32, file: &str) -> Result<u32> {
    let map = std::fs::read_to_string(format!("/proc/{init}/{file}"));
    let map = map.map_err(system("cannot read the user namespace's map"))?;
    let rows = map.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let mut found = rows.filter_map(|row| match row.as_slice() {
        ["0", host, _] => host.parse().ok(),
        _ => None,
    });
    let found = found.next_back();
    found.map_or_else(|| refused("the user namespace has no root user"), Ok)
}

fn attach(late: &[Mount], sources: &[OwnedFd], root: &Path, owner: (u32, u32)) -> Result<()> {
    let open = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let root = rustix::fs::open(root, open, Mode::empty());
    let root = root.map_err(system("cannot open the root file system"))?;
    // File systems of the user namespace take files of its users only.
    nix::unistd::setfsgid(nix::unistd::Gid::from_raw(owner.1));
    nix::unistd::setfsuid(nix::unistd::Uid::from_raw(owner.0));
    for (mount, source) in late.iter().zip(sources) {
        let failed = || format!("cannot bind {} to {}", mount.source, mount.destination);
        let is_folder = rustix::fs::fstat(source)
            .map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
            .map_err(system(failed()))?;
        let target = target(&root, Path::new(&mount.destination), is_folder);
        let target = target.map_err(system(failed()))?;
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(source, c"", target, c"", flags).map_err(system(failed()))?;
    }
    Ok(())
}

/// The place below the root, which no link leads out of; made if it is not there.
fn target(root: &OwnedFd, path: &Path, is_folder: bool) -> rustix::io::Result<OwnedFd> {
    let find = |path: &Path| {
        openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
    };
    let parts: Vec<_> =
        path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let mut here = PathBuf::from("/");
    for (at, part) in parts.iter().enumerate() {
        let above = find(&here)?;
        here.push(part);
        match find(&here) {
            Err(Errno::NOENT) if is_folder || at + 1 < parts.len() => {
                rustix::fs::mkdirat(&above, part.as_os_str(), Mode::from_raw_mode(0o755))?;
            }
            Err(Errno::NOENT) => {
                let make = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(0o644);
                rustix::fs::openat(&above, part.as_os_str(), make, mode)?;
            }
            found => drop(found?),
        }
    }
    find(&here)
}
