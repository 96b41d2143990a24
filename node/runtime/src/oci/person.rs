//! Becoming the program: the folder, the user, what it may do, its environment, the filter, exec.
//!
//! Done by the container's first process (`init.rs`) and by programs beside it (`exec.rs`) alike, as
//! the very last steps, by a process that is inside the container and still has every right. It
//! never leaves the program more than its description says.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities,
};
use serde_json::Value;

use super::config::{Capabilities, Process};
use super::{OciError, Result, refused, system};
use crate::launch::{Profile, Rule, Seccomp};
use crate::program::{self, ProgramError};
use crate::seccomp::Filter;
use crate::sys;

/// Checks what can be checked before anything is made.
pub fn check(process: &Process) -> Result<()> {
    for limit in &process.rlimits {
        if resource(&limit.name).is_none() {
            return refused(format!("invalid rlimit type: {}", limit.name));
        }
    }
    if process.user.umask.is_some_and(|umask| umask > 0o777) {
        return refused("invalid umask");
    }
    Ok(())
}

/// The filter of `linux.seccomp`; none if there is none.
pub fn filter(profile: Option<&Value>) -> Result<Filter> {
    let Some(profile) = profile else { return Ok(Filter::default()) };
    let mut profile = profile.clone();
    if let Some(fields) = profile.as_object_mut() {
        let flags = fields.remove("flags");
        // Logging is the kernel's decision, and one filter holds for the one thread there is.
        let harmless = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"];
        for flag in flags.as_ref().and_then(Value::as_array).into_iter().flatten() {
            if !flag.as_str().is_some_and(|flag| harmless.contains(&flag)) {
                return refused(format!("seccomp flag {flag} is not supported"));
            }
        }
    }
    let wrong = |why: String| OciError::Refused(format!("seccomp: {why}"));
    let mut profile: Profile =
        serde_json::from_value(profile).map_err(|error| wrong(error.to_string()))?;
    profile.syscalls = without_contradictions(profile.syscalls);
    profile.syscalls = profile.syscalls.into_iter().flat_map(one_by_one).collect();
    Filter::new(&Seccomp::Profile(profile), &[]).map_err(|error| wrong(super::sentence(&error)))
}

/// Of several rules for one call, one without conditions holds alone, and of those the first: so
/// has libseccomp, and the profiles that are written for it count on it.
fn without_contradictions(rules: Vec<Rule>) -> Vec<Rule> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.args.is_empty()) {
        for name in &rule.names {
            first.entry(name.clone()).or_insert(at);
        }
    }
    let kept = rules.into_iter().enumerate().map(|(at, mut rule)| {
        rule.names.retain(|name| first.get(name).is_none_or(|first| *first == at));
        rule
    });
    kept.collect()
}

/// Conditions of one rule about the same argument are rules of their own, as runc has it.
fn one_by_one(rule: Rule) -> Vec<Rule> {
    let mut indices: Vec<u32> = rule.args.iter().map(|argument| argument.index).collect();
    indices.sort_unstable();
    if indices.windows(2).all(|pair| pair.first() != pair.last()) {
        return vec![rule];
    }
    rule.args.iter().map(|argument| Rule { args: vec![*argument], ..rule.clone() }).collect()
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name.strip_prefix("RLIMIT_")? {
        "AS" => Resource::As,
        "CORE" => Resource::Core,
        "CPU" => Resource::Cpu,
        "DATA" => Resource::Data,
        "FSIZE" => Resource::Fsize,
        "LOCKS" => Resource::Locks,
        "MEMLOCK" => Resource::Memlock,
        "MSGQUEUE" => Resource::Msgqueue,
        "NICE" => Resource::Nice,
        "NOFILE" => Resource::Nofile,
        "NPROC" => Resource::Nproc,
        "RSS" => Resource::Rss,
        "RTPRIO" => Resource::Rtprio,
        "RTTIME" => Resource::Rttime,
        "SIGPENDING" => Resource::Sigpending,
        "STACK" => Resource::Stack,
        _ => return None,
    })
}

/// Someone who is about to become a program.
#[derive(Clone)]
pub struct Person {
    pub process: Process,
    pub filter: Filter,
    /// Descriptors from 3 on that the program gets.
    pub preserve: u32,
}

