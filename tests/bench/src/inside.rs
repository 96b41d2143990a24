//! Reads what `probe show` prints: what a sandbox looks like from inside, to tell whether the
//! contestants made the same thing. Pure. Next: `report.rs`.

use std::collections::{BTreeMap, BTreeSet};

/// A sandbox, seen from inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Namespaces as the kernel names them, by kind.
    pub namespaces: BTreeMap<String, String>,
    /// Mount points with their file system type and whether they can be written.
    pub mounts: BTreeSet<String>,
    /// Effective capabilities, as the kernel prints them.
    pub capabilities: String,
    /// Whether no_new_privs is set.
    pub no_new_privs: bool,
    /// Whether a seccomp filter is in force.
    pub seccomp: bool,
}

/// Takes the parts out of the probe's text.
pub fn read(said: &str) -> Inside {
    let mut inside = Inside::default();
    let mut part = "";
    for line in said.lines() {
        // A log may stand a prefix before each line.
        if let Some((_, name)) = line.split_once("== ") {
            part = name;
            continue;
        }
        match part {
            "namespaces" => {
                let link = line.rsplit(' ').next().unwrap_or(line);
                if let Some((kind, number)) = link.split_once(":[") {
                    let number = number.trim_end_matches(']').to_owned();
                    inside.namespaces.insert(kind.to_owned(), number);
                }
            }
            "/proc/self/mountinfo" => inside.mounts.extend(mount(line)),
            "/proc/self/status" => status(line, &mut inside),
            _ => {}
        }
    }
    inside
}

/// `36 35 0:21 / /proc rw,nosuid - proc proc rw` becomes `/proc proc rw`.
fn mount(line: &str) -> Option<String> {
    let (front, back) = line.split_once(" - ")?;
    let kind = back.split(' ').next()?;
    let mut fields = front.split(' ').skip_while(|field| !is_device(field)).skip(2);
    let (target, options) = (fields.next()?, fields.next()?);
    let access = options.split(',').next()?;
    // The root's own file system differs by design: a folder bound, or an overlay.
    let kind = if target == "/" { "root" } else { kind };
    Some(format!("{target} {kind} {access}"))
}

/// Two numbers with a colon: what stands before the mount's own path, and in no log prefix.
fn is_device(field: &str) -> bool {
    let parts = field.split_once(':');
    parts.is_some_and(|(a, b)| a.parse::<u32>().is_ok() && b.parse::<u32>().is_ok())
}

fn status(line: &str, inside: &mut Inside) {
    let value = || line.rsplit(['\t', ' ']).next().unwrap_or_default().to_owned();
    if line.contains("CapEff:") {
        inside.capabilities = value();
    } else if line.contains("NoNewPrivs:") {
        inside.no_new_privs = value() == "1";
    } else if line.contains("Seccomp:") {
        inside.seccomp = value() == "2";
    }
}

#[cfg(test)]
mod tests;
