//! A small disk for a node's state, to be filled, mounted read-only, or broken.
//!
//! An ext4 file system in a file, mounted by a loop device. It is unmounted by the [`Scratch`] place
//! that it lies in.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{need_root, need_tool, run};
use crate::scratch::Scratch;

/// A small disk.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Makes one of so many mebibytes, and mounts it on a folder of the scratch place.
    ///
    /// # Panics
    /// When it cannot be made or mounted.
    #[must_use]
    pub fn mount(scratch: &Scratch, at: &str, mib: u64) -> Self {
        need_root();
        need_tool("mkfs.ext4", "e2fsprogs");
        let image = scratch.file(&format!("{}.img", at.replace('/', "-")), "");
        let file = File::options().write(true).open(&image).expect("the disk's file");
        file.set_len(mib << 20).expect("the disk's size");
        let _ = run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image)).ok();
        let disk = Self { image, at: scratch.folder(at) };
        disk.mount_again();
        disk
    }

    /// Mounts it again.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount_again(&self) {
        let mut mount = Command::new("mount");
        let options = ["-o", "loop,errors=remount-ro"];
        let _ = run(mount.args(options).arg(&self.image).arg(&self.at)).ok();
    }

    /// Takes it away; `false` while somebody uses it.
    ///
    /// # Panics
    /// When `umount` cannot be started.
    #[must_use]
    pub fn try_unmount(&self) -> bool {
        run(Command::new("umount").arg(&self.at)).status.success()
    }

    /// Mounts it as `ro` or `rw`, while it is in use.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let _ = run(Command::new("mount").args(["-o", &options]).arg(&self.at)).ok();
    }

    /// Has the kernel find an error on it, after which it is read-only until it is mounted anew.
    ///
    /// # Panics
    /// When the kernel has no such means.
    pub fn break_down(&self) {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
        let at = self.at.to_string_lossy();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(&at));
        let device = line.and_then(|line| line.split(' ').next()).expect("a mounted disk");
        let name = Path::new(device).file_name().expect("a device").to_string_lossy();
        let switch = format!("/sys/fs/ext4/{name}/trigger_fs_error");
        fs::write(&switch, "broken by a test").unwrap_or_else(|e| panic!("{switch}: {e}"));
    }

    /// Takes the last byte.
    ///
    /// # Panics
    /// When something else than a full disk stands in the way.
    pub fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.filler());
        let filler = filler.as_mut().expect("a file that fills the disk");
        let mut portion = vec![0_u8; 1 << 20];
        while !portion.is_empty() {
            match filler.write(&portion) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                    portion.truncate(portion.len() / 2);
                }
                Err(error) => panic!("filling the disk: {error}"),
            }
        }
        filler.sync_all().expect("the filler reaches the disk");
    }

    /// Gives so many bytes of the room back.
    ///
    /// # Panics
    /// When the file that fills it is not there, or smaller.
    pub fn spare(&self, bytes: u64) {
        let filler = File::options().write(true).open(self.filler()).expect("a filler");
        let length = filler.metadata().expect("its length").len();
        filler.set_len(length.checked_sub(bytes).expect("a larger filler")).expect("room again");
        filler.sync_all().expect("the room is there");
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When the file is not there.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).expect("the file that filled the disk");
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }
}
