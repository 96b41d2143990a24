//! A folder that no path can leave: resolves and makes what a layer names.
//!
//! Every folder is reached by openat2 with RESOLVE_IN_ROOT, so that a link in the layer leads, at
//! worst, to another place in the same layer; where the kernel has no openat2, links on the way are
//! refused. The last part of a path is never followed. [`super`] decides what is made here.

use super::*;
use rustix::fs::ResolveFlags;

const RETRIES: u32 = 64;

/// The folder of a layer while it is unpacked.
pub(super) struct Tree {
    root: OwnedFd,
    depth: usize,
    /// The last folder that was used: members mostly come folder by folder.
    last: Option<(Vec<u8>, std::rc::Rc<OwnedFd>)>,
    has_openat2: bool,
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Tree {
    pub(super) fn open(root: &Path, depth: usize) -> Result<Self, UnpackError> {
        let shown = root.to_string_lossy();
        let root =
            fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(refused("open", shown.as_bytes()))?;
        Ok(Self { root, depth, last: None, has_openat2: true })
    }

    /// The layer's root, opened again.
    pub(super) fn root(&self) -> Result<OwnedFd, UnpackError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        fs::openat(&self.root, ".", flags, Mode::empty()).map_err(refused("open", b"/"))
    }

    /// The folder `path`, which must be there.
    pub(super) fn existing(&mut self, path: &[u8]) -> Result<std::rc::Rc<OwnedFd>, UnpackError> {
        if let Some((last, folder)) = &self.last
            && last == path
        {
            return Ok(folder.clone());
        }
        let found = self.resolve(path).map_err(|errno| self.explain(path, errno))?;
        let found = std::rc::Rc::new(found);
        self.last = Some((path.to_vec(), found.clone()));
        Ok(found)
    }

    /// The folder `path`, made with its parents where they are missing.
    pub(super) fn folder(&mut self, path: &[u8]) -> Result<std::rc::Rc<OwnedFd>, UnpackError> {
        match self.existing(path) {
            Err(UnpackError::Kernel { source, .. })
                if [Some(libc_enoent()), Some(libc_enotdir())].contains(&source.raw_os_error()) => {
            }
            other => return other,
        }
        let Some((parent, name)) = split(path) else { return self.existing(path) };
        // Recursion ends at `depth`, which every clean path keeps to.
        debug_assert!(path.split(|b| *b == b'/').count() <= self.depth);
        self.make_folder(path, parent, name)?;
        self.existing(path)
    }

    /// Makes the folder `name` in `parent` unless it is there; what else has the name goes. Over a
    /// whiteout of the same layer it becomes opaque, since the whiteout hid a folder below.
    pub(super) fn make_folder(
        &mut self,
        path: &[u8],
        parent: &[u8],
        name: &[u8],
    ) -> Result<(), UnpackError> {
        let folder = self.folder(parent)?;
        match new_folder(&folder, name) {
            Err(Errno::EXIST) => {}
            result => return result.map_err(refused("make the folder", path)),
        }
        let there = fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(refused("look at", path))?;
        if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
            return Ok(());
        }
        self.last = None;
        fs::unlinkat(&folder, name, AtFlags::empty()).map_err(refused("replace", path))?;
        new_folder(&folder, name).map_err(refused("make the folder", path))?;
        if whiteout::is_whiteout(&there) {
            whiteout::make_opaque(&folder, name, path)?;
        }
        Ok(())
    }

    /// Makes something that is no folder by `make`; what has the name already goes first.
    pub(super) fn make<T>(
        &mut self,
        path: &[u8],
        parent: &[u8],
        name: &[u8],
        operation: &'static str,
        make: impl Fn(&OwnedFd) -> rustix::io::Result<T>,
    ) -> Result<T, UnpackError> {
        let folder = self.folder(parent)?;
        match make(&folder) {
            Err(Errno::EXIST) => {}
            result => return result.map_err(refused(operation, path)),
        }
        self.last = None;
        remove(&folder, name, self.depth).map_err(refused("replace", path))?;
        make(&folder).map_err(refused(operation, path))
    }

    fn resolve(&mut self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        if path.is_empty() {
            return fs::openat(&self.root, ".", FOLDER, Mode::empty());
        }
        if self.has_openat2 {
            match self.resolve_in_root(path) {
                Err(Errno::NOSYS | Errno::PERM) => self.has_openat2 = false,
                result => return result,
            }
        }
        self.resolve_by_steps(path)
    }

    fn resolve_in_root(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let mut tries = 0;
        loop {
            // EAGAIN: a rename somewhere else on the machine came between.
            match fs::openat2(&self.root, path, FOLDER, Mode::empty(), how) {
                Err(Errno::AGAIN | Errno::INTR) if tries < RETRIES => tries += 1,
                result => return result,
            }
        }
    }

    /// Without openat2: step by step, and no link on the way.
    fn resolve_by_steps(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let mut folder = fs::openat(&self.root, ".", FOLDER, Mode::empty())?;
        for part in path.split(|b| *b == b'/') {
            folder = fs::openat(&folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(folder)
    }

    fn explain(&self, path: &[u8], errno: Errno) -> UnpackError {
        match errno {
            Errno::LOOP => UnpackError::Escape {
                path: printable(path),
                why: "links on its way lead in a circle",
            },
            Errno::XDEV => {
                UnpackError::Escape { path: printable(path), why: "it leaves the file system" }
            }
            errno => refused("open the folder", path)(errno),
        }
    }
}

/// Makes a folder that all may enter, whatever umask this process was given.
fn new_folder(parent: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    fs::mkdirat(parent, name, mode)?;
    fs::chmodat(parent, name, mode, AtFlags::empty())
}

fn libc_enoent() -> i32 {
    Errno::NOENT.raw_os_error()
}

fn libc_enotdir() -> i32 {
    Errno::NOTDIR.raw_os_error()
}

/// Removes `name` and all below it, following nothing; at most `depth` folders deep.
fn remove(folder: &OwnedFd, name: &[u8], depth: usize) -> rustix::io::Result<()> {
    match fs::unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        result => return result,
    }
    if depth == 0 {
        return Err(Errno::NAMETOOLONG);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inner = fs::openat(folder, name, flags, Mode::empty())?;
    for entry in fs::Dir::read_from(&inner)? {
        let entry = entry?;
        let child = entry.file_name().to_bytes();
        if child != b"." && child != b".." {
            remove(&inner, child, depth - 1)?;
        }
    }
    fs::unlinkat(folder, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests;
