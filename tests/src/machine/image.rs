//! The flashable image as a virtual device's disk.
//!
//! Copied for each device, made larger as a card is larger than what was flashed on it, and set up as
//! a person would: by editing files on the boot partition. See `packaging/image`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::arch::Arch;
use super::disk::Disk;
use super::kit::{MAKE_THEM, target};
use crate::process::{need_tool, run};

/// Where the boot partition begins.
const BOOT_OFFSET: &str = "1M";

/// What QEMU needs to load the image's kernel by itself.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) arguments: String,
}

/// The image's kernel, initramfs and kernel arguments.
pub(super) fn pieces(arch: Arch) -> Pieces {
    let folder = folder().join(arch.name());
    let arguments = std::fs::read_to_string(folder.join("cmdline"));
    let arguments = arguments.unwrap_or_else(|_| missing(&folder.join("cmdline")));
    Pieces {
        kernel: folder.join("vmlinuz"),
        initrd: folder.join("initrd"),
        arguments: arguments.trim().to_owned(),
    }
}

/// A disk with the image, of so many MiB.
pub(super) fn disk(arch: Arch, path: &Path, mebibytes: u32) -> Disk {
    let image = folder().join(format!("skerry-{arch}.img"));
    if !image.is_file() {
        missing(&image)
    }
    let disk = Disk::copy_of(&image, path);
    let size = u64::from(mebibytes) << 20;
    let file = File::options().write(true).open(disk.path()).expect("opening a copied disk");
    let length = file.metadata().expect("the size of a disk").len();
    file.set_len(size.max(length)).expect("making a disk larger");
    disk
}

/// Writes a file onto the boot partition.
pub(super) fn write(disk: &Disk, name: &str, content: &[u8]) {
    need_tool("mcopy", "mtools");
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), content).expect("writing a temporary file");
    let place = format!("{}@@{BOOT_OFFSET}", disk.path().display());
    let mut command = Command::new("mcopy");
    command.args(["-o", "-i", &place]).arg(file.path()).arg(format!("::/{name}"));
    let _ = run(&mut command).ok();
}

/// The firmware of a board.
pub(super) fn firmware(arch: Arch) -> PathBuf {
    let (file, package) = match arch {
        Arch::X86_64 => ("/usr/share/OVMF/OVMF_CODE.fd", "ovmf"),
        Arch::Aarch64 => ("/usr/share/AAVMF/AAVMF_CODE.fd", "qemu-efi-aarch64"),
        Arch::Armv7 => panic!("there is no image of {arch}"),
    };
    assert!(Path::new(file).is_file(), "{file} is missing: apt-get install {package}");
    file.into()
}

fn folder() -> PathBuf {
    std::env::var_os("SKERRY_IMAGES").map_or_else(|| target().join("image"), PathBuf::from)
}

fn missing(path: &Path) -> ! {
    panic!("{} is missing: packaging/image/build makes it. {MAKE_THEM}", path.display())
}
