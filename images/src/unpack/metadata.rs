//! Gives a file the owner, mode, time and attributes that its tar member states.
//!
//! Does one effect on one file that is already open, or that was just made. Decides only which
//! extended attributes a layer may set. [`super`] decides which file.

use super::*;

/// Sets owner, mode and extended attributes, in the order in which they do not undo each other.
pub(super) fn set(file: impl AsFd, meta: &Meta, path: &[u8]) -> Result<(), UnpackError> {
    let (uid, gid) = owner(meta);
    fs::fchown(&file, uid, gid).map_err(refused("set the owner of", path))?;
    fs::fchmod(&file, Mode::from_raw_mode(meta.mode)).map_err(refused("set the mode of", path))?;
    for (name, value) in meta.xattrs.iter().filter(|(name, _)| is_allowed(name)) {
        match fs::fsetxattr(&file, name.as_slice(), value, XattrFlags::empty()) {
            Err(Errno::NOTSUP) if name.starts_with(b"user.") => {}
            result => result.map_err(refused("set an extended attribute of", path))?,
        }
    }
    Ok(())
}

/// Sets owner and time of what cannot be opened without effects: links, devices and pipes.
pub(super) fn set_at(
    parent: &OwnedFd,
    name: &[u8],
    meta: &Meta,
    path: &[u8],
) -> Result<(), UnpackError> {
    let (uid, gid) = owner(meta);
    fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(refused("set the owner of", path))?;
    fs::utimensat(parent, name, &times(meta.mtime), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(refused("set the time of", path))
}

/// Sets the time of an open file.
pub(super) fn set_time(file: impl AsFd, time: (i64, u32)) -> rustix::io::Result<()> {
    fs::futimens(file, &times(time))
}

fn owner(meta: &Meta) -> (Option<fs::Uid>, Option<fs::Gid>) {
    (Some(fs::Uid::from_raw(meta.uid)), Some(fs::Gid::from_raw(meta.gid)))
}

fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// `trusted.` and the rest belong to the host: a layer that could set overlayfs' own attributes
/// could redirect folders.
fn is_allowed(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}
