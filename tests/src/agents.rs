//! Agents as a person at a shell sees them: an image to run, and what `ps`, `inspect` and `logs` say.
//!
//! Everything here goes through the command line of a [`Node`]. It must not look into the node's own
//! files; where a test wants the kernel's word it reads `/proc` and the cgroups itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::node::Node;
use crate::process::subject;
use crate::scratch::Scratch;

/// The longest that any change of an agent may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What of busybox is put into the image, beside the sensor.
const TOOLS: [&str; 17] = [
    "sh", "cat", "echo", "true", "false", "sleep", "touch", "ls", "test", "rm", "nc", "hostname",
    "id", "readlink", "usleep", "ps", "kill",
];

/// A folder to pack: `/sensor`, and a few tools in `/bin`.
///
/// # Panics
/// When it can't be made, or a program is missing.
#[must_use]
pub fn root_folder(scratch: &Scratch) -> PathBuf {
    let root = scratch.folder("root");
    let bin = scratch.folder("root/bin");
    copy(&subject("SKERRY_SENSOR_BIN"), &root.join("sensor"));
    let busybox = Path::new("/bin/busybox");
    assert!(busybox.is_file(), "/bin/busybox is missing: apt-get install busybox-static");
    copy(busybox, &bin.join("busybox"));
    for tool in TOOLS {
        let link = bin.join(tool);
        if !link.exists() {
            symlink("busybox", &link).unwrap_or_else(|error| panic!("{tool}: {error}"));
        }
    }
    root
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

impl Node {
    /// Puts an image with the sensor and a few tools into the store, under the name `sensor`.
    ///
    /// # Panics
    /// When that fails.
    pub fn with_sensor(&self, scratch: &Scratch) {
        let root = root_folder(scratch);
        let root = root.to_string_lossy();
        let pack = ["image", "pack", &root, "--entrypoint", "/sensor", "--name", "sensor"];
        let _ = self.cli(pack).ok();
    }

    /// What `ps -a` says of an agent; nothing when it is not known.
    ///
    /// # Panics
    /// When `ps` fails.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<Value> {
        let list = self.cli(["ps", "-a", "--format", "json"]).ok().json();
        list.as_array()?.iter().find(|agent| agent["name"] == name).cloned()
    }

    /// What `inspect` says of an agent.
    ///
    /// # Panics
    /// When it is not known.
    #[must_use]
    pub fn inspect(&self, name: &str) -> Value {
        self.cli(["inspect", name]).ok().json()[0].clone()
    }

    /// The process of an agent that runs.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid_of(&self, name: &str) -> u64 {
        let agent = self.agent(name);
        let pid = agent.as_ref().and_then(|agent| agent["pid"].as_u64());
        pid.unwrap_or_else(|| panic!("agent {name} should run, but: {agent:?}\n{}", self.log()))
    }

    /// Waits until an agent is in a state, and returns what `ps -a` says of it then.
    ///
    /// # Panics
    /// When it does not get there.
    pub fn until_state(&self, name: &str, state: &str) -> Value {
        self.until_agent(name, &format!("is {state}"), |agent| agent["state"] == state)
    }

    /// Waits until what `ps -a` says of an agent is as wanted.
    ///
    /// # Panics
    /// When it does not get there.
    pub fn until_agent(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until(&format!("agent {name} {what}"), PATIENCE, |node| {
            node.agent(name).filter(|agent| wanted(agent))
        })
    }

    /// Applies agents written as YAML.
    ///
    /// # Panics
    /// When they are refused.
    pub fn apply(&self, yaml: &str) -> Value {
        let wish = ["apply", "-f", "-", "--format", "json"];
        self.cli_with_input(wish, yaml.as_bytes()).ok().json()
    }

    /// What a line for the shell prints inside an agent.
    ///
    /// # Panics
    /// When it fails.
    pub fn inside(&self, name: &str, line: &str) -> String {
        self.cli(["exec", name, "/bin/sh", "-c", line]).ok().stdout.trim_end().to_owned()
    }

    /// Waits until an agent has printed a line that is as wanted, and returns it.
    ///
    /// # Panics
    /// When it does not.
    pub fn until_line(&self, name: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.until(&format!("a line of {name}"), PATIENCE, |node| {
            node.lines_of(name).into_iter().find(|line| wanted(line))
        })
    }

    /// The lines that an agent has printed, as far as they are kept.
    ///
    /// # Panics
    /// When the node does not know the agent.
    #[must_use]
    pub fn lines_of(&self, name: &str) -> Vec<String> {
        self.cli(["logs", name]).ok().stdout.lines().map(str::to_owned).collect()
    }
}

/// Whether a process is there and not merely waiting to be collected.
#[must_use]
pub fn lives(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// The sensor's sequence numbers among its lines.
#[must_use]
pub fn sequence(lines: &[String]) -> Vec<u64> {
    let values = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    values.filter_map(|value| value["seq"].as_u64()).collect()
}
