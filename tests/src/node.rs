//! A real node process with its own state, run folder, cgroup and log, and its command line.
//!
//! [`Node::setup`] writes a configuration and starts the program; the node can then be crashed,
//! stopped and started again on the same state. Agents that it leaves behind are ended by the
//! [`Scratch`] place it lives in, which must therefore be declared before it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use toml::{Table, Value};

use crate::mosquitto::{Access, Mosquitto};
use crate::process::{Background, Output, need_root, run, run_with_input, subject};
use crate::scratch::Scratch;
use crate::until::until_or_dump;

/// How long a node may take until its API answers.
const START_LIMIT: Duration = Duration::from_secs(15);

/// A node before its first start.
#[derive(Debug)]
pub struct NodeSetup {
    name: String,
    program: PathBuf,
    folder: PathBuf,
    config: Table,
    environment: Vec<(OsString, OsString)>,
}

/// A node process. It is crashed when this value goes; its agents stay until the scratch place goes.
#[derive(Debug)]
pub struct Node {
    setup: NodeSetup,
    process: Background,
}

impl NodeSetup {
    /// Sets a key of the configuration; a dotted one goes into its section (`broker.url`).
    ///
    /// # Panics
    /// When a section of that name is a value already.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut table = &mut self.config;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), value.into());
                break;
            }
            let section = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            table = section.as_table_mut().unwrap_or_else(|| panic!("{part} is no section"));
        }
        self
    }

    /// The broker it connects to.
    #[must_use]
    pub fn broker(self, url: &str) -> Self {
        self.set("broker.url", url)
    }

    /// Connects it to a test's broker with whatever that asks for: a password, or a certificate.
    ///
    /// # Panics
    /// When a certificate can't be made.
    #[must_use]
    pub fn connect(self, broker: &Mosquitto) -> Self {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let name = self.name.clone();
        let mut setup = self.broker(&broker.url());
        if let Access::Password { user, password } = broker.access() {
            setup = setup.set("broker.username", user.as_str());
            setup = setup.set("broker.password", password.as_str());
        }
        if let Some(authority) = broker.authority() {
            let client = authority.client(&name);
            setup = setup.set("broker.ca_file", text(&authority.certificate()));
            setup = setup.set("broker.cert_file", text(&client.certificate));
            setup = setup.set("broker.key_file", text(&client.key));
        }
        setup
    }

    /// The root of trust it accepts documents under.
    #[must_use]
    pub fn root(self, file: &Path) -> Self {
        self.set("trust.root", file.to_string_lossy().into_owned())
    }

    /// Sets an environment variable for the process, `SKERRY_…` as a rule.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Writes the configuration, starts the process, and waits until its API answers.
    ///
    /// # Panics
    /// When it does not come up, with its log.
    #[must_use]
    pub fn start(self) -> Node {
        need_root();
        let process = self.launch();
        let mut node = Node { setup: self, process };
        node.await_api();
        node
    }

    /// Starts it, and expects it to give up by itself: for configurations that must be refused.
    ///
    /// # Panics
    /// When it is still there after fifteen seconds.
    #[must_use]
    pub fn start_refused(self) -> (ExitStatus, String) {
        let mut process = self.launch();
        let what = format!("node {} refuses its configuration", self.name);
        let log = self.log_file();
        let status = until_or_dump(
            &what,
            START_LIMIT,
            || process.ended(),
            || fs::read_to_string(&log).unwrap_or_default(),
        );
        (status, process.log())
    }

    fn launch(&self) -> Background {
        let file = self.folder.join("skerry.toml");
        fs::write(&file, self.config.to_string())
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
        let mut command = Command::new(&self.program);
        command.arg("node").arg("--config").arg(&file).current_dir(&self.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Background::start(&format!("node {}", self.name), &mut command, &self.log_file())
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("node.log")
    }
}

impl Node {
    /// A node of that name in a folder of its own, with no broker and no root of trust yet.
    ///
    /// # Panics
    /// When `SKERRY_BIN` names no program.
    #[must_use]
    pub fn setup(scratch: &Scratch, name: &str) -> NodeSetup {
        Self::setup_of(subject("SKERRY_BIN"), scratch, name)
    }

