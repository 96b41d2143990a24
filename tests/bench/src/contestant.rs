//! What takes part in the race: something that starts the probe and can be cleared away. The
//! bare ones are here; `oci.rs` has other runtimes, `skerry.rs` ours.
//! A contestant never measures itself: `race.rs` holds the clock.

use std::io::pipe;
use std::path::PathBuf;
use std::process::Command;

use crate::error::Error;
use crate::process::{read_all, run};

/// What the probe does after its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Leave at once.
    Once,
    /// Print what the sandbox looks like from inside, then leave.
    Show,
}

impl Mode {
    /// The probe's argument.
    pub fn word(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Show => "show",
        }
    }
}

/// Something that can start the probe.
pub trait Contestant {
    /// Its name in the tables.
    fn name(&self) -> &'static str;
    /// The commands that a start consists of, for the reader of the report.
    fn how(&self) -> String;
    /// Starts the probe and returns all that it said.
    ///
    /// # Errors
    /// When the probe did not run, or did not end.
    fn start(&mut self, mode: Mode) -> Result<String, Error>;
    /// Removes what the start left behind.
    ///
    /// # Errors
    /// When something could not be removed, so that the next start would not be clean.
    fn clear(&mut self) -> Result<(), Error>;
}

/// The probe as a plain child process: no isolation at all.
pub struct Bare {
    /// The probe on the host.
    pub probe: PathBuf,
    /// Where errors are kept.
    pub errors: PathBuf,
}

impl Contestant for Bare {
    fn name(&self) -> &'static str {
        "plain process"
    }

    fn how(&self) -> String {
        "spawn of the probe, no isolation".into()
    }

    fn start(&mut self, mode: Mode) -> Result<String, Error> {
        said_by(Command::new(&self.probe).arg(mode.word()), &self.errors)
    }

    fn clear(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// The floor program.
pub struct Floor {
    /// Its name in the tables.
    pub name: &'static str,
    /// How it joins its cgroups, for the reader.
    pub joins: &'static str,
    /// The program, built from `native/floor.c`.
    pub program: PathBuf,
    /// Its plan.
    pub plan: PathBuf,
    /// Where errors are kept.
    pub errors: PathBuf,
}

impl Contestant for Floor {
    fn name(&self) -> &'static str {
        self.name
    }

    fn how(&self) -> String {
        format!("floor PLAN /probe (native/floor.c; {})", self.joins)
    }

    fn start(&mut self, mode: Mode) -> Result<String, Error> {
        let mut command = Command::new(&self.program);
        said_by(command.arg(&self.plan).args(["/probe", mode.word()]), &self.errors)
    }

    fn clear(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Runs a command to its end and returns what it wrote to its output.
pub fn said_by(command: &mut Command, errors: &std::path::Path) -> Result<String, Error> {
    let what = format!("{command:?}");
    let (reader, writer) = pipe().map_err(|e| Error::of("make", "a pipe", e))?;
    run(command.stdout(writer), errors)?;
    read_all(reader, &what)
}
