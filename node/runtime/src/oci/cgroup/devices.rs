//! Which devices a container may use: rules in order, of which the last that fits counts, and the
//! ordinary devices after them, as runc has it.
//!
//! On version 1 they are written one after the other, which means the same; on version 2 they
//! become a program, the last rule first.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use super::super::{Result, refused, system};
use super::resources::DeviceRule;
use crate::sys;

/// Making any; null, zero, full, random, urandom, tty, ptmx, and pseudo-terminals.
const ORDINARY: [(&str, Option<i64>, Option<i64>, &str); 10] = [
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", Some(1), Some(3), "rwm"),
    ("c", Some(1), Some(5), "rwm"),
    ("c", Some(1), Some(7), "rwm"),
    ("c", Some(1), Some(8), "rwm"),
    ("c", Some(1), Some(9), "rwm"),
    ("c", Some(5), Some(0), "rwm"),
    ("c", Some(5), Some(2), "rwm"),
    ("c", Some(136), None, "rwm"),
];

fn all(rules: &[DeviceRule]) -> impl DoubleEndedIterator<Item = DeviceRule> {
    let ordinary = ORDINARY.iter().map(|(kind, major, minor, access)| DeviceRule {
        allow: true,
        kind: (*kind).to_owned(),
        major: *major,
        minor: *minor,
        access: (*access).to_owned(),
    });
    let rules = rules.iter().cloned().map(|mut rule| {
        if rule.kind.is_empty() {
            "a".clone_into(&mut rule.kind);
        }
        if rule.access.is_empty() {
            "rwm".clone_into(&mut rule.access);
        }
        rule.access.retain(|letter| "rwm".contains(letter));
        rule.major = rule.major.filter(|number| *number >= 0);
        rule.minor = rule.minor.filter(|number| *number >= 0);
        rule
    });
    rules.chain(ordinary)
}

fn is_everything(rule: &DeviceRule) -> bool {
    let whole = ["r", "w", "m"].into_iter().all(|letter| rule.access.contains(letter));
    rule.kind == "a" && rule.major.is_none() && rule.minor.is_none() && whole
}

fn text(rule: &DeviceRule) -> String {
    if is_everything(rule) {
        return "a".to_owned();
    }
    let number = |n: Option<i64>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    format!("{} {}:{} {}", rule.kind, number(rule.major), number(rule.minor), rule.access)
}

/// Writes the rules of version 1. Nothing is allowed that no rule allows.
pub fn write(dir: &Path, rules: &[DeviceRule]) -> Result<()> {
    let open = |name: &str| {
        let path = dir.join(name);
        let file = File::options().write(true).open(&path);
        file.map_err(system(format!("cannot open {}", path.display())))
    };
    let (mut allow, mut deny) = (open("devices.allow")?, open("devices.deny")?);
    deny.write_all(b"a").map_err(system("cannot deny devices"))?;
    for rule in all(rules) {
        let text = text(&rule);
        let file = if rule.allow { &mut allow } else { &mut deny };
        file.write_all(text.as_bytes())
            .map_err(system(format!("cannot set device rule '{text}' in {}", dir.display())))?;
    }
    Ok(())
}

/// Attaches the rules to a version 2 group, as a program.
pub fn attach(dir: &Path, rules: &[DeviceRule]) -> Result<()> {
    let shown = dir.display();
    let program = sys::load_device_filter(&program(rules)?)
        .map_err(system("this kernel takes no filter of devices"))?;
    let group = File::open(dir).map_err(system(format!("cannot open {shown}")))?;
    sys::attach_device_filter(group.as_fd(), program.as_fd())
        .map_err(system(format!("cannot attach a filter of devices to {shown}")))
}

type Instruction = [u8; 8];

/// The registers, as in `crate::cgroup::devices`.
const CONTEXT: u8 = 1;
const ACCESS: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const PART: u8 = 6;

fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    let [o0, o1] = offset.to_le_bytes();
    let [v0, v1, v2, v3] = value.to_le_bytes();
    [code, to | from << 4, o0, o1, v0, v1, v2, v3]
}

fn program(rules: &[DeviceRule]) -> Result<Vec<Instruction>> {
    let load = |to, offset| instruction(0x61, to, CONTEXT, offset, 0);
    let mut program = vec![
        load(ACCESS, 0),
        load(MAJOR, 4),
        load(MINOR, 8),
        instruction(0xbf, KIND, ACCESS, 0, 0),
        instruction(0x54, KIND, 0, 0, 0xffff),
        instruction(0x74, ACCESS, 0, 0, 16),
    ];
    for rule in all(rules).rev() {
        program.extend(one(&rule)?);
        if rule.allow && is_everything(&rule) {
            break;
        }
    }
    program.extend(exit_with(false));
    Ok(program)
}

fn exit_with(allowed: bool) -> [Instruction; 2] {
    [instruction(0xb7, 0, 0, 0, i32::from(allowed)), instruction(0x95, 0, 0, 0, 0)]
}

/// The instructions of one rule: if it fits, the verdict; else they fall through.
fn one(rule: &DeviceRule) -> Result<Vec<Instruction>> {
    let kind = match rule.kind.as_str() {
        "a" => None,
        "b" => Some(1),
        "c" | "u" => Some(2),
        other => return refused(format!("device rule of unknown type '{other}'")),
    };
    let bits = [('m', 1), ('r', 2), ('w', 4)];
    let access: i32 =
        bits.iter().filter(|(letter, _)| rule.access.contains(*letter)).map(|(_, bit)| bit).sum();
    let number = |n: i64| i32::try_from(n).or_else(|_| refused(format!("no device number: {n}")));
    // What must not be what, from the last to the first, as each jumps over all that follow it.
    let mut checks: Vec<(u8, u8, i32)> = Vec::new();
    if let Some(kind) = kind {
        checks.push((0x55, KIND, kind));
    }
    if let Some(major) = rule.major {
        checks.push((0x55, MAJOR, number(major)?));
    }
    if let Some(minor) = rule.minor {
        checks.push((0x55, MINOR, number(minor)?));
    }
    let mut code = Vec::new();
    // To be allowed, all that is asked must be in the rule; to be denied, any of it.
    let (mask, jump) = if rule.allow { (!access & 7, 0x55) } else { (access, 0x15) };
    let after = |left: usize| i16::try_from(left).unwrap_or(i16::MAX);
    let tail = 5;
    for (at, (jump, register, value)) in checks.iter().enumerate() {
        code.push(instruction(*jump, *register, 0, after(checks.len() - at - 1 + tail), *value));
    }
    code.push(instruction(0xbf, PART, ACCESS, 0, 0));
    code.push(instruction(0x54, PART, 0, 0, mask));
    code.push(instruction(jump, PART, 0, 2, 0));
    code.extend(exit_with(rule.allow));
    Ok(code)
}

#[cfg(test)]
mod tests;
