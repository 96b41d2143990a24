//! Which devices an agent may open, and make files for: the standard ones, and those it is given.
//!
//! On version 1 by rules in `devices.deny` and `devices.allow`; on version 2 by a small program
//! that the kernel runs at each opening. They are put in force once the container's own device
//! files are made.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::devices::{Kind, Node};
use crate::sys;

/// Why devices cannot be restricted although the kernel has the means.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A rule was refused.
    #[error("cannot set device rule '{rule}' in {path}")]
    Rule {
        /// The rule.
        rule: String,
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

/// What may be done with a device, as the kernel's `linux/bpf.h` numbers it.
const MAKE: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

/// One device, or all of one driver, and what may be done with it.
struct Rule {
    kind: Kind,
    major: u32,
    minor: Option<u32>,
    allowed: i32,
}

/// null, zero, full, random, urandom, tty, ptmx, pseudo-terminals, and the mark by which overlayfs
/// hides a file.
const STANDARD: [(u32, Option<u32>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];
const HIDDEN: Rule = Rule { kind: Kind::Character, major: 0, minor: Some(0), allowed: MAKE };

fn rules(nodes: &[Node]) -> impl Iterator<Item = Rule> {
    let standard = STANDARD.iter().map(|(major, minor)| Rule {
        kind: Kind::Character,
        major: *major,
        minor: *minor,
        allowed: MAKE | READ | WRITE,
    });
    let given = nodes.iter().map(|node| {
        let bits = node.allowed.iter().zip([READ, WRITE, MAKE]);
        Rule {
            kind: node.kind,
            major: node.major,
            minor: Some(node.minor),
            allowed: bits.filter(|(allowed, _)| **allowed).map(|(_, bit)| bit).sum(),
        }
    });
    standard.chain([HIDDEN]).chain(given)
}

impl Rule {
    /// In the words of version 1.
    fn text(&self) -> String {
        let minor = self.minor.map_or_else(|| "*".to_owned(), |minor| minor.to_string());
        let letters = [(READ, 'r'), (WRITE, 'w'), (MAKE, 'm')].into_iter();
        let letters = letters.filter(|(bit, _)| self.allowed & bit != 0).map(|(_, letter)| letter);
        let letters: String = letters.collect();
        format!("{} {}:{minor} {letters}", self.kind.letter(), self.major)
    }
}

pub(super) fn write_rules(dir: &Path, nodes: &[Node]) -> Result<(), DeviceError> {
    set_rules(&dir.join("devices.deny"), &["a".to_owned()])?;
    let rules: Vec<String> = rules(nodes).map(|rule| rule.text()).collect();
    set_rules(&dir.join("devices.allow"), &rules)
}

/// Each rule is one write; the file is opened once, as opening is what takes the time.
fn set_rules(path: &Path, rules: &[String]) -> Result<(), DeviceError> {
    let failed = |rule: &str, source| DeviceError::Rule {
        rule: rule.to_owned(),
        path: path.to_owned(),
        source,
    };
    let open = File::options().write(true).open(path);
    let mut file = open.map_err(|source| failed("any", source))?;
    rules
        .iter()
        .try_for_each(|rule| file.write_all(rule.as_bytes()).map_err(|source| failed(rule, source)))
}

/// Attaches the filter to a version 2 group; `false` when this kernel has no such filters.
pub(super) fn attach(dir: &Path, nodes: &[Node]) -> Result<bool, DeviceError> {
    let failed = |source| DeviceError::Program { path: dir.to_owned(), source };
    let program = match sys::load_device_filter(&filter(nodes)) {
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

/// The registers: what is asked, the kind of device, its two numbers, what is asked beyond a rule,
/// and the context at first.
const CONTEXT: u8 = 1;
const ACCESS: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const BEYOND: u8 = 6;

/// The same rules as a program: returns 1 to allow and 0 to refuse.
fn filter(nodes: &[Node]) -> Vec<Instruction> {
    let instruction = |code: u8, to: u8, from: u8, offset: i16, value: i32| -> Instruction {
        let (offset, value) = (offset.to_le_bytes(), value.to_le_bytes());
        let [v0, v1, v2, v3] = value;
        [code, to | from << 4, offset[0], offset[1], v0, v1, v2, v3]
    };
    let load = |to, offset| instruction(0x61, to, CONTEXT, offset, 0);
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
    for rule in rules(nodes) {
        // Numbers of devices have 12 and 20 bits.
        let (major, minor) = (rule.major.cast_signed(), rule.minor.map(u32::cast_signed));
        let kind = match rule.kind {
            Kind::Block => 1,
            Kind::Character => 2,
        };
        // Nothing may be asked that the rule does not allow.
        let last = [
            instruction(0xbf, BEYOND, ACCESS, 0, 0),
            instruction(0x54, BEYOND, 0, 0, !rule.allowed),
            jump_unless(BEYOND, 0, 2),
        ];
        let over = if minor.is_some() { 7 } else { 6 };
        program.push(jump_unless(KIND, kind, over));
        program.push(jump_unless(MAJOR, major, over - 1));
        program.extend(minor.map(|minor| jump_unless(MINOR, minor, 5)));
        program.extend(last);
        program.extend(exit_with(1));
    }
    program.extend(exit_with(0));
    program
}

#[cfg(test)]
mod tests;
