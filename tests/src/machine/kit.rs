//! What a virtual device is made of: kernel, programs under test, settings, images.
//!
//! It finds the pieces that `tests/virtual` has fetched and built, and lays what a device needs on a
//! read-only disk, the kit. Missing pieces end the test with the command that makes them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::arch::Arch;
use super::disk::Disk;
use crate::process::{run, subject};
use crate::scratch::Scratch;

pub(super) const MAKE_THEM: &str =
    "tests/virtual fetches and builds what virtual devices need, and sets it";
const GUEST_INIT: &str = include_str!("../../devices/guest-init");

/// The folder in which this workspace's things are built.
pub(super) fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
    root.join("target")
}

/// The folder with kernel, initramfs and busybox for an architecture.
///
/// # Panics
/// When they have not been fetched.
#[must_use]
pub fn pieces(arch: Arch) -> PathBuf {
    let folder = target().join("machine").join(arch.name());
    for piece in ["vmlinuz", "initrd", "busybox"] {
        let path = folder.join(piece);
        assert!(path.is_file(), "{} is missing: {MAKE_THEM}", path.display());
    }
    folder
}

/// A program under test for an architecture.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn program(arch: Arch, name: &str) -> PathBuf {
    let variable = arch.programs_variable();
    let folder = std::env::var_os(variable).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| panic!("{variable} is not set: {MAKE_THEM}"));
    let path = folder.join(name);
    assert!(path.is_file(), "{variable}: {} is missing: {MAKE_THEM}", path.display());
    path
}

/// Packs the sample agent with a few tools into an image for an architecture, as the file
/// `NAME.tar`. Another `note` is another image.
///
/// # Panics
/// When that fails.
#[must_use]
pub fn image(scratch: &Scratch, arch: Arch, name: &str, note: &str) -> PathBuf {
    let root = scratch.folder(&format!("root-{name}"));
    let bin = scratch.folder(&format!("root-{name}/bin"));
    copy(&program(arch, "skerry-agent-sensor"), &root.join("sensor"));
    copy(&pieces(arch).join("busybox"), &bin.join("busybox"));
    for tool in ["sh", "cat", "sleep", "mknod", "dd", "ls", "echo", "touch", "id", "rm"] {
        symlink("busybox", bin.join(tool)).unwrap_or_else(|error| panic!("{tool}: {error}"));
    }
    fs::write(root.join("note"), note).expect("writing a note into an image");
    let file = scratch.path().join(format!("{name}.tar"));
    let mut command = Command::new(subject("SKERRY_BIN"));
    command.args(["image", "pack", "--entrypoint", "/sensor", "--platform", arch.platform()]);
    command.args(["--name", name, "-o"]).arg(&file).arg(&root);
    let _ = run(&mut command).ok();
    file
}

/// The digest by which documents name an image.
///
/// # Panics
/// When the file is no OCI archive.
#[must_use]
pub fn digest(file: &Path) -> String {
    let index = run(Command::new("tar").arg("-xOf").arg(file).arg("index.json")).ok().json();
    index["manifests"][0]["digest"].as_str().expect("an index with a manifest").to_owned()
}

/// A kit as it grows, in a folder that becomes a disk.
#[derive(Debug)]
pub(super) struct Kit {
    folder: PathBuf,
}

impl Kit {
    /// An empty kit.
    pub(super) fn new(folder: PathBuf) -> Self {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        Self { folder }
    }

    /// A root file system with busybox and the programs under test, for a device that boots from an
    /// initramfs.
    pub(super) fn with_root(self, arch: Arch) -> Self {
        for place in ["bin", "sbin", "proc", "sys", "dev", "run", "tmp", "root", "kit/bin"] {
            self.make(place);
        }
        self.make("var/lib/skerry");
        let busybox = pieces(arch).join("busybox");
        self.program("bin/busybox", &busybox);
        // The same version for each architecture, and this one runs here.
        for tool in applets() {
            let link = self.folder.join("bin").join(&tool);
            symlink("busybox", link).unwrap_or_else(|error| panic!("{tool}: {error}"));
        }
        self.program("kit/bin/skerry", &program(arch, "skerry"));
        self.write("sbin/init", GUEST_INIT);
        self.executable("sbin/init");
        self
    }

    /// Copies a file into it.
    pub(super) fn file(&self, name: &str, from: &Path) {
        let to = self.folder.join(name);
        self.make(&parent(name));
        copy(from, &to);
    }

    /// Copies a program into it.
    pub(super) fn tool(&self, name: &str, from: &Path) {
        self.program(name, from);
    }

    /// Writes a file into it.
    pub(super) fn write(&self, name: &str, text: &str) {
        self.make(&parent(name));
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Makes a disk of it.
    pub(super) fn disk(self, path: &Path) -> Disk {
        let disk = Disk::of_folder(path, &self.folder);
        let _ = fs::remove_dir_all(&self.folder);
        disk
    }

    fn program(&self, name: &str, from: &Path) {
        self.file(name, from);
        self.executable(name);
    }

    fn executable(&self, name: &str) {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.folder.join(name), mode).expect("making a file executable");
    }

    fn make(&self, place: &str) {
        let path = self.folder.join(place);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn parent(name: &str) -> String {
    name.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned())
}

fn applets() -> Vec<String> {
    let list = run(Command::new(pieces(Arch::X86_64).join("busybox")).arg("--list")).ok();
    list.stdout.lines().filter(|tool| *tool != "busybox").map(str::to_owned).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}
