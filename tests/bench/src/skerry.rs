//! Skerry as a contestant: the monitor alone, started and cleaned up exactly as the node does it.
//! The whole way through the node's local API is in `node.rs`.

use std::path::PathBuf;

use skerry_runtime::launch::{Launch, Limits, LogPolicy};
use skerry_runtime::{clean, spawn};

use crate::contestant::{Contestant, Mode};
use crate::error::Error;
use crate::process::readable;
use crate::sandbox::{CAPABILITIES, CGROUP_PARENT, CPU_QUOTA, MEMORY, PIDS};

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
    fn launch(&self, mode: Mode) -> Launch {
        Launch {
            agent: "bench".into(),
            instance: "bench".into(),
            lowers: vec![self.rootfs.clone()],
            args: vec!["/probe".into(), mode.word().into()],
            hostname: "skerry".into(),
            limits: Limits {
                memory_bytes: Some(MEMORY),
                cpu_millis: u32::try_from(CPU_QUOTA / 100).ok(),
                pids: u32::try_from(PIDS).ok(),
                ..Limits::default()
            },
            cgroup: format!("/{CGROUP_PARENT}/skerry").into(),
            log: LogPolicy {
                dir: self.log_dir.clone(),
                max_bytes: 1 << 20,
                files: 1,
                rate_limit: None,
            },
            capabilities: CAPABILITIES.iter().map(|(name, _)| (*name).to_owned()).collect(),
            ..Launch::default()
        }
    }

    /// What the monitor has left in place of a log.
    fn why_not(&self) -> Error {
        let said = ["failed.json", "exit.json", "monitor.log"]
            .iter()
            .filter_map(|name| std::fs::read_to_string(self.run_dir.join(name)).ok())
            .collect::<Vec<_>>()
            .join("\n");
        Error::Command { command: "skerry monitor".into(), status: "no log".into(), said }
    }
}

impl Contestant for Monitor {
    fn name(&self) -> &'static str {
        "skerry monitor"
    }

    fn how(&self) -> String {
        "the node's own `spawn`: launch.json, `skerry monitor RUN_DIR` (with log, records and \
         limits read back)"
            .into()
    }

    fn start(&mut self, mode: Mode) -> Result<String, Error> {
        let launch = self.launch(mode);
        let mut monitor = spawn(&self.program, &self.run_dir, &launch)
            .map_err(|e| Error::of("spawn", "the monitor", std::io::Error::other(e)))?;
        readable(&monitor.pidfd, "the monitor's end")?;
        let collected = monitor.collect().map_err(|e| Error::of("collect", "the monitor", e))?;
        let said = std::fs::read_to_string(self.log_dir.join("agent.log"));
        match said {
            Ok(said) if collected && !said.is_empty() => Ok(said),
            _ => Err(self.why_not()),
        }
    }

    fn clear(&mut self) -> Result<(), Error> {
        if let Some(error) = clean(&self.run_dir).into_iter().next() {
            return Err(Error::of("clean up after", "the monitor", std::io::Error::other(error)));
        }
        let dir = &self.log_dir;
        std::fs::remove_dir_all(dir).map_err(|e| Error::at("remove", dir, e))
    }
}
