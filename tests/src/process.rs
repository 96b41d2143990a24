//! Programs under test as processes: run to the end, or kept in the background with a log.
//!
//! It kills only what it started. Nothing here knows what a program is for; see [`crate::node`],
//! [`crate::fleet`] and [`crate::mosquitto`] for that.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::until::until_or_dump;

/// The longest that a command which should return at once may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// How much of a log goes into a failure's text.
const LOG_TAIL: usize = 16 * 1024;

/// What a command that came to its end left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// The output of a command that must have succeeded.
    ///
    /// # Panics
    /// When it did not, with everything it printed.
    #[must_use = "its output is what was asked for; `let _ =` when success is all"]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "should have succeeded: {self}");
        self
    }

    /// The output of a command that must have been refused.
    ///
    /// # Panics
    /// When it succeeded, or died of a signal (a crash is no refusal).
    #[must_use = "a test should look at the reason too"]
    pub fn refused(self) -> Self {
        let code = self.status.code();
        assert!(code.is_some_and(|code| code != 0), "should have been refused: {self}");
        self
    }

    /// Standard output read as one JSON value.
    ///
    /// # Panics
    /// When it isn't one.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("should have printed JSON ({error}): {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "`{command}` ({status})\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// Runs a command to its end, with nothing on its standard input.
///
/// # Panics
/// When it can't be started, or takes longer than a minute.
pub fn run(command: &mut Command) -> Output {
    run_with_input(command, &[])
}

/// Runs a command to its end, with `input` on its standard input.
///
/// # Panics
/// When it can't be started, or takes longer than a minute.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let line = line_of(command);
    // Files, not pipes: what it prints can't block it, and a child that it leaves can't block us.
    let mut stdin = tempfile::tempfile().expect("a temporary file for stdin");
    let mut stdout = tempfile::tempfile().expect("a temporary file for stdout");
    let mut stderr = tempfile::tempfile().expect("a temporary file for stderr");
    stdin.write_all(input).expect("writing a command's input");
    stdin.rewind().expect("rewinding a command's input");
    let mut child = command
        .stdin(stdin)
        .stdout(stdout.try_clone().expect("a second handle for stdout"))
        .stderr(stderr.try_clone().expect("a second handle for stderr"))
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start `{line}`: {error}"));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("waiting for a child") {
            Some(status) => break Some(status),
            None if start.elapsed() > COMMAND_LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let (stdout, stderr) = (read_back(&mut stdout), read_back(&mut stderr));
    match status {
        Some(status) => Output { command: line, status, stdout, stderr },
        None => panic!(
            "`{line}` did not end in {COMMAND_LIMIT:?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}"
        ),
    }
}

/// A program that runs until the test ends it. It dies with this value.
#[derive(Debug)]
pub struct Background {
    what: String,
    child: Child,
    log: PathBuf,
}

impl Background {
    /// Starts `command` with both its outputs appended to the file `log`.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(what: &str, command: &mut Command, log: &Path) -> Self {
        let line = line_of(command);
        let sink = File::options().create(true).append(true).open(log);
        let sink = sink.unwrap_or_else(|error| panic!("cannot open {}: {error}", log.display()));
        let child = command
            .stdin(Stdio::null())
            .stdout(sink.try_clone().expect("a second handle for a log"))
            .stderr(sink)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {what} (`{line}`): {error}"));
        Self { what: what.to_owned(), child, log: log.to_owned() }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// When the kernel won't say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("waiting for a child")
    }

    /// The end of what it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let tail = text.get(text.len().saturating_sub(LOG_TAIL)..).unwrap_or_default();
        format!("-- log of {}\n{}", self.what, String::from_utf8_lossy(tail))
    }

    /// Ends it with SIGKILL, as a crash would, and collects it.
    ///
    /// # Panics
    /// When it can't be waited for.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("waiting for a killed child");
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it has not ended in `deadline`.
    pub fn stop(&mut self, deadline: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        let Self { what, child, log } = self;
        until_or_dump(
            &format!("{what} ends after SIGTERM"),
            deadline,
            || child.try_wait().expect("waiting for a child"),
            || fs::read_to_string(&*log).unwrap_or_default(),
        )
    }

    /// Sends it a signal, unless it has ended.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_some() {
            return;
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a child has a pid");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("signal {}: {error}", self.what));
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program that an environment variable names.
///
/// # Panics
/// When it names none that exists, with the command that builds it.
#[must_use]
pub fn subject(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    match path {
        Some(path) if path.is_file() => path,
        Some(path) => {
            panic!("{variable} names {}, which is no file: run tests/run", path.display())
        }
        None => panic!(
            "{variable} is not set. `sudo tests/run -p skerry-tests` builds the programs under test \
             and sets it"
        ),
    }
}

/// Makes sure that a command can be found.
///
/// # Panics
/// When it can't, with the command that installs it.
pub fn need_tool(command: &str, package: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(command).is_file());
    assert!(found, "`{command}` is not installed: apt-get install {package} (tests/run does it)");
}

/// Makes sure that the test runs as root.
///
/// # Panics
/// When it does not.
pub fn need_root() {
    let root = rustix::process::geteuid().is_root();
    assert!(root, "this test starts containers, which needs root: sudo tests/run");
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn read_back(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("rewinding a command's output");
    file.read_to_end(&mut bytes).expect("reading a command's output");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
