//! What is mounted in an agent besides its image.
//!
//! In three steps, by the builder in its own mount namespace: [`pick`] takes hold of the sources,
//! while it still sees them as the host does; [`check_targets`] looks where the image's links lead;
//! [`stage`] puts the sources, already restricted, in the run folder, and tells libcontainer to
//! mount them from there. Set-user-id files and devices have no effect in any of them. Nothing is
//! ever mounted where the host sees it.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, mount, move_mount, open_tree};
use serde_json::{Value, json};

use crate::launch::{Launch, Mount, Propagation};
use crate::record;
use crate::sys::{self, MountChange};
use crate::userns::Ids;

/// Why something cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The kernel or the file system refused.
    #[error("volumes: cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The source cannot be what it is asked to be.
    #[error("volumes: {path} {why}")]
    Source {
        /// The source on the host.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A link of the image leads to where nothing may be mounted.
    #[error(
        "volumes: {target} leads to {found} by a link in the image, which must stay what it is"
    )]
    Target {
        /// The target of the launch.
        target: PathBuf,
        /// Where it leads.
        found: PathBuf,
    },
}

fn failed<E: Into<io::Error>>(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> VolumeError {
    let path = path.to_owned();
    move |source| VolumeError::Io { operation, path, source: source.into() }
}

/// The most that all handed-over files of an agent hold together.
const FILES_MAX: u64 = 16 << 20;

/// A source that was taken hold of, by its place in the launch.
pub struct Picked(Vec<(usize, OwnedFd)>);

/// Takes hold of every folder and file of the host that is to be mounted.
///
/// # Errors
/// A source is missing, or is not what it should be.
pub fn pick(launch: &Launch, ids: Option<&Ids>) -> Result<Picked, VolumeError> {
    let mut picked = Vec::new();
    for (number, volume) in launch.volumes.iter().enumerate() {
        let fd = match volume {
            Mount::Bind { source, read_only, propagation, create, .. } => {
                pick_bind(source, *read_only, *propagation, *create)?
            }
            Mount::Volume { source, read_only, .. } => pick_volume(source, *read_only)?,
            Mount::Tmpfs { .. } | Mount::Files { .. } => continue,
        };
        if let (Some(ids), Mount::Bind { source, .. } | Mount::Volume { source, .. }) =
            (ids, volume)
        {
            let recursive = matches!(volume, Mount::Bind { .. });
            ids.lend(fd.as_fd(), recursive).map_err(failed("map the ids of", source))?;
        }
        picked.push((number, fd));
    }
    Ok(Picked(picked))
}

fn pick_bind(
    source: &Path,
    read_only: bool,
    propagation: Propagation,
    create: bool,
) -> Result<OwnedFd, VolumeError> {
    if create && !source.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(source)
            .map_err(failed("make", source))?;
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = match open_tree(CWD, source, flags) {
        Err(rustix::io::Errno::NOENT) => {
            let why = "is not there; make it, or set create for a folder to be made";
            return Err(VolumeError::Source { path: source.to_owned(), why });
        }
        tree => tree.map_err(failed("take hold of", source))?,
    };
    check_propagation(source, propagation)?;
    let change = MountChange { recursive: true, read_only, propagation, no_exec: false };
    sys::change_mount(tree.as_fd(), change).map_err(failed("restrict", source))?;
    Ok(tree)
}

fn pick_volume(source: &Path, read_only: bool) -> Result<OwnedFd, VolumeError> {
    let wrong = |why| VolumeError::Source { path: source.to_owned(), why };
    match std::fs::symlink_metadata(source) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(wrong("is no folder; a volume is one")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(wrong("is not there; the volume was not made, or its disk is not mounted"));
        }
        Err(error) => return Err(failed("look at", source)(error)),
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let tree = open_tree(CWD, source, flags).map_err(failed("take hold of", source))?;
    let change = MountChange { read_only, ..MountChange::default() };
    sys::change_mount(tree.as_fd(), change).map_err(failed("restrict", source))?;
    Ok(tree)
}

/// Mounts are seen on the other side only where the host's own mount is ready for it.
fn check_propagation(source: &Path, wanted: Propagation) -> Result<(), VolumeError> {
    let (marks, why): (&[&str], _) = match wanted {
        Propagation::RPrivate => return Ok(()),
        Propagation::RSlave => (
            &["shared:", "master:"],
            "is on a mount that hands nothing on; mount --make-shared it, or use rprivate",
        ),
        Propagation::RShared => (
            &["shared:"],
            "is on a mount that is not shared; mount --make-shared it, or use rprivate",
        ),
    };
    let found = statx(CWD, source, AtFlags::empty(), StatxFlags::MNT_ID)
        .map_err(failed("find the mount of", source))?;
    let table = Path::new("/proc/self/mountinfo");
    let mounts = std::fs::read_to_string(table).map_err(failed("read", table))?;
    let id = format!("{} ", found.stx_mnt_id);
    let line = mounts.lines().find(|line| line.starts_with(&id)).unwrap_or_default();
    // Between the options and a lone dash.
    let mut tags = line.split(' ').skip(6).take_while(|word| *word != "-");
    match tags.any(|tag| marks.iter().any(|mark| tag.starts_with(mark))) {
        true => Ok(()),
        false => Err(VolumeError::Source { path: source.to_owned(), why }),
    }
}

/// Refuses targets that links of the image lead to where nothing may be mounted.
///
/// # Errors
/// The first such target.
pub fn check_targets(root: &Path, launch: &Launch) -> Result<(), VolumeError> {
    if launch.volumes.is_empty() {
        return Ok(());
    }
    let folder = File::open(root).map_err(failed("open", root))?;
    for target in launch.volumes.iter().map(Mount::target) {
        let found = resolve(&folder, root, target)?;
        let kept = ["/", "/dev"].map(Path::new).contains(&found.as_path())
            || ["/proc", "/sys"].iter().any(|kept| found.starts_with(kept));
        if kept {
            return Err(VolumeError::Target { target: target.to_owned(), found });
        }
    }
    Ok(())
}

/// Where a path leads within the root; what does not exist yet is taken as it is written.
fn resolve(folder: &File, root: &Path, target: &Path) -> Result<PathBuf, VolumeError> {
    let (flags, inside) = (OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::IN_ROOT);
    let mut missing: Vec<&OsStr> = Vec::new();
    let mut path = target;
    loop {
        match openat2(folder, path, flags, Mode::empty(), inside) {
            Ok(found) => {
                let link = format!("/proc/self/fd/{}", found.as_raw_fd());
                let found = std::fs::read_link(&link).map_err(failed("look at", target))?;
                let found = found.strip_prefix(root).unwrap_or(&found);
                let mut found = Path::new("/").join(found);
                found.extend(missing.iter().rev());
                return Ok(found);
            }
            Err(rustix::io::Errno::NOENT) => match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => {
                    missing.push(name);
                    path = parent;
                }
                _ => return Ok(target.to_owned()),
            },
            Err(errno) => return Err(failed("follow", target)(errno)),
        }
    }
}

