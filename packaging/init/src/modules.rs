//! Kernel modules: which ones a name or a device needs, in which order, and loading them.
//!
//! Reads what `depmod` wrote at build time (`modules.dep`, `.alias`, `.softdep`). It replaces modprobe:
//! the kernel calls it under that name too. A module that does not load is told and passed over: most
//! often its device is simply not there.

use std::collections::{BTreeSet, HashSet, btree_set};
use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::kmod::{ModuleInitFlags, finit_module};

use crate::tell::{Level, tell};
use crate::trouble::{Doing, Trouble};

/// What `depmod` knows: its lists as they are. Nothing is sorted beforehand: a boot asks a few dozen
/// questions, which costs less than building a map of thousands of entries first.
#[derive(Debug, Default)]
pub struct Index {
    /// `FILE: FILE…`: a module, and those it needs, nearest first.
    dep: String,
    /// `alias PATTERN MODULE`.
    alias: String,
    /// `softdep MODULE pre: NAME… post: NAME…`: what to load before, if it is there.
    softdep: String,
}

impl Index {
    /// With the texts of the three files; lines that make no sense are passed over.
    pub fn new(dep: String, alias: String, softdep: String) -> Self {
        Self { dep, alias, softdep }
    }

    /// The modules that a name stands for: its own, else those whose alias matches.
    pub fn resolve(&self, name: &str) -> BTreeSet<&str> {
        if let Some((file, _)) = self.file(name) {
            return BTreeSet::from([name_of(file)]);
        }
        let mut found = BTreeSet::new();
        for line in self.alias.lines() {
            let mut words = line.split(' ');
            let (Some("alias"), Some(pattern)) = (words.next(), words.next()) else { continue };
            if matches(pattern.as_bytes(), name.as_bytes()) {
                found.extend(words.next());
            }
        }
        found
    }

    /// The files to load for a module, in order; each once.
    pub fn order(&self, module: &str) -> Vec<&str> {
        let mut order = Vec::new();
        self.append(module, &mut order, 8);
        order
    }

    fn append<'a>(&'a self, module: &str, order: &mut Vec<&'a str>, depth: u8) {
        let Some((file, needs)) = self.file(module) else { return };
        let Some(depth) = depth.checked_sub(1) else { return };
        if order.contains(&file) {
            return;
        }
        for other in self.before(module).flat_map(|name| self.resolve(name)) {
            self.append(other, order, depth);
        }
        for need in needs.split_whitespace().rev() {
            // A needed module may have a wish of its own (libcrc32c wants some crc32c).
            self.append(name_of(need), order, depth);
        }
        if !order.contains(&file) {
            order.push(file);
        }
    }

    /// A module's file, and the files it needs.
    fn file(&self, module: &str) -> Option<(&str, &str)> {
        let rows = self.dep.lines().filter_map(|line| line.split_once(':'));
        rows.into_iter().find(|(file, _)| equal(name_of(file), module))
    }

    fn before(&self, module: &str) -> impl Iterator<Item = &str> {
        let rows = self.softdep.lines().filter_map(|line| line.strip_prefix("softdep "));
        let row = rows.filter_map(|row| row.split_once(' ')).find(|(name, _)| equal(name, module));
        let words = row.map_or("", |(_, words)| words).split_whitespace();
        words.skip_while(|word| *word != "pre:").skip(1).take_while(|word| !word.ends_with(':'))
    }
}

/// Loads modules, each file once.
#[derive(Debug, Default)]
pub struct Loader {
    folder: PathBuf,
    index: Index,
    done: HashSet<String>,
}

impl Loader {
    /// For the running kernel. Without its modules the loader loads nothing, and says so.
    pub fn new() -> Self {
        let release = nix::sys::utsname::uname()
            .map(|uname| uname.release().to_string_lossy().into_owned())
            .unwrap_or_default();
        let folder = Path::new("/lib/modules").join(release);
        let read = |name: &str| {
            fs::read_to_string(folder.join(name)).unwrap_or_else(|error| {
                tell(Level::Warning, format!("{}: {error}", folder.join(name).display()));
                String::new()
            })
        };
        let index = Index::new(read("modules.dep"), read("modules.alias"), read("modules.softdep"));
        Self { folder, index, done: HashSet::new() }
    }

    /// Loads what a name or a device's alias stands for; whether there was anything.
    pub fn load(&mut self, name: &str) -> bool {
        let modules: Vec<String> =
            self.index.resolve(name).into_iter().map(str::to_owned).collect();
        for module in &modules {
            for file in self.index.order(module) {
                if self.done.insert(file.to_owned()) {
                    insert(&self.folder.join(file));
                }
            }
        }
        !modules.is_empty()
    }

    /// Loads the drivers of every device that is there. A driver may bring new devices: those
    /// announce themselves as events.
    pub fn cold_plug(&mut self, sys: &Path) {
        for alias in devices(sys) {
            self.load(&alias);
        }
    }
}

/// The kernel's own wish: `modprobe -q -- NAME`.
pub fn modprobe(name: &str) -> ExitCode {
    if Loader::new().load(name) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn insert(path: &Path) {
    match try_insert(path) {
        Ok(()) => {}
        Err(error) => tell(Level::Info, error),
    }
}

fn try_insert(path: &Path) -> Result<(), Trouble> {
    let file = fs::File::open(path).doing("open the module", path.display())?;
    let empty: &CStr = c"";
    match finit_module(&file, empty, ModuleInitFlags::empty()) {
        Ok(()) | Err(nix::Error::EEXIST) => Ok(()),
        Err(error) => Err(error).doing("load the module", path.display()),
    }
}

/// What every device of every bus is found by; each alias once.
pub fn devices(sys: &Path) -> btree_set::IntoIter<String> {
    let folders = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    folders(sys.join("bus"))
        .flat_map(|bus| folders(bus.path().join("devices")))
        .filter_map(|device| fs::read_to_string(device.path().join("modalias")).ok())
        .map(|alias| alias.trim().to_owned())
        .filter(|alias| !alias.is_empty())
        .collect::<BTreeSet<String>>()
        .into_iter()
}

fn name_of(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split_once(".ko").map_or(name, |(name, _)| name)
}

/// Whether two names are the same; `-` and `_` are, in a module's name.
fn equal(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(a, b)| alike(a, b))
}

fn alike(one: u8, other: u8) -> bool {
    one == other || matches!((one, other), (b'-', b'_') | (b'_', b'-'))
}

/// A shell pattern against a whole name: `*`, `?` and `[a-z]`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when the text after the last `*` turns out not to match.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(b'[') => set(&pattern[p..], name[n]),
            Some(b'?') => Some(1),
            Some(letter) if alike(*letter, name[n]) => Some(1),
            _ => None,
        };
        match (step, retry) {
            (Some(width), _) => (p, n) = (p + width, n + 1),
            (None, Some((after, from))) => {
                retry = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

/// The width of the set `[…]` at the start of the pattern, if it has the letter.
fn set(pattern: &[u8], letter: u8) -> Option<usize> {
    let end = pattern.iter().position(|byte| *byte == b']')?;
    let mut members = pattern.get(1..end)?;
    while let [first, rest @ ..] = members {
        let (last, rest) = match rest {
            [b'-', last, rest @ ..] => (last, rest),
            _ => (first, rest),
        };
        if (*first..=*last).contains(&letter) {
            return Some(end + 1);
        }
        members = rest;
    }
    None
}

#[cfg(test)]
mod tests;
