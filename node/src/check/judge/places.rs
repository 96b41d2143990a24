//! Judges the folders that the node uses: rights, kind of file system, space. Pure.

use super::super::Facts;
use super::super::facts::Folder;
use super::{Verdict, errno, error, needs_root, ok, skipped, warning};
use crate::cli::bytes;

/// Under this, not even a document and its two exports fit for sure.
const BYTES_NEEDED: u64 = 8 << 20;
/// Under this, there is no room for an image beside the one that runs.
const BYTES_ADVISED: u64 = 64 << 20;
const INODES_NEEDED: u64 = 64;
/// An unpacked image has some hundreds to thousands of files.
const INODES_ADVISED: u64 = 4096;
/// The longest path of a Unix socket, its terminating zero not counted.
const SOCKET_PATH: usize = 107;
/// What stands below the run folder on the way to a container's socket, without the agent's name.
const BELOW_RUN_DIR: usize = "/agents//oci/agent/notify.sock".len();
/// The longest name of an agent.
const NAME_MAX: usize = 63;

const EPERM: i32 = 1;
const EACCES: i32 = 13;

/// Whether the folder can be written to, as a verdict if not.
fn unwritable(facts: &Facts, folder: &Folder, key: &str) -> Option<Verdict> {
    let refused = folder.written.as_ref().err()?;
    if !facts.root && [EPERM, EACCES].contains(&refused.errno) {
        return Some(needs_root(&folder.path.display().to_string()));
    }
    let (nearest, why) = (folder.nearest.display(), errno(refused.errno));
    Some(error(
        format!("cannot {} {nearest}: {why}; the node does not start", refused.operation),
        format!("make room, mount it writable, or set {key} to another folder"),
    ))
}

pub fn state_dir(facts: &Facts) -> Verdict {
    let folder = &facts.state;
    if let Some(verdict) = unwritable(facts, folder, "state_dir") {
        return verdict;
    }
    let path = folder.path.display();
    if folder.path == folder.nearest {
        return ok(format!("{path}: written, synced, renamed"));
    }
    ok(format!("{path} is not there yet; {} can be written", folder.nearest.display()))
}

pub fn file_system(facts: &Facts) -> Verdict {
    let (kind, path) = (facts.state.kind.as_str(), facts.state.path.display());
    let on = format!("{path} is on {kind}");
    let move_it = "set state_dir to a folder on ext4 (f2fs, btrfs and xfs should do too)";
    match kind {
        "ext4" | "ext3" | "f2fs" | "btrfs" | "xfs" | "ubifs" | "bcachefs" => ok(kind),
        "vfat" | "msdos" | "exfat" | "ntfs" | "ntfs3" | "hfsplus" => error(
            format!("{on}, which has no symbolic links, owners or modes: no image can be unpacked"),
            move_it,
        ),
        "squashfs" | "erofs" | "iso9660" | "cramfs" | "romfs" => {
            error(format!("{on}, which cannot be written"), move_it)
        }
        "tmpfs" | "ramfs" | "rootfs" | "zram" => warning(
            format!("{on}, which is memory: document, images and identity are lost with the power"),
            move_it,
        ),
        "overlay" | "aufs" => warning(
            format!("{on}: a sync may reach less than it says, and layers on layers are slower"),
            move_it,
        ),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "virtiofs" | "ceph" => warning(
            format!("{on}: without the network the node has no state, and locks may not hold"),
            move_it,
        ),
        "jffs2" | "ext2" => {
            warning(format!("{on}, which is slow or may need a repair after a power cut"), move_it)
        }
        "unknown" => skipped("the kernel does not say what it is on", "mount /proc"),
        _ => warning(
            format!("{on}, which nobody has tried with Skerry"),
            format!("try it with power cuts, or {move_it}"),
        ),
    }
}

pub fn space(facts: &Facts) -> Verdict {
    let Some((free, all)) = facts.state.bytes else {
        return skipped("the file system does not say", "see 'state-dir' above");
    };
    let (inodes_free, _) = facts.state.inodes.unwrap_or((u64::MAX, u64::MAX));
    let says = format!("{} of {} free", bytes(free), bytes(all));
    let inodes = match facts.state.inodes {
        Some((free, _)) => format!(", {free} inodes"),
        None => String::new(),
    };
    let says = says + &inodes;
    let next = "remove images that nobody needs (skerry image prune), other files, or take a larger \
                disk";
    if free < BYTES_NEEDED || inodes_free < INODES_NEEDED {
        return error(
            format!("{says}: a document cannot be kept for sure, so none is accepted"),
            next,
        );
    }
    if free < BYTES_ADVISED || inodes_free < INODES_ADVISED {
        return warning(format!("{says}: little for an image beside the one that runs"), next);
    }
    ok(says)
}

pub fn run_dir(facts: &Facts) -> Verdict {
    let folder = &facts.run;
    if let Some(verdict) = unwritable(facts, folder, "run_dir") {
        return verdict;
    }
    let path = folder.path.display();
    let longest = folder.path.as_os_str().len() + BELOW_RUN_DIR + NAME_MAX;
    if longest > SOCKET_PATH {
        let left = (SOCKET_PATH + NAME_MAX).saturating_sub(longest);
        return warning(
            format!(
                "{path} is long: an agent whose name has more than {left} letters cannot start"
            ),
            "set run_dir to a shorter one, such as /run/skerry",
        );
    }
    match folder.kind.as_str() {
        "tmpfs" | "ramfs" | "rootfs" | "unknown" => ok(format!("{path}, on {}", folder.kind)),
        kind => warning(
            format!(
                "{path} is on {kind}, not in memory: each start of an agent writes to the disk"
            ),
            "mount a tmpfs on /run, and keep run_dir below it",
        ),
    }
}
