//! The command line of runc: global options, a verb, its options and its words.
//!
//! Pure, except that it asks who is calling. Options are taken as Go's flags are: with one dash or
//! two, with the value behind `=` or as the next word.

use std::path::PathBuf;

use super::{Result, refused};

/// What was asked for.
#[derive(Debug, Default)]
pub struct Call {
    /// Where containers are kept.
    pub root: PathBuf,
    /// Options before the verb.
    pub globals: Vec<(String, String)>,
    /// The verb.
    pub verb: String,
    /// Options behind it, under their long names.
    pub options: Vec<(String, String)>,
    /// Everything else.
    pub words: Vec<String>,
}

/// A long name, a short one or none, and whether a value follows.
type Flag = (&'static str, &'static str, bool);

const GLOBALS: &[Flag] = &[
    ("root", "", true),
    ("log", "", true),
    ("log-format", "", true),
    ("debug", "", false),
    ("systemd-cgroup", "", false),
    ("rootless", "", true),
    ("criu", "", true),
    ("version", "v", false),
    ("help", "h", false),
];

const CREATE: &[Flag] = &[
    ("bundle", "b", true),
    ("console-socket", "", true),
    ("pid-file", "", true),
    ("no-pivot", "", false),
    ("no-new-keyring", "", false),
    ("preserve-fds", "", true),
    ("detach", "d", false),
    ("keep", "", false),
    ("no-subreaper", "", false),
];

const EXEC: &[Flag] = &[
    ("process", "p", true),
    ("tty", "t", false),
    ("detach", "d", false),
    ("pid-file", "", true),
    ("console-socket", "", true),
    ("cwd", "", true),
    ("env", "e", true),
    ("user", "u", true),
    ("additional-gids", "g", true),
    ("cap", "c", true),
    ("no-new-privs", "", false),
    ("apparmor", "", true),
    ("process-label", "", true),
    ("preserve-fds", "", true),
    ("cgroup", "", true),
    ("ignore-paused", "", false),
    ("no-subreaper", "", false),
];

const UPDATE: &[Flag] = &[
    ("resources", "r", true),
    ("blkio-weight", "", true),
    ("cpu-period", "", true),
    ("cpu-quota", "", true),
    ("cpu-burst", "", true),
    ("cpu-share", "", true),
    ("cpu-rt-period", "", true),
    ("cpu-rt-runtime", "", true),
    ("cpuset-cpus", "", true),
    ("cpuset-mems", "", true),
    ("cpu-idle", "", true),
    ("kernel-memory", "", true),
    ("kernel-memory-tcp", "", true),
    ("memory", "", true),
    ("memory-reservation", "", true),
    ("memory-swap", "", true),
    ("pids-limit", "", true),
    ("l3-cache-schema", "", true),
    ("mem-bw-schema", "", true),
];

/// Each verb, what it is for, how it is called, and its options.
const VERBS: &[(&str, &str, &str, &[Flag])] = &[
    ("checkpoint", "not supported by this runtime", "<container-id>", &[]),
    ("create", "create a container", "<container-id>", CREATE),
    (
        "delete",
        "delete any resources held by a container",
        "<container-id>",
        &[("force", "f", false)],
    ),
    (
        "events",
        "display container statistics",
        "<container-id>",
        &[("interval", "", true), ("stats", "", false)],
    ),
    ("exec", "execute new process inside the container", "<container-id> <command> [args]", EXEC),
    ("features", "show the enabled features", "", &[]),
    ("hook", "", "", &[]),
    (
        "kill",
        "send a signal to a container's init process",
        "<container-id> [signal]",
        &[("all", "a", false)],
    ),
    ("list", "list containers", "", &[("format", "f", true), ("quiet", "q", false)]),
    ("pause", "suspend all processes inside the container", "<container-id>", &[]),
    (
        "ps",
        "display the processes of a container",
        "<container-id> [ps options]",
        &[("format", "f", true)],
    ),
    ("resume", "resume all processes that have been paused", "<container-id>", &[]),
    ("restore", "not supported by this runtime", "<container-id>", &[]),
    ("run", "create and run a container", "<container-id>", CREATE),
    (
        "spec",
        "create a new specification file",
        "",
        &[("bundle", "b", true), ("rootless", "", false)],
    ),
    ("start", "execute the program of a created container", "<container-id>", &[]),
    ("state", "output the state of a container", "<container-id>", &[]),
    ("update", "update container resource constraints", "<container-id>", UPDATE),
    ("version", "", "", &[]),
];

