//! Which devices an agent may open: the standard ones, and no others.
//!
//! On version 1 by rules in `devices.deny` and `devices.allow`; on version 2 by a small program
//! that the kernel runs at each opening. Making device files is allowed, as it gives no access.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::sys;

/// Why devices cannot be restricted although the kernel has the means.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A rule was refused.
    #[error("cannot set device rule '{rule}' in {path}")]
    Rule {
        /// The rule.
        rule: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The program was refused.
    #[error("cannot attach the device filter to {path}")]
    Program {
        /// The group's folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// null, zero, full, random, urandom, tty, ptmx, pseudo-terminals; making any.
const ALLOWED: [&str; 10] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

pub(super) fn write_rules(dir: &Path) -> Result<(), DeviceError> {
    set_rules(&dir.join("devices.deny"), &["a"])?;
    set_rules(&dir.join("devices.allow"), &ALLOWED)
}

/// Each rule is one write; the file is opened once, as opening is what takes the time.
fn set_rules(path: &Path, rules: &[&'static str]) -> Result<(), DeviceError> {
    let failed = |rule, source| DeviceError::Rule { rule, path: path.to_owned(), source };
    let open = File::options().write(true).open(path);
    let mut file = open.map_err(|source| failed("any", source))?;
    rules
        .iter()
        .try_for_each(|rule| file.write_all(rule.as_bytes()).map_err(|source| failed(rule, source)))
}

/// Attaches the filter to a version 2 group; `false` when this kernel has no such filters.
pub(super) fn attach(dir: &Path) -> Result<bool, DeviceError> {
    let failed = |source| DeviceError::Program { path: dir.to_owned(), source };
    let program = match sys::load_device_filter(&filter()) {
        Ok(program) => program,
        // No such call, no such kind of program, or locked down: not something to die of, but to
        // be told.
        Err(error) if is_unsupported(&error) => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let group = File::open(dir).map_err(failed)?;
    match sys::attach_device_filter(group.as_fd(), program.as_fd()) {
        Ok(()) => Ok(true),
        Err(error) if is_unsupported(&error) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    let known = [nix::libc::ENOSYS, nix::libc::EINVAL, nix::libc::EPERM];
    error.raw_os_error().is_some_and(|errno| known.contains(&errno))
}

/// One instruction of the kernel's machine, which is little-endian on all our targets.
type Instruction = [u8; 8];

/// The registers: what is asked, the kind of device, its two numbers, and the context at first.
const CONTEXT: u8 = 1;
const ACCESS: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Access and kind as the kernel's `linux/bpf.h` numbers them.
const MAKE_ONLY: i32 = 1;
const CHARACTER: i32 = 2;

/// The same rules as [`ALLOWED`], as a program: returns 1 to allow and 0 to refuse.
fn filter() -> Vec<Instruction> {
    let single = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
    let instruction = |code: u8, to: u8, from: u8, offset: i16, value: i32| -> Instruction {
        let (offset, value) = (offset.to_le_bytes(), value.to_le_bytes());
        let [v0, v1, v2, v3] = value;
        [code, to | from << 4, offset[0], offset[1], v0, v1, v2, v3]
    };
    let load = |to, offset| instruction(0x61, to, CONTEXT, offset, 0);
    let jump_if = |register, value, over| instruction(0x15, register, 0, over, value);
    let jump_unless = |register, value, over| instruction(0x55, register, 0, over, value);
    let exit_with = |value| [instruction(0xb7, 0, 0, 0, value), instruction(0x95, 0, 0, 0, 0)];

    let mut program = vec![
        load(ACCESS, 0),
        load(MAJOR, 4),
        load(MINOR, 8),
        // The first field holds the kind in its low half and the access in its high half.
        instruction(0xbf, KIND, ACCESS, 0, 0),
        instruction(0x54, KIND, 0, 0, 0xffff),
        instruction(0x74, ACCESS, 0, 0, 16),
    ];
    program.push(jump_unless(ACCESS, MAKE_ONLY, 2));
    program.extend(exit_with(1));
    program.push(jump_if(KIND, CHARACTER, 2));
    program.extend(exit_with(0));
    for (major, minor) in single {
        program.push(jump_unless(MAJOR, major, 3));
        program.push(jump_unless(MINOR, minor, 2));
        program.extend(exit_with(1));
    }
    program.push(jump_unless(MAJOR, 136, 2));
    program.extend(exit_with(1));
    program.extend(exit_with(0));
    program
}

#[cfg(test)]
mod tests;
