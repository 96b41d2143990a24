//! Other OCI runtimes, driven by their command lines as a container engine drives them.
//! They get the bundle of `sandbox.rs`; their state lives where ours does, on a tmpfs.

use std::io::pipe;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Pid;

use crate::contestant::{Contestant, Mode};
use crate::error::Error;
use crate::process::{read_all, reap, run};

/// How a runtime is asked to start a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One command: `run --detach`.
    Run,
    /// Two commands: `create`, then `start`, as containerd does.
    CreateStart,
}

/// An OCI runtime's command line.
pub struct Oci {
    /// Its name in the tables.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// One command or two.
    pub style: Style,
    /// The folder with a bundle for each mode, named by the mode's word.
    pub bundles: PathBuf,
    /// The container's name, which is also its cgroup's.
    pub id: String,
    /// The runtime's own state folder.
    pub state: PathBuf,
    /// Where errors are kept.
    pub errors: PathBuf,
}

impl Oci {
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.state).arg(verb);
        command
    }

    fn pid_file(&self) -> PathBuf {
        self.state.with_extension("pid")
    }

    fn container_pid(&self) -> Result<Pid, Error> {
        let path = self.pid_file();
        let text = std::fs::read_to_string(&path).map_err(|e| Error::at("read", &path, e))?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| Error::form("a pid file", &text))
    }
}

impl Contestant for Oci {
    fn name(&self) -> &'static str {
        self.name
    }

    fn how(&self) -> String {
        let program = self.program.file_name().unwrap_or_default().to_string_lossy();
        match self.style {
            Style::Run => format!("{program} run --detach --pid-file F --bundle B ID"),
            Style::CreateStart => {
                format!("{program} create --pid-file F --bundle B ID, then {program} start ID")
            }
        }
    }

    fn start(&mut self, mode: Mode) -> Result<String, Error> {
        let (reader, writer) = pipe().map_err(|e| Error::of("make", "a pipe", e))?;
        let mut first = match self.style {
            Style::Run => {
                let mut command = self.command("run");
                command.arg("--detach");
                command
            }
            Style::CreateStart => self.command("create"),
        };
        first.arg("--pid-file").arg(self.pid_file());
        first.arg("--bundle").arg(self.bundles.join(mode.word())).arg(&self.id);
        run(first.stdout(writer), &self.errors)?;
        if self.style == Style::CreateStart {
            run(self.command("start").arg(&self.id), &self.errors)?;
        }
        read_all(reader, self.name)
    }

    fn clear(&mut self) -> Result<(), Error> {
        reap(self.container_pid()?, self.name)?;
        run(self.command("delete").arg(&self.id), &self.errors)
    }
}
