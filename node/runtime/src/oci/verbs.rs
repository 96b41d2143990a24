//! The verbs that look at a container, signal it, stop it, change its limits, or end it.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::args::Call;
use super::cgroup::Resources;
use super::config;
use super::log::Log;
use super::state::{Container, Shown, Status, oci_version};
use super::{Result, hooks, refused, system};
use crate::sys;

/// How long processes that are killed may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// `--version`.
pub fn version(name: &str) -> Result<u8> {
    println!("{name} version {}", env!("CARGO_PKG_VERSION"));
    println!("commit: skerry {}\nspec: {}", env!("CARGO_PKG_VERSION"), oci_version());
    Ok(0)
}

/// `state`.
pub fn state(call: &Call) -> Result<u8> {
    let container = Container::load(&call.root, call.only_id()?)?;
    print_json(&container.shown())
}

fn print_json(value: &impl serde::Serialize) -> Result<u8> {
    let failed = |error| system("cannot write JSON")(std::io::Error::from(error));
    // Through a value: the pretty printer for each type would be a second copy of what writes it.
    let value: serde_json::Value =
        serde_json::to_vec(value).and_then(|text| serde_json::from_slice(&text)).map_err(failed)?;
    println!("{}", serde_json::to_string_pretty(&value).map_err(failed)?);
    Ok(0)
}

/// `list`.
pub fn list(call: &Call) -> Result<u8> {
    let containers = Container::all(&call.root)?;
    if call.has("quiet") {
        containers.iter().for_each(|container| println!("{}", container.record.id));
        return Ok(0);
    }
    let shown: Vec<Shown> = containers.iter().map(Container::shown).collect();
    match call.value("format").unwrap_or("table") {
        "json" => {
            let text = serde_json::to_string(&shown).map_err(std::io::Error::from);
            println!("{}", text.map_err(system("cannot write JSON"))?);
            Ok(0)
        }
        "table" => {
            let columns = ["id", "pid", "status", "bundle", "created", "owner"];
            let rows = shown.iter().map(|one| {
                let bundle = one.bundle.display().to_string();
                let (pid, status) = (one.pid.to_string(), one.status.to_owned());
                [one.id.clone(), pid, status, bundle, one.created.clone(), one.owner.clone()]
            });
            let title = columns.map(str::to_uppercase);
            let rows: Vec<[String; 6]> = std::iter::once(title).chain(rows).collect();
            for row in &rows {
                let cells = row.iter().enumerate().map(|(at, cell)| {
                    let column = rows.iter().filter_map(|row| row.get(at));
                    let width = column.map(String::len).max().unwrap_or(0).max(9) + 3;
                    format!("{cell:<width$}")
                });
                println!("{}", cells.collect::<String>().trim_end());
            }
            Ok(0)
        }
        _ => refused("invalid format option"),
    }
}

/// `kill`.
pub fn kill(call: &Call) -> Result<u8> {
    if call.words.len() > 2 {
        return refused("kill takes a container and a signal");
    }
    let container = Container::load(&call.root, call.id()?)?;
    let signal = signal_number(call.words.get(1).map_or("SIGTERM", String::as_str))?;
    let tree = container.tree()?;
    let shares_processes = container.config()?.namespace("pid").is_none();
    if call.has("all") {
        tree.signal_all(signal)?;
        return Ok(0);
    }
    let Some(init) = container.init() else { return refused("container not running") };
    if shares_processes && signal == nix::libc::SIGKILL {
        // Nobody else would end what it has started.
        tree.signal_all(signal)?;
        return Ok(0);
    }
    sys::send_signal(init.as_fd(), signal).map_err(system("cannot signal the container"))?;
    if signal == nix::libc::SIGKILL && tree.is_frozen() {
        tree.freeze(false)?;
    }
    Ok(0)
}

/// A signal by its number, or by its name with or without SIG.
fn signal_number(text: &str) -> Result<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) { Ok(number) } else { refused("invalid signal") };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = real_time(name) {
        return Ok(number);
    }
    match format!("SIG{name}").parse::<nix::sys::signal::Signal>() {
        Ok(signal) => Ok(signal as i32),
        Err(_) => refused(format!("unknown signal \"{text}\"")),
    }
}

/// `RTMIN+3`, `RTMAX-1`, and the two ends.
fn real_time(name: &str) -> Option<i32> {
    let (base, rest) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => (34, rest),
        (_, Some(rest)) => (64, rest),
        _ => return None,
    };
    let offset: i32 = if rest.is_empty() { 0 } else { rest.parse().ok()? };
    Some(base + offset).filter(|number| (34..=64).contains(number))
}

