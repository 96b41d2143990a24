//! Which devices an agent may open: the standard ones, and no others.
//!
//! On version 1 by rules in `devices.deny` and `devices.allow`; on version 2 by a small program
//! that the kernel runs at each opening. Making device files is allowed, as it gives no access.

use std::io;
use std::path::{Path, PathBuf};

use super::put;

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
    let rule = |file: &str, rule: &'static str| {
        let path = dir.join(file);
        put(&path, rule).map_err(|source| DeviceError::Rule { rule, path, source })
    };
    rule("devices.deny", "a")?;
    ALLOWED.iter().try_for_each(|allowed| rule("devices.allow", allowed))
}

/// Not written yet: the caller records that devices are not enforced.
pub(super) fn attach(_dir: &Path) -> Result<bool, DeviceError> {
    Ok(false)
}