/// Puts everything where libcontainer finds it, and returns its entries for the spec, outermost
/// first.
///
/// # Errors
/// The kernel refuses, or a file cannot be read.
pub fn stage(
    run_dir: &Path,
    base: &Path,
    launch: &Launch,
    picked: Picked,
    ids: Option<&Ids>,
) -> Result<Vec<Value>, VolumeError> {
    let Picked(mut trees) = picked;
    let place = base.join(record::MOUNTS);
    if !launch.volumes.is_empty() {
        make_folder(&place)?;
    }
    let files = Files { place: run_dir.join(record::FILES), ids };
    let mut entries: Vec<(usize, Value)> = Vec::new();
    for (number, volume) in launch.volumes.iter().enumerate() {
        let target = volume.target();
        if let Mount::Files { .. } = volume {
            trees.push((number, files.copy(number, volume)?));
        }
        let tree = trees.iter().position(|(of, _)| *of == number).map(|at| trees.swap_remove(at).1);
        let entry = match (volume, tree) {
            (_, Some(tree)) => {
                let source = place.join(number.to_string());
                attach(&tree, &source)?;
                json!({ "destination": target, "type": "bind", "source": source, "options": ["rbind"] })
            }
            (volume, None) => memory(volume),
        };
        entries.push((target.components().count(), entry));
    }
    // What is mounted below another target must come after it.
    entries.sort_by_key(|(depth, _)| *depth);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn memory(volume: &Mount) -> Value {
    let mut options = vec!["nosuid".to_owned(), "nodev".to_owned()];
    if let Mount::Tmpfs { size_bytes, mode, uid, gid, .. } = volume {
        options.extend(size_bytes.map(|bytes| format!("size={bytes}")));
        options.extend([format!("mode={mode:o}"), format!("uid={uid}"), format!("gid={gid}")]);
    }
    json!({ "destination": volume.target(), "type": "tmpfs", "source": "tmpfs", "options": options })
}

/// A source becomes a mount in the run folder, seen in this mount namespace only.
fn attach(tree: &OwnedFd, place: &Path) -> Result<(), VolumeError> {
    let found = File::from(tree.try_clone().map_err(failed("look at", place))?).metadata();
    if found.map_err(failed("look at", place))?.is_dir() {
        make_folder(place)?;
    } else {
        File::create(place).map_err(failed("make", place))?;
    }
    move_mount(tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(failed("mount", place))
}

/// Handed-over files, in memory that is this mount namespace's alone.
struct Files<'a> {
    place: PathBuf,
    ids: Option<&'a Ids>,
}

impl Files<'_> {
    /// Copies the files of one volume, and takes hold of the copies.
    fn copy(&self, number: usize, volume: &Mount) -> Result<OwnedFd, VolumeError> {
        let Mount::Files { files, single, mode, uid, gid, .. } = volume else {
            return Err(failed("copy", volume.target())(io::Error::from(
                io::ErrorKind::Unsupported,
            )));
        };
        self.prepare()?;
        let folder = self.place.join(number.to_string());
        make_folder(&folder)?;
        self.own(&folder, 0, 0)?;
        let mut mounted = folder.clone();
        for (name, source) in files {
            let copy = folder.join(name);
            let content = read(source)?;
            let create = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy);
            create
                .and_then(|mut file| io::Write::write_all(&mut file, &content))
                .map_err(failed("copy to", &copy))?;
            self.own(&copy, *uid, *gid)?;
            let mode = Permissions::from_mode(*mode);
            std::fs::set_permissions(&copy, mode).map_err(failed("set the mode of", &copy))?;
            if *single {
                mounted = copy;
            }
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, &mounted, flags).map_err(failed("take hold of", &mounted))?;
        let change = MountChange { read_only: true, no_exec: true, ..MountChange::default() };
        sys::change_mount(tree.as_fd(), change).map_err(failed("restrict", &mounted))?;
        Ok(tree)
    }

    fn prepare(&self) -> Result<(), VolumeError> {
        if self.place.exists() {
            return Ok(());
        }
        make_folder(&self.place)?;
        let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
        let mount = |options| mount("tmpfs", &self.place, "tmpfs", flags, Some(options));
        // Secrets should not end on a disk: kernels since 6.4 can promise that.
        mount(c"mode=755,size=20m,noswap")
            .or_else(|_| mount(c"mode=755,size=20m"))
            .map_err(failed("mount memory on", &self.place))
    }

    fn own(&self, path: &Path, uid: u32, gid: u32) -> Result<(), VolumeError> {
        let (uid, gid) = self.ids.map_or((uid, gid), |ids| ids.on_host(uid, gid));
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(failed("give away", path))
    }
}

fn read(source: &Path) -> Result<Vec<u8>, VolumeError> {
    let mut content = Vec::new();
    let open =
        File::open(source).and_then(|file| file.take(FILES_MAX + 1).read_to_end(&mut content));
    open.map_err(failed("read", source))?;
    if content.len() as u64 > FILES_MAX {
        let why = "is larger than 16 MiB; use a bind or a volume for it";
        return Err(VolumeError::Source { path: source.to_owned(), why });
    }
    Ok(content)
}

fn make_folder(path: &Path) -> Result<(), VolumeError> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("make", path)(error))
        }
        _ => Ok(()),
    }
}
