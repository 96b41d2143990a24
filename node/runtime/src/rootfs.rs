//! The agent's root file system: image layers, read-only, under one overlay.
//!
//! Everything is mounted in a private mount namespace, so that all of it vanishes with the
//! container, whatever happens. It never writes to a layer. Called by `monitor/build.rs`.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change,
    mount_move, move_mount, open_tree,
};

use crate::launch::Launch;
use crate::record;
use crate::userns::Ids;

/// Why there is no root file system.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// A layer of the image is not there.
    #[error("image layer {path} is missing; import the image again")]
    Layer {
        /// The layer's folder.
        path: PathBuf,
        /// Why it cannot be opened.
        source: io::Error,
    },
    /// The kernel refused a mount, or a folder for one.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel has no overlayfs.
    #[error("this kernel has no overlayfs; load the module 'overlay' or use a kernel with it")]
    NoOverlay,
    /// The kernel is too old for layers of which it maps the ids.
    #[error(
        "this kernel cannot map the ids of image layers, which takes Linux 5.19; leave \
         user_namespace out, or use a newer kernel"
    )]
    NoIds,
    /// The names of the layers do not fit into one mount call.
    #[error("the paths of {layers} image layers are {bytes} bytes; the kernel takes {MAX_OPTIONS}")]
    TooLong {
        /// How many layers.
        layers: usize,
        /// The length of their paths together.
        bytes: usize,
    },
}

/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// One page, less the terminating zero.
const MAX_OPTIONS: usize = 4095;

fn failed<E: Into<io::Error>>(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> RootfsError {
    let path = path.to_owned();
    move |source| RootfsError::Io { operation, path, source: source.into() }
}

/// Mounts the agent's root below `base` and returns where. The caller is in a mount namespace of its own
/// that is detached from the host's.
///
/// # Errors
/// A layer is missing, or the kernel refuses a mount.
pub fn assemble(
    run_dir: &Path,
    base: &Path,
    launch: &Launch,
    ids: Option<&Ids>,
) -> Result<PathBuf, RootfsError> {
    for lower in &launch.lowers {
        let opened = File::open(lower).and_then(|dir| match dir.metadata()?.is_dir() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        });
        opened.map_err(|source| RootfsError::Layer { path: lower.clone(), source })?;
    }
    let skeleton = make_skeleton(run_dir, &launch.hostname, ids)?;
    let target = base.join(record::ROOTFS);
    make_folder(&target)?;
    let mut options = match ids {
        Some(ids) => lowerdir(&lend_layers(run_dir, &launch.lowers, ids)?, &skeleton)?,
        None => lowerdir(&launch.lowers, &skeleton)?,
    };
    if !launch.read_only_root || needs_mount_points(launch) {
        options.push_str(&writable_layer(&target, ids)?);
    }
    if options.len() > MAX_OPTIONS {
        return Err(RootfsError::TooLong { layers: launch.lowers.len(), bytes: options.len() });
    }
    match overlay(&target, &options) {
        // What it is otherwise never refused for.
        Err(RootfsError::Io { source, .. })
            if ids.is_some() && source.raw_os_error() == Some(nix::libc::EINVAL) =>
        {
            Err(RootfsError::NoIds)
        }
        done => done.map(|()| target),
    }
}

/// Lets go of the host's mounts: from here on nothing that is mounted is seen by the host.
///
/// # Errors
/// The kernel refuses.
pub fn detach() -> Result<(), RootfsError> {
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", slave).map_err(failed("detach from the host's mounts", Path::new("/")))
}

/// A place that the container's own root, who is nobody on the host, can reach: over the control
/// groups, which must have been put aside.
///
/// # Errors
/// The kernel refuses.
pub fn make_reachable() -> Result<PathBuf, RootfsError> {
    let place = Path::new(CGROUPS);
    mount("tmpfs", place, "tmpfs", MountFlags::NODEV, Some(c"mode=755"))
        .map_err(failed("mount memory on", place))?;
    Ok(place.to_owned())
}

/// The layers as the container's ids see them. Overlayfs takes such layers since Linux 5.19.
fn lend_layers(run_dir: &Path, lowers: &[PathBuf], ids: &Ids) -> Result<Vec<PathBuf>, RootfsError> {
    let place = run_dir.join(record::LOWERS);
    make_folder(&place)?;
    let mut lent = Vec::new();
    for (number, lower) in lowers.iter().enumerate() {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, lower, flags).map_err(failed("take hold of", lower))?;
        ids.lend(tree.as_fd(), false).map_err(failed("map the ids of", lower))?;
        let layer = place.join(number.to_string());
        make_folder(&layer)?;
        move_mount(&tree, "", CWD, &layer, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(failed("mount", &layer))?;
        lent.push(layer);
    }
    Ok(lent)
}

