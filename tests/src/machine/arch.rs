//! The processor architectures of virtual devices, and what QEMU calls their parts.
//!
//! Names and numbers only: which program emulates it, which console it has. [`super::qemu`] makes the
//! command line of them.

use std::fmt;

/// A processor architecture that a virtual device can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// A PC.
    X86_64,
    /// 64-bit ARM: QEMU's `virt` board.
    Aarch64,
    /// 32-bit ARM with hardware floating point: the same board.
    Armv7,
}

impl Arch {
    /// Its name, as in `target/machine/NAME` and `cross/build NAME`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Armv7 => "armv7",
        }
    }

    /// The variable that names the folder with the programs under test for it.
    #[must_use]
    pub fn programs_variable(self) -> &'static str {
        match self {
            Self::X86_64 => "SKERRY_PROGRAMS_X86_64",
            Self::Aarch64 => "SKERRY_PROGRAMS_AARCH64",
            Self::Armv7 => "SKERRY_PROGRAMS_ARMV7",
        }
    }

    /// Its name in an OCI image.
    #[must_use]
    pub fn platform(self) -> &'static str {
        match self {
            Self::X86_64 => "linux/amd64",
            Self::Aarch64 => "linux/arm64",
            Self::Armv7 => "linux/arm/v7",
        }
    }

    /// The program that emulates it, and the Debian package that has it.
    pub(super) fn emulator(self) -> (&'static str, &'static str) {
        match self {
            Self::X86_64 => ("qemu-system-x86_64", "qemu-system-x86"),
            Self::Aarch64 => ("qemu-system-aarch64", "qemu-system-arm"),
            Self::Armv7 => ("qemu-system-arm", "qemu-system-arm"),
        }
    }

    /// Board and processor. No KVM: a virtual device behaves the same on every machine.
    pub(super) fn board(self) -> [&'static str; 4] {
        match self {
            Self::X86_64 => ["-M", "q35", "-cpu", "max"],
            Self::Aarch64 => ["-M", "virt", "-cpu", "cortex-a53"],
            // Debian's kernel for it cannot reach what lies above 4 GiB.
            Self::Armv7 => ["-M", "virt,highmem=off", "-cpu", "cortex-a15"],
        }
    }

    /// The serial console, as the kernel calls it.
    pub(super) fn console(self) -> &'static str {
        match self {
            Self::X86_64 => "ttyS0",
            Self::Aarch64 | Self::Armv7 => "ttyAMA0",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
