//! Describes the machine and the moment of a measurement, for the head of the report.

use std::path::Path;
use std::process::Command;

use crate::sandbox::Cgroups;

/// Where and when something was measured.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor, with how many cores.
    pub processor: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Operating system and kernel.
    pub system: String,
    /// Kind of cgroups.
    pub cgroups: &'static str,
    /// The date and time, in UTC.
    pub date: String,
    /// Processes that wanted to run, averaged over a minute, at the beginning: noise.
    pub load: String,
}

/// Describes this machine now.
pub fn describe(cgroups: Cgroups) -> Machine {
    let text = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = value(&text("/proc/cpuinfo"), "model name")
        .or_else(|| Some(text("/proc/device-tree/model")).filter(|model| !model.is_empty()))
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let total = value(&text("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let total = total.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
    let release = text("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.unwrap_or("Linux").trim_matches('"');
    Machine {
        processor: format!("{} × {cores} ({})", model.trim_matches('\0'), std::env::consts::ARCH),
        memory_mib: total / 1024,
        system: format!("{name}, Linux {}", text("/proc/sys/kernel/osrelease").trim()),
        cgroups: match cgroups {
            Cgroups::V1 => "v1 (or hybrid)",
            Cgroups::V2 => "v2",
        },
        date: output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        load: text("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned(),
    }
}

/// The first line of what a program says of its version, or its name.
pub fn version(program: &Path) -> String {
    let said = output(program, &["--version"]);
    said.lines().next().map_or_else(|| program.display().to_string(), str::to_owned)
}

fn output(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

fn value(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
