//! Skerry as a contestant: the monitor alone, as the node starts it.
//! The whole way through the node's local API is in `node.rs`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::contestant::{Contestant, Mode};
use crate::error::Error;
use crate::process::wait;
use crate::sandbox::{CGROUP_PARENT, CPU_QUOTA, MEMORY, PIDS};

/// `skerry monitor RUN_DIR`: what the node starts for each agent.
pub struct Monitor {
    /// The device binary.
    pub program: PathBuf,
    /// The unpacked root file system.
    pub rootfs: PathBuf,
    /// The run folder.
    pub run_dir: PathBuf,
    /// The folder of the agent's log.
    pub log_dir: PathBuf,
}

impl Monitor {
    fn launch(&self, mode: Mode) -> Value {
        json!({
            "format": 1,
            "agent": "bench",
            "instance": "bench",
            "lowers": [self.rootfs],
            "args": ["/probe", mode.word()],
            "hostname": "skerry",
            "limits": {
                "memory_bytes": MEMORY,
                "cpu_millis": CPU_QUOTA / 100,
                "pids": PIDS,
            },
            "cgroup": format!("/{CGROUP_PARENT}/skerry"),
            "log": {"dir": self.log_dir, "max_bytes": 1 << 20, "files": 1},
        })
    }

    fn why_not(&self, status: &str) -> Error {
        let said = ["failed.json", "monitor.log", "exit.json"]
            .iter()
            .filter_map(|name| std::fs::read_to_string(self.run_dir.join(name)).ok())
            .collect::<Vec<_>>()
            .join("\n");
        Error::Command { command: "skerry monitor".into(), status: status.to_owned(), said }
    }
}

impl Contestant for Monitor {
    fn name(&self) -> &'static str {
        "skerry monitor"
    }

    fn how(&self) -> String {
        "write launch.json, then `skerry monitor RUN_DIR` (with log pump and exit record)".into()
    }

    fn start(&mut self, mode: Mode) -> Result<String, Error> {
        let dir = &self.run_dir;
        std::fs::create_dir_all(dir).map_err(|e| Error::at("make", dir, e))?;
        let launch = dir.join("launch.json");
        std::fs::write(&launch, self.launch(mode).to_string())
            .map_err(|e| Error::at("write", &launch, e))?;
        let mut monitor = Command::new(&self.program)
            .arg("monitor")
            .arg(dir)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Error::at("start", &self.program, e))?;
        let status = wait(&mut monitor, "skerry monitor")?;
        let log = self.log_dir.join("agent.log");
        std::fs::read_to_string(&log).map_err(|_| self.why_not(&status.to_string()))
    }

    fn clear(&mut self) -> Result<(), Error> {
        remove_cgroups(&self.run_dir.join("state.json"))?;
        for dir in [&self.run_dir, &self.log_dir] {
            std::fs::remove_dir_all(dir).map_err(|e| Error::at("remove", dir, e))?;
        }
        Ok(())
    }
}

/// Removes the cgroups that a monitor's state names, which the node does otherwise.
fn remove_cgroups(state: &Path) -> Result<(), Error> {
    let text = std::fs::read_to_string(state).map_err(|e| Error::at("read", state, e))?;
    let state: Value = serde_json::from_str(&text).map_err(|_| Error::form("state.json", &text))?;
    let cgroups = state.get("cgroups").and_then(Value::as_array);
    for cgroup in cgroups.into_iter().flatten().filter_map(Value::as_str) {
        match std::fs::remove_dir(cgroup) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::at("remove", Path::new(cgroup), e));
            }
            _ => {}
        }
    }
    Ok(())
}