    fn setup_of(program: PathBuf, scratch: &Scratch, name: &str) -> NodeSetup {
        let folder = scratch.folder(name);
        let place = |part: &str| folder.join(part).to_string_lossy().into_owned();
        let setup = NodeSetup {
            name: name.to_owned(),
            program,
            config: Table::new(),
            environment: vec![(OsString::from("SKERRY_LOG"), OsString::from("debug"))],
            folder: folder.clone(),
        };
        setup
            .set("node", name)
            .set("state_dir", place("state"))
            .set("run_dir", place("run"))
            .set("cgroup", format!("{}/{name}", scratch.cgroup()))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The folder that holds its configuration, state, run folder and log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.setup.folder
    }

    /// The socket of its local API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.setup.folder.join("run/api.sock")
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Crashes it. Its agents go on.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// How its process has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Ends it in an orderly way.
    ///
    /// # Panics
    /// When it has not ended in fifteen seconds.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.stop(START_LIMIT)
    }

    /// Starts it again on the same state, crashing it first when it still runs.
    ///
    /// # Panics
    /// When it does not come up, with its log.
    pub fn restart(&mut self) {
        self.kill9();
        self.process = self.setup.launch();
        self.await_api();
    }

    /// Starts it again, expecting it to give up by itself, and returns its log.
    ///
    /// # Panics
    /// When it is still there after fifteen seconds.
    pub fn fails_to_start(&mut self) -> String {
        self.kill9();
        self.process = self.setup.launch();
        let process = &mut self.process;
        until_or_dump("the node gives up", START_LIMIT, || process.ended(), String::new);
        self.log()
    }

    /// Changes a key of its configuration, for the next start.
    ///
    /// # Panics
    /// When a section of that name is a value already.
    #[must_use]
    pub fn reconfigured(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.setup = self.setup.set(key, value);
        self
    }

    /// Changes a key of its configuration while it runs, and has it read again.
    ///
    /// # Panics
    /// When the file cannot be written, or the process is gone.
    pub fn reload(&mut self, key: &str, value: impl Into<Value>) {
        let placeholder = NodeSetup {
            name: String::new(),
            program: PathBuf::new(),
            folder: PathBuf::new(),
            config: Table::new(),
            environment: Vec::new(),
        };
        self.setup = std::mem::replace(&mut self.setup, placeholder).set(key, value);
        fs::write(self.config_file(), self.setup.config.to_string()).expect("the configuration");
        self.signal(rustix::process::Signal::HUP);
    }

    /// Sends its process a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process"), signal).expect("a process");
    }

    /// Its configuration.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.setup.folder.join("skerry.toml")
    }

    /// Runs `skerry ARGUMENTS…` against this node, to its end.
    ///
    /// # Panics
    /// When it can't be started or does not end in a minute.
    pub fn cli<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        run(&mut self.command(arguments))
    }

    /// Like [`Node::cli`], with something on its standard input.
    ///
    /// # Panics
    /// When it can't be started or does not end in a minute.
    pub fn cli_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Output {
        run_with_input(&mut self.command(arguments), input)
    }

    /// Starts `skerry ARGUMENTS…` that goes on, `logs -f` or `exec`; `name` is its log's.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn cli_start<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Background {
        let log = self.setup.folder.join(format!("{name}.log"));
        Background::start(name, &mut self.command(arguments), &log)
    }

    /// Waits for a condition of this node; a failure brings its log.
    ///
    /// # Panics
    /// When `deadline` has passed.
    pub fn until<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        until_or_dump(what, deadline, || look(self), || self.log())
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.setup.program);
        command.arg("--socket").arg(self.socket());
        command.arg("--state-dir").arg(self.setup.folder.join("state")).args(arguments);
        command.current_dir(&self.setup.folder);
        command
    }

    fn await_api(&mut self) {
        let socket = self.socket();
        let log = self.setup.log_file();
        let what = format!("the API of node {} answers on {}", self.setup.name, socket.display());
        let process = &mut self.process;
        until_or_dump(
            &what,
            START_LIMIT,
            || {
                if let Some(status) = process.ended() {
                    panic!("node ended at its start ({status})\n{}", process.log());
                }
                answers(&socket).then_some(())
            },
            || fs::read_to_string(&log).unwrap_or_default(),
        );
    }
}

/// Any answer in HTTP will do: the question here is whether somebody listens and speaks.
fn answers(socket: &Path) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n")?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        Ok(&start == b"HTTP/")
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests;
