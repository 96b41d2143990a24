//! Turns the whiteouts of the OCI specification into those of overlayfs.
//!
//! `.wh.x` hides `x` of the layers below, and never a thing of its own layer, in whatever order the
//! two come. `.wh..wh..opq` hides all that a folder holds below.

use super::*;

/// How the name of a whiteout begins.
pub(super) const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..opq";
const XATTR: &str = "trusted.overlay.opaque";

/// Applies the whiteout of `hidden` (what follows `.wh.`) in the folder `parent`.
pub(super) fn apply(
    tree: &mut Tree,
    parent: &[u8],
    hidden: &[u8],
    path: &[u8],
) -> Result<(), UnpackError> {
    match hidden {
        OPAQUE => {
            let folder = tree.folder(parent)?;
            make_opaque(&folder, b".", path)
        }
        b"" | b"." | b".." => {
            let path = printable(path);
            Err(UnpackError::Escape { path, why: "it is a whiteout of no name" })
        }
        // Left over from aufs; of no meaning to others.
        other if other.starts_with(PREFIX) => Ok(()),
        name => hide(tree, parent, name, path),
    }
}

fn hide(tree: &mut Tree, parent: &[u8], name: &[u8], path: &[u8]) -> Result<(), UnpackError> {
    let folder = tree.folder(parent)?;
    let device = fs::makedev(0, 0);
    match fs::mknodat(&folder, name, FileType::CharacterDevice, Mode::empty(), device) {
        Err(Errno::EXIST) => {
            let there = fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(refused("look at", path))?;
            if FileType::from_raw_mode(there.st_mode) == FileType::Directory {
                make_opaque(&folder, name, path)?;
            }
            Ok(())
        }
        result => result.map_err(refused("make a whiteout for", path)),
    }
}

/// Whether `stat` is a whiteout of overlayfs.
pub(super) fn is_whiteout(stat: &fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Lets the folder `name` in `parent` hide all that is below it.
pub(super) fn make_opaque(parent: &OwnedFd, name: &[u8], path: &[u8]) -> Result<(), UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = fs::openat(parent, name, flags, Mode::empty()).map_err(refused("open", path))?;
    fs::fsetxattr(&folder, XATTR, b"y", XattrFlags::empty())
        .map_err(refused("mark as opaque", path))
}
