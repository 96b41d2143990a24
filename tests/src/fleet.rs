//! The operator's tool as an operator uses it: from a folder that holds keys and documents.
//!
//! It only runs the program and hands back what it printed. What the folder holds is the tool's own
//! affair; tests look at it through the tool.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Background, Output, run, run_with_input, subject};
use crate::scratch::Scratch;

/// The operator's tool in one folder.
#[derive(Debug)]
pub struct Fleet {
    program: PathBuf,
    folder: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

impl Fleet {
    /// The tool, in an empty folder of the scratch place.
    ///
    /// # Panics
    /// When `SKERRY_FLEET_BIN` names no program.
    #[must_use]
    pub fn new(scratch: &Scratch) -> Self {
        let program = subject("SKERRY_FLEET_BIN");
        Self { program, folder: scratch.folder("fleet"), environment: Vec::new() }
    }

    /// The folder it works in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sets a variable for every later command.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// Runs one command to its end.
    ///
    /// # Panics
    /// When it can't be started or does not end in a minute.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        run(&mut self.command(arguments))
    }

    /// Runs one command to its end with something on its standard input.
    ///
    /// # Panics
    /// When it can't be started or does not end in a minute.
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Output {
        run_with_input(&mut self.command(arguments), input)
    }

    /// Starts a command that goes on, `broker` or `watch`; `name` is its log's.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Background {
        let log = self.folder.join(format!("{name}.log"));
        Background::start(name, &mut self.command(arguments), &log)
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}
