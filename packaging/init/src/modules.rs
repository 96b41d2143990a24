//! Kernel modules: which ones a name or a device needs, in which order, and loading them.
//!
//! Reads what `depmod` wrote at build time (`modules.dep`, `.alias`, `.softdep`). It replaces modprobe:
//! the kernel calls it under that name too. A module that does not load is told and passed over: most
//! often its device is simply not there.

use std::collections::{BTreeSet, HashMap, HashSet, btree_set};
use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::kmod::{ModuleInitFlags, finit_module};

use crate::tell::{Level, tell};
use crate::trouble::{Doing, Trouble};

/// What `depmod` knows, parsed.
#[derive(Debug, Default)]
pub struct Index {
    /// By name: its file, and the files it needs, nearest first.
    files: HashMap<String, (String, Vec<String>)>,
    /// By what stands before the first `:` of the pattern (all of it, when there is none).
    aliases: HashMap<String, Vec<(String, String)>>,
    /// By name: what to load before, if it is there.
    before: HashMap<String, Vec<String>>,
}

impl Index {
    /// Parses the three files; lines that make no sense are passed over.
    pub fn parse(dep: &str, alias: &str, softdep: &str) -> Self {
        let mut index = Self::default();
        for line in dep.lines() {
            let Some((file, needs)) = line.split_once(':') else { continue };
            let needs = needs.split_whitespace().map(str::to_owned).collect();
            index.files.insert(name_of(file), (file.to_owned(), needs));
        }
        for line in alias.lines() {
            let mut words = line.split_whitespace();
            if let (Some("alias"), Some(pattern), Some(name)) =
                (words.next(), words.next(), words.next())
            {
                let entry = (dashes_equal(pattern), dashes_equal(name));
                index.aliases.entry(bucket(&entry.0).to_owned()).or_default().push(entry);
            }
        }
        for line in softdep.lines() {
            let Some(rest) = line.strip_prefix("softdep ") else { continue };
            let mut words = rest.split_whitespace();
            let Some(name) = words.next() else { continue };
            let before = words.skip_while(|word| *word != "pre:").skip(1);
            let before = before.take_while(|word| !word.ends_with(':')).map(str::to_owned);
            index.before.insert(dashes_equal(name), before.collect());
        }
        index
    }

    /// The modules that a name stands for: its own, else those whose alias matches.
    pub fn resolve(&self, name: &str) -> BTreeSet<&str> {
        let name = dashes_equal(name);
        if let Some((own, _)) = self.files.get_key_value(&name) {
            return BTreeSet::from([own.as_str()]);
        }
        let Some(entries) = self.aliases.get(bucket(&name)) else { return BTreeSet::new() };
        let matching = entries.iter().filter(|(pattern, _)| matches(pattern, &name));
        matching.map(|(_, module)| module.as_str()).collect()
    }

    /// The files to load for a module, in order; each once.
    pub fn order(&self, module: &str) -> Vec<&str> {
        let mut order = Vec::new();
        self.append(module, &mut order, 8);
        order
    }

    fn append<'a>(&'a self, module: &str, order: &mut Vec<&'a str>, depth: u8) {
        let Some((file, needs)) = self.files.get(module) else { return };
        let Some(depth) = depth.checked_sub(1) else { return };
        let before = self.before.get(module).into_iter().flatten();
        for other in before.flat_map(|name| self.resolve(name)) {
            self.append(other, order, depth);
        }
        for need in needs.iter().rev() {
            // A needed module may have a wish of its own (libcrc32c wants some crc32c).
            self.append(&name_of(need), order, depth);
        }
        if !order.contains(&file.as_str()) {
            order.push(file);
        }
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
        let (dep, alias) = (read("modules.dep"), read("modules.alias"));
        let index = Index::parse(&dep, &alias, &read("modules.softdep"));
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

fn name_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    dashes_equal(name.split_once(".ko").map_or(name, |(name, _)| name))
}

/// `-` and `_` are the same in a module's name; within `[…]` of a pattern `-` is a range.
fn dashes_equal(name: &str) -> String {
    let mut inside = false;
    let mut swap = |letter| match letter {
        '[' => {
            inside = true;
            letter
        }
        ']' => {
            inside = false;
            letter
        }
        '-' if !inside => '_',
        _ => letter,
    };
    name.chars().map(&mut swap).collect()
}

fn bucket(pattern: &str) -> &str {
    pattern.split(':').next().unwrap_or(pattern)
}

/// A shell pattern against a whole name: `*`, `?` and `[a-z]`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
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
            Some(letter) if *letter == name[n] => Some(1),
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