/// `delete`.
pub fn delete(call: &Call, log: &Log) -> Result<u8> {
    let id = call.only_id()?;
    let force = call.has("force");
    let container = match Container::load(&call.root, id) {
        Ok(container) => container,
        Err(_) if force && !call.root.join(id).exists() => return Ok(0),
        Err(error) => return Err(error),
    };
    match container.status() {
        Status::Running | Status::Paused if !force => refused(format!(
            "cannot delete container {id} that is not stopped: {}\n",
            container.status().name()
        )),
        _ => {
            end(&container)?;
            unmake(&container, log);
            match container.dir.exists() {
                true => refused(format!("cannot remove {}", container.dir.display())),
                false => Ok(0),
            }
        }
    }
}

/// Kills the first process, if there is one, and waits until it is gone.
fn end(container: &Container) -> Result<()> {
    let Some(init) = container.init() else { return Ok(()) };
    sys::send_signal(init.as_fd(), nix::libc::SIGKILL)
        .map_err(system("cannot kill the container"))?;
    if let Ok(tree) = container.tree()
        && tree.is_frozen()
    {
        tree.freeze(false)?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        let mut fds = [PollFd::new(&init, PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(0) => return refused("container init still running"),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(system("cannot wait for the container")(errno)),
        }
    }
}

/// Ends and removes all there is of a container. Goes on after a failure, and tells it.
pub fn unmake(container: &Container, log: &Log) {
    let tell = |error: &super::OciError| log.warn(&super::sentence(error));
    if let Err(error) = end(container) {
        tell(&error);
    }
    match container.tree() {
        Ok(tree) => {
            if let Err(error) = tree.kill(PATIENCE) {
                tell(&error);
            }
            tree.remove().iter().for_each(|error| log.warn(error));
        }
        Err(error) => tell(&error),
    }
    // Before the folder goes: after a power cut in between they would never have run.
    match container.config() {
        Ok(config) => {
            let state = container.oci_state("stopped", 0);
            hooks::run_anyway(&config.hooks, "poststop", &state, log);
        }
        Err(error) => tell(&error),
    }
    if let Err(error) = std::fs::remove_dir_all(&container.dir) {
        log.warn(&format!("cannot remove {}: {error}", container.dir.display()));
    }
}

/// `pause` and `resume`.
pub fn freeze(call: &Call, frozen: bool) -> Result<u8> {
    let container = Container::load(&call.root, call.only_id()?)?;
    match (container.status(), frozen) {
        (Status::Running | Status::Created, true) | (Status::Paused, false) => {
            container.tree()?.freeze(frozen)?;
            Ok(0)
        }
        (_, true) => refused("container not running"),
        (_, false) => refused("container not paused"),
    }
}

/// `ps`.
pub fn ps(call: &Call) -> Result<u8> {
    let container = Container::load(&call.root, call.id()?)?;
    let pids = container.tree()?.pids()?;
    match call.value("format").unwrap_or("table") {
        "json" => {
            println!("{}", json!(pids));
            return Ok(0);
        }
        "table" => {}
        _ => return refused("invalid format option"),
    }
    let mut options: Vec<&str> = call.words.iter().skip(1).map(String::as_str).collect();
    if options.is_empty() {
        options.push("-ef");
    }
    let shown = std::process::Command::new("ps").args(&options).output();
    let shown = shown.map_err(system("cannot run ps"))?;
    let text = String::from_utf8_lossy(&shown.stdout);
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    let Some(column) = title.split_ascii_whitespace().position(|name| name == "PID") else {
        return refused("couldn't find PID field in ps output");
    };
    println!("{title}");
    for line in lines {
        let pid = line.split_ascii_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid| pids.contains(&pid)) {
            println!("{line}");
        }
    }
    Ok(0)
}

/// `update`.
pub fn update(call: &Call) -> Result<u8> {
    let mut container = Container::load(&call.root, call.only_id()?)?;
    if container.status() == Status::Stopped {
        return refused("container not running");
    }
    let wanted = match call.value("resources") {
        Some(path) => config::typed(&config::read_json(Path::new(path))?, "resources")?,
        None => super::limits::asked(call)?,
    };
    let wanted: Resources = wanted;
    container.tree()?.apply(&wanted)?;
    super::limits::remember(&mut container.record.config, &wanted);
    container.save()?;
    Ok(0)
}

/// `features`.
pub fn features() -> Result<u8> {
    print_json(&super::facts::features())
}

#[cfg(test)]
mod tests {
    use super::signal_number;

    #[test]
    fn signals_have_names_and_numbers() {
        let number = |text| signal_number(text).ok();
        assert_eq!(number("SIGKILL"), Some(9));
        assert_eq!(number("kill"), Some(9));
        assert_eq!(number("15"), Some(15));
        assert_eq!(number("SIGRTMIN+3"), Some(37));
        assert_eq!(number("RTMAX"), Some(64));
        assert_eq!(number("nonsense"), None);
        assert_eq!(number("65"), None);
    }
}
