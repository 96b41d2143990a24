//! Which configuration counts: the person's, else the last one that worked, else the image's own.
//!
//! A person edits `/boot/skerry.toml` on a laptop and may break it. The device must come up all the same,
//! so the last text with which the node ran is kept on the data partition. Next: `node.rs`, which tries
//! them in turn when the node refuses one.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::clock::write_aside;
use crate::device::{self, Settings};
use crate::tell::{Level, announce, tell};

/// The person's.
pub const BOOT: &str = "/boot/skerry.toml";
/// The last that worked.
pub const GOOD: &str = "/data/device/skerry.toml";
/// The image's own.
pub const VENDOR: &str = "/usr/lib/skerry/skerry.toml";

const FILE_MAX: u64 = 1 << 20;

/// A configuration that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Its file.
    pub file: &'static str,
    /// Its text, as it was read.
    pub text: String,
    /// What it says of the device.
    pub settings: Settings,
}

/// Those that can be read and are TOML, best first. What is wrong with the others is told.
pub fn usable(files: &[&'static str]) -> Vec<Configuration> {
    files.iter().filter_map(|file| read(file)).collect()
}

fn read(file: &'static str) -> Option<Configuration> {
    let mut text = String::new();
    let opened =
        fs::File::open(file).and_then(|open| open.take(FILE_MAX).read_to_string(&mut text));
    if let Err(error) = opened {
        // There is no good one before the first boot is over, and that is as it should be.
        if file != GOOD {
            announce(format!("{file}: {error}"));
        }
        return None;
    }
    match device::parse(&text) {
        Ok(settings) => {
            for problem in &settings.problems {
                announce(format!("{file}: {problem}; the default stands"));
            }
            Some(Configuration { file, text, settings })
        }
        Err(error) => {
            announce(format!("{file} is broken: {}", error.to_string().trim_end()));
            None
        }
    }
}

/// Keeps the text with which the node has run, if it is not kept yet.
pub fn keep(text: &str) {
    if fs::read_to_string(GOOD).is_ok_and(|kept| kept == text) {
        return;
    }
    match write_aside(Path::new(GOOD), text.as_bytes()) {
        Ok(()) => tell(Level::Info, "this configuration works; kept a copy"),
        Err(error) => tell(Level::Error, error),
    }
}