/// Whether mount points must be made that the image may lack. They are made in a layer of changes, by
/// paths that stay within the root; a read-only root is made so afterwards.
fn needs_mount_points(launch: &Launch) -> bool {
    let has_its_own =
        |target: &Path| ["/dev", "/run", "/tmp"].iter().any(|own| target.starts_with(own));
    launch.volumes.iter().any(|volume| !has_its_own(volume.target()))
}

fn overlay(target: &Path, options: &str) -> Result<(), RootfsError> {
    let options = std::ffi::CString::new(options)
        .map_err(|error| failed("mount the root file system on", target)(io::Error::from(error)))?;
    let flags = MountFlags::NODEV;
    match mount("overlay", target, "overlay", flags, Some(options.as_c_str())) {
        Err(rustix::io::Errno::NODEV) => Err(RootfsError::NoOverlay),
        done => done.map_err(failed("mount the root file system on", target)),
    }
}

/// Topmost first, the skeleton at the very bottom, so that whatever the image has wins.
fn lowerdir(lowers: &[PathBuf], skeleton: &Path) -> Result<String, RootfsError> {
    let mut options = String::from("lowerdir=");
    for path in lowers.iter().rev().map(PathBuf::as_path).chain([skeleton]) {
        let text = path.to_str().ok_or_else(|| {
            failed("use the name of", path)(io::Error::from(io::ErrorKind::InvalidFilename))
        })?;
        if !options.ends_with('=') {
            options.push(':');
        }
        for character in text.chars() {
            if matches!(character, '\\' | ':' | ',') {
                options.push('\\');
            }
            options.push(character);
        }
    }
    Ok(options)
}

/// Changes live in memory, which counts towards the agent's limit, and end with the container.
fn writable_layer(target: &Path, ids: Option<&Ids>) -> Result<String, RootfsError> {
    mount("tmpfs", target, "tmpfs", MountFlags::NODEV, Some(c"mode=700"))
        .map_err(failed("mount memory for changes on", target))?;
    let (upper, work) = (target.join("upper"), target.join("work"));
    make_folder(&upper)?;
    if let Some((uid, gid)) = ids.map(|ids| ids.on_host(0, 0)) {
        chown(&upper, Some(uid), Some(gid)).map_err(failed("give away", &upper))?;
    }
    make_folder(&work)?;
    Ok(format!(",upperdir={},workdir={}", upper.display(), work.display()))
}

/// Mount points and files that an image may lack; the root file system cannot grow them later.
fn make_skeleton(
    run_dir: &Path,
    hostname: &str,
    ids: Option<&Ids>,
) -> Result<PathBuf, RootfsError> {
    let (uid, gid) = ids.map(|ids| ids.on_host(0, 0)).unzip();
    let give = |path: &Path| chown(path, uid, gid).map_err(failed("give away", path));
    let skeleton = run_dir.join(record::SKELETON);
    make_folder(&skeleton)?;
    for name in ["dev", "etc", "proc", "run", "sys", "tmp"] {
        let path = skeleton.join(name);
        make_folder(&path)?;
        give(&path)?;
    }
    give(&skeleton)?;
    let files = [
        ("etc/hostname", format!("{hostname}\n")),
        ("etc/hosts", format!("127.0.0.1 localhost\n::1 localhost\n127.0.0.1 {hostname}\n")),
    ];
    for (name, content) in files {
        let path = skeleton.join(name);
        File::create(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(failed("write", &path))?;
        give(&path)?;
    }
    Ok(skeleton)
}

fn make_folder(path: &Path) -> Result<(), RootfsError> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("make", path)(error))
        }
        _ => Ok(()),
    }
}

/// Puts the control group hierarchies of this mount namespace where libcontainer does not look.
///
/// It then finds no hierarchy to use and leaves the process in the groups it is in. It would
/// otherwise write each group's `cgroup.procs`, up to 12 of them, which costs more time than
/// everything else it does. They are moved, not unmounted, as that waits for every processor; the
/// container loses them with all the host's mounts when it leaves the host's root.
///
/// # Errors
/// The kernel refuses.
pub fn hide_cgroups(run_dir: &Path) -> Result<(), RootfsError> {
    let (usual, mounts) = (Path::new(CGROUPS), Path::new("/proc/self/mounts"));
    let table = std::fs::read_to_string(mounts).map_err(failed("read", mounts))?;
    let hidden = run_dir.join(record::HIDDEN);
    make_folder(&hidden)?;
    for (number, line) in table.lines().enumerate() {
        let mut fields = line.split(' ').skip(1);
        if let (Some(at), Some("cgroup")) = (fields.next(), fields.next()) {
            let place = hidden.join(number.to_string());
            make_folder(&place)?;
            mount_move(at, &place).map_err(failed("put aside", Path::new(at)))?;
        }
    }
    mount("tmpfs", usual, "tmpfs", MountFlags::RDONLY, None).map_err(failed("cover", usual))
}

#[cfg(test)]
mod tests;