/// Reads a command line.
pub fn parse(words: &[String]) -> Result<Call> {
    let mut call = Call::default();
    let mut rest = take(words, GLOBALS, &mut call.globals, true)?.into_iter();
    call.root = call.global("root").map_or_else(|| PathBuf::from("/run/skerry/oci"), PathBuf::from);
    if call.has_global("version") {
        "version".clone_into(&mut call.verb);
        return Ok(call);
    }
    call.verb = match rest.next() {
        Some(verb) if !call.has_global("help") => verb,
        _ => "help".to_owned(),
    };
    if call.verb == "help" {
        call.verb = rest.next().unwrap_or_default();
        call.options.push(("help".to_owned(), String::new()));
        return Ok(call);
    }
    let Some((.., flags)) = VERBS.iter().find(|(verb, ..)| *verb == call.verb) else {
        return refused(format!("No help topic for '{}'", call.verb));
    };
    let rest: Vec<String> = rest.collect();
    // What follows the container's name belongs to the program.
    let stop = ["exec", "ps"].contains(&call.verb.as_str());
    call.words = take(&rest, flags, &mut call.options, stop)?;
    Ok(call)
}

fn take(
    words: &[String],
    flags: &[Flag],
    found: &mut Vec<(String, String)>,
    stop_at_word: bool,
) -> Result<Vec<String>> {
    let mut words = words.iter();
    let mut plain = Vec::new();
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        let name = match name {
            Some("") if word == "--" => {
                plain.extend(words.cloned());
                return Ok(plain);
            }
            // A bare dash, and a number such as -1, are words.
            Some(name) if !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) => {
                name
            }
            _ => {
                plain.push(word.clone());
                if stop_at_word {
                    plain.extend(words.cloned());
                    return Ok(plain);
                }
                continue;
            }
        };
        let (name, value) = name.split_once('=').map_or((name, None), |(n, v)| (n, Some(v)));
        if ["help", "h"].contains(&name) {
            found.push(("help".to_owned(), String::new()));
            continue;
        }
        let known = flags.iter().find(|(long, short, _)| name == *long || name == *short);
        let Some((long, _, takes_value)) = known.filter(|_| !name.is_empty()) else {
            return refused(format!("flag provided but not defined: -{name}"));
        };
        let value = match (takes_value, value) {
            (true, Some(value)) => value.to_owned(),
            (true, None) => match words.next() {
                Some(value) => value.clone(),
                None => return refused(format!("flag needs an argument: -{name}")),
            },
            (false, Some("false")) => continue,
            (false, _) => String::new(),
        };
        found.push(((*long).to_owned(), value));
    }
    Ok(plain)
}

impl Call {
    /// The last value of an option.
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every value of an option.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether an option is given.
    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The value of a global option.
    pub fn global(&self, name: &str) -> Option<&str> {
        let found = self.globals.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a global option is given.
    pub fn has_global(&self, name: &str) -> bool {
        self.global(name).is_some()
    }

    /// Whether it is only to be told what there is.
    pub fn wants_help(&self) -> bool {
        self.has("help")
    }

    /// An option that is a number.
    pub fn number(&self, name: &str) -> Result<Option<u32>> {
        let Some(text) = self.value(name) else { return Ok(None) };
        let wrong = || refused(format!("invalid value \"{text}\" for flag -{name}"));
        text.parse().map_or_else(|_| wrong(), |number| Ok(Some(number)))
    }

    /// The container that is meant.
    pub fn id(&self) -> Result<&str> {
        match self.words.first() {
            Some(id) if !id.is_empty() => Ok(id),
            _ => refused("container id cannot be empty"),
        }
    }

    /// The container that is meant, and nothing else.
    pub fn only_id(&self) -> Result<&str> {
        if self.words.len() > 1 {
            let verb = &self.verb;
            return refused(format!("skerry oci: \"{verb}\" requires exactly 1 argument(s)"));
        }
        self.id()
    }

    /// Refuses what this runtime cannot do for anybody.
    pub fn check_host(&self) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            return refused(
                "containers without root are not supported: run as root (rootless cgroups need \
                 a service manager, which this runtime does without)",
            );
        }
        if self.has_global("systemd-cgroup") {
            return refused(
                "--systemd-cgroup is not supported: this runtime manages control groups itself; \
                 use the cgroupfs manager",
            );
        }
        Ok(())
    }
}

/// What there is to call.
pub fn help(name: &str, verb: &str) -> String {
    let mut text = String::new();
    if let Some((verb, what, usage, flags)) = VERBS.iter().find(|(known, ..)| *known == verb) {
        text += &format!("NAME:\n   {name} {verb} - {what}\n\nUSAGE:\n");
        text += &format!("   {name} {verb} [command options] {usage}\n\nOPTIONS:\n");
        for (long, short, value) in *flags {
            let short = if short.is_empty() { String::new() } else { format!(", -{short}") };
            text += &format!("   --{long}{short}{}\n", if *value { " value" } else { "" });
        }
        return text;
    }
    text += &format!("NAME:\n   {name} - Open Container Initiative runtime\n\nUSAGE:\n");
    text += &format!("   {name} [global options] command [command options] [arguments...]\n\n");
    text += "COMMANDS:\n";
    for (verb, what, ..) in VERBS.iter().filter(|(_, what, ..)| !what.is_empty()) {
        text += &format!("   {verb:<10} {what}\n");
    }
    text += "\nGLOBAL OPTIONS:\n";
    for (long, _, value) in GLOBALS {
        text += &format!("   --{long}{}\n", if *value { " value" } else { "" });
    }
    text
}

#[cfg(test)]
mod tests;