impl Person {
    /// Becomes the program. What is to be done just before it, as its user, is `before`.
    pub fn become_program(
        &self,
        before: impl FnOnce(&[String]) -> Result<()>,
    ) -> Result<Infallible> {
        let process = &self.process;
        let umask = process.user.umask.unwrap_or(0o022);
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        self.own_streams();
        let env = environment(process, self.preserve);
        // Some folders may be entered by root alone, others by the user alone.
        let entered = std::env::set_current_dir(&process.cwd);
        if process.no_new_privileges {
            rustix::thread::set_no_new_privs(true)
                .map_err(system("cannot renounce new privileges"))?;
        }
        let sets = self.take_on()?;
        if entered.is_err() {
            let failed = format!("chdir to cwd (\"{}\") set in config.json failed", process.cwd);
            std::env::set_current_dir(&process.cwd).map_err(system(failed))?;
        }
        check_folder()?;
        let path = find(&process.args, &env)?;
        let execute = || format!("exec {}", path.display());
        let c_string =
            |text: &str| CString::new(text).map_err(|e| system(execute())(std::io::Error::from(e)));
        let c_strings = |texts: &[String]| -> Result<Vec<CString>> {
            texts.iter().map(|text| c_string(text)).collect()
        };
        let c_path = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|error| system(execute())(std::io::Error::from(error)))?;
        let (args, c_env) = (c_strings(&process.args)?, c_strings(&env)?);
        self.filter.apply().map_err(|error| OciError::Refused(super::sentence(&error)))?;
        if self.needs_more_to_filter() {
            set_capabilities(None, sets).map_err(system("unable to apply caps"))?;
        }
        // What runs just before the program runs under its filter.
        before(&env)?;
        sys::restore_signals();
        let Err(errno) = nix::unistd::execve(&c_path, &args, &c_env);
        Err(system(execute())(errno))
    }

    /// Without the promise never to gain privileges, only an administrator may filter himself.
    fn needs_more_to_filter(&self) -> bool {
        !self.process.no_new_privileges && !self.filter.is_none()
    }

    /// Limits, bounding set, groups, user, capabilities. Returns what it may keep in the end.
    fn take_on(&self) -> Result<CapabilitySets> {
        use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
        let none = Capabilities::default();
        let wanted = self.process.capabilities.as_ref().unwrap_or(&none);
        let have = capabilities(None).map_err(system("cannot look at capabilities"))?.permitted;
        let sets = CapabilitySets {
            effective: set(&wanted.effective),
            permitted: set(&wanted.permitted),
            inheritable: set(&wanted.inheritable),
        };
        let lacking = (sets.permitted | sets.effective) - have;
        if !lacking.is_empty() {
            let names: Vec<_> =
                lacking.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
            let names = names.join(", ");
            return refused(format!("unable to apply caps: this system itself lacks {names}"));
        }
        let bounding = set(&wanted.bounding);
        for number in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            // The first that this kernel does not know ends the list.
            if !bounding.contains(one) && remove_capability_from_bounding_set(one).is_err() {
                break;
            }
        }
        self.limit()?;
        let user = &self.process.user;
        set_keep_capabilities(true).map_err(system("cannot keep capabilities"))?;
        let groups: Vec<_> = user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
        setgroups(&groups).map_err(system("cannot take on the additional groups"))?;
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        setresgid(gid, gid, gid).map_err(system(format!("setgid {gid}")))?;
        setresuid(uid, uid, uid).map_err(system(format!("setuid {uid}")))?;
        set_keep_capabilities(false).map_err(system("cannot let go of capabilities"))?;
        let more = match self.needs_more_to_filter() {
            true => CapabilitySet::SYS_ADMIN,
            false => CapabilitySet::empty(),
        };
        let for_now = CapabilitySets {
            effective: sets.effective | more,
            permitted: sets.permitted | more,
            ..sets
        };
        set_capabilities(None, for_now).map_err(system("unable to apply caps"))?;
        clear_ambient_capability_set().map_err(system("cannot clear ambient capabilities"))?;
        for one in set(&wanted.ambient).iter() {
            // Those that are not inheritable cannot be ambient; runc passes over them as well.
            let _ = configure_capability_in_ambient_set(one, true);
        }
        Ok(sets)
    }

    fn limit(&self) -> Result<()> {
        for limit in &self.process.rlimits {
            let Some(resource) = resource(&limit.name) else { continue };
            let number = |value: u64| (value != u64::MAX).then_some(value);
            let (current, maximum) = (number(limit.soft), number(limit.hard));
            let wanted = rustix::process::Rlimit { current, maximum };
            setrlimit(resource, wanted)
                .map_err(system(format!("error setting rlimit type {}", limit.name)))?;
        }
        Ok(())
    }

    /// The streams belong to the user, so that it can open them by name.
    fn own_streams(&self) {
        let user = &self.process.user;
        let (stdin, stdout, stderr) =
            (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
        if let (true, Some(size)) = (self.process.terminal, self.process.console_size) {
            let size = rustix::termios::Winsize {
                ws_row: size.height,
                ws_col: size.width,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            // A terminal that cannot be told keeps the size it has.
            let _ = rustix::termios::tcsetwinsize(stdin, size);
        }
        for stream in [stdin, stdout, stderr] {
            let Ok(stat) = rustix::fs::fstat(stream.as_fd()) else { continue };
            // /dev/null is everybody's.
            let null = rustix::fs::makedev(1, 3) == stat.st_rdev;
            if stat.st_uid == user.uid || null {
                continue;
            }
            let uid = rustix::fs::Uid::from_raw(user.uid);
            // Of a file system that is read-only or another's, it stays whose it is.
            let _ = rustix::fs::fchown(stream, Some(uid), None);
        }
    }
}

/// Names that this kernel or this program does not know are passed over, as runc does.
fn set(names: &[String]) -> CapabilitySet {
    let known = names.iter().filter_map(|name| name.strip_prefix("CAP_"));
    known.filter_map(CapabilitySet::from_name).collect()
}

/// The file to execute, with errors in the words by which podman tells 126 from 127.
pub fn find(args: &[String], env: &[String]) -> Result<PathBuf> {
    let name = args.first().map_or("", String::as_str);
    program::find(name, env).map_err(|error| {
        OciError::Refused(match error {
            ProgramError::NotInPath { name, .. } => {
                format!("exec: \"{name}\": executable file not found in $PATH")
            }
            ProgramError::Absent { name } => {
                format!("exec: \"{name}\": stat {name}: no such file or directory")
            }
            ProgramError::Forbidden { name } => format!("exec: \"{name}\": permission denied"),
            other => super::sentence(&other),
        })
    })
}

/// A folder outside the container's root would be a way out of it.
fn check_folder() -> Result<()> {
    match nix::unistd::getcwd() {
        Ok(cwd) if cwd.is_absolute() => Ok(()),
        _ => refused(
            "current working directory is outside of container mount namespace root -- possible \
             container breakout detected",
        ),
    }
}

/// The program's environment: the last of each name, and a HOME.
pub fn environment(process: &Process, preserve: u32) -> Vec<String> {
    let mut env: Vec<String> = Vec::new();
    for entry in &process.env {
        let key = entry.split_inclusive('=').next().unwrap_or_default();
        if key.ends_with('=') && key.len() > 1 {
            env.retain(|known| !known.starts_with(key));
            env.push(entry.clone());
        }
    }
    if !env.iter().any(|entry| entry.starts_with("HOME=") && entry.len() > 5) {
        env.retain(|entry| !entry.starts_with("HOME="));
        env.push(format!("HOME={}", home(process.user.uid)));
    }
    if let Some(count) = listen_fds().filter(|count| *count <= preserve) {
        env.push(format!("LISTEN_FDS={count}"));
        env.push("LISTEN_PID=1".to_owned());
    }
    env
}

/// How many descriptors the caller hands on by systemd's convention.
pub fn listen_fds() -> Option<u32> {
    std::env::var("LISTEN_FDS").ok()?.parse().ok().filter(|count| *count > 0)
}

/// By the container's own list of users.
fn home(uid: u32) -> String {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open("/etc/passwd")
        .and_then(|file| file.take(1 << 20).read_to_string(&mut text));
    let lines = if read.is_ok() { text.as_str() } else { "" }.lines();
    let mut lines = lines.map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find_map(|fields| match fields.as_slice() {
        [_, _, number, _, _, home, ..] if number.parse() == Ok(uid) => Some((*home).to_owned()),
        _ => None,
    });
    found.filter(|home| !home.is_empty()).unwrap_or_else(|| "/".to_owned())
}

/// Makes the program's folder where the image lacks it.
pub fn make_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let failed = format!("mkdir {}", path.display());
    std::fs::create_dir_all(path).map_err(system(failed))
}
