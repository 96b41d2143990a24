//! The kernel's own account of how it was built, where it gives one; only the options that checks
//! name. What counts is what works: this only helps to say what to do.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::CHECKS;

/// A configuration is some 300 KiB.
const BYTES_MAX: u64 = 4 << 20;

/// How an option is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Built in.
    BuiltIn,
    /// Built as a module.
    Module,
    /// Left out.
    Off,
}

/// The options that were found out, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    source: Option<PathBuf>,
    set: BTreeMap<&'static str, Setting>,
}

impl Options {
    /// Reads `/proc/config.gz`, or what distributions put beside their kernels.
    pub fn read(release: &str) -> Self {
        let beside = [
            PathBuf::from(format!("/boot/config-{release}")),
            PathBuf::from(format!("/lib/modules/{release}/config")),
        ];
        let packed = Path::new("/proc/config.gz");
        if let Ok(file) = File::open(packed) {
            return Self::parse(packed, flate2::read::GzDecoder::new(file));
        }
        let plain = beside.iter().find_map(|path| Some((path, File::open(path).ok()?)));
        plain.map_or_else(Self::default, |(path, file)| Self::parse(path, file))
    }

    /// Takes the options that checks name out of a kernel's configuration.
    pub fn parse(source: &Path, text: impl Read) -> Self {
        let names = || CHECKS.iter().flat_map(|check| check.options.iter().copied());
        let mut found = BTreeMap::new();
        for line in BufReader::new(text.take(BYTES_MAX)).lines().map_while(Result::ok) {
            let Some((name, value)) =
                line.strip_prefix("CONFIG_").and_then(|line| line.split_once('='))
            else {
                continue;
            };
            let setting = if value == "m" { Setting::Module } else { Setting::BuiltIn };
            found.extend(names().find(|known| *known == name).map(|known| (known, setting)));
        }
        if found.is_empty() {
            // Not a kernel's configuration, or one of a kernel that could not even boot.
            return Self::default();
        }
        let set = names().map(|name| (name, found.get(name).copied().unwrap_or(Setting::Off)));
        Self { source: Some(source.to_owned()), set: set.collect() }
    }

    /// How one option is set, if that is known.
    pub fn of(&self, name: &str) -> Option<Setting> {
        self.set.get(name).copied()
    }

    /// What to do to get what these options give.
    pub fn advice(&self, names: &[&str]) -> String {
        let with = |setting| {
            let found = names.iter().filter(|name| self.of(name) == Some(setting));
            found.map(|name| format!("CONFIG_{name}")).collect::<Vec<_>>().join(", ")
        };
        let all = || names.iter().map(|n| format!("CONFIG_{n}")).collect::<Vec<_>>().join(", ");
        let Some(source) = &self.source else {
            return format!("use a kernel with {}, and load its module if it is one", all());
        };
        let source = source.display();
        match (with(Setting::Off), with(Setting::Module)) {
            (off, _) if !off.is_empty() => {
                format!("use a kernel with {off} ({source} says that it is left out)")
            }
            (_, modules) if !modules.is_empty() => {
                format!("load the module of {modules} ({source} says that it is one)")
            }
            _ => format!(
                "{} is in the kernel ({source}): look for what forbids it, such as a container \
                 around this or a security module",
                all()
            ),
        }
    }
}
