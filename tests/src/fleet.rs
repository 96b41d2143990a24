//! The operator's tool as an operator uses it: from a folder that holds keys and documents.
//!
//! It only runs the program and hands back what it printed. What the folder holds is the tool's own
//! affair; tests look at it through the tool.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::mosquitto::{Access, Mosquitto};
use crate::node::Node;
use crate::process::{Background, Output, run, run_with_input, subject};
use crate::scratch::Scratch;
use crate::site::{PATIENCE, status};

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

    /// The tool, with a new workspace for a broker.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn init(scratch: &Scratch, name: &str, broker: &Mosquitto) -> Self {
        let mut fleet = Self::new(scratch);
        fleet.folder = scratch.folder(name);
        let _ = fleet.run(["init", "--no-passphrase", "--broker", &broker.url()]).ok();
        fleet.let_in(broker);
        fleet
    }

    /// Writes what a broker asks of its clients into the settings.
    fn let_in(&self, broker: &Mosquitto) {
        let mut extra = String::new();
        if let Access::Password { user, password } = broker.access() {
            let file = self.workspace().join("password");
            fs::write(&file, password).expect("writing the password");
            extra = format!("username = {user:?}\npassword_file = {file:?}\n");
        }
        if let Some(authority) = broker.authority() {
            let client = authority.client("operator");
            extra = format!(
                "ca_file = {:?}\ncert_file = {:?}\nkey_file = {:?}\n",
                authority.certificate(),
                client.certificate,
                client.key
            );
        }
        let file = self.workspace().join("fleet.toml");
        let text = fs::read_to_string(&file).expect("reading the settings");
        let text = text.replace("[broker]\n", &format!("[broker]\n{extra}"));
        fs::write(&file, text).expect("writing the settings");
    }

    /// A copy of the workspace as it is now, which goes its own way: what somebody with old or
    /// stolen keys could do.
    ///
    /// # Panics
    /// When it can't be copied.
    #[must_use]
    pub fn fork(&self, scratch: &Scratch, name: &str) -> Self {
        let folder = scratch.folder(name);
        let mut command = Command::new("cp");
        let _ = run(command.arg("-a").arg(self.workspace()).arg(&folder)).ok();
        Self { program: self.program.clone(), folder, environment: self.environment.clone() }
    }

    /// The folder with keys and documents.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        self.folder.join("fleet")
    }

    /// The root that nodes are given.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.workspace().join("root.json")
    }

    /// Keeps the public key of a running node.
    ///
    /// # Panics
    /// When the node does not tell it, or the tool refuses it.
    pub fn know(&self, node: &Node) {
        let status = status(node);
        let word = |key: &str| status[key].as_str().expect("a status has names and keys");
        let _ = self.run(["nodes", "add", word("node"), word("publicKey")]).ok();
    }

    /// Calls these images genuine, with the offline keys.
    ///
    /// # Panics
    /// When the tool refuses.
    pub fn vouch(&self, images: &[&str]) {
        if !images.is_empty() {
            // What size a manifest has is nothing to the node, which knows images by digest.
            let words = ["images", "add", "--size", "1"];
            let _ = self.run(words.iter().chain(images)).ok();
        }
    }

    /// Signs agents as the next document of `--node NAME` or `--group NAME`, calls their images genuine,
    /// and returns the bundle.
    ///
    /// # Panics
    /// When the tool refuses.
    #[must_use]
    pub fn sign(&self, audience: [&str; 2], agents: &[Value]) -> Vec<u8> {
        let images: BTreeSet<_> =
            agents.iter().filter_map(|agent| agent["image"].as_str()).collect();
        self.vouch(&Vec::from_iter(images));
        self.sign_only(audience, agents)
    }

    /// As [`Fleet::sign`], with the images that are genuine already.
    ///
    /// # Panics
    /// When the tool refuses.
    #[must_use]
    pub fn sign_only(&self, audience: [&str; 2], agents: &[Value]) -> Vec<u8> {
        let file = self.folder.join("agents.json");
        fs::write(&file, json!({ "agents": agents }).to_string()).expect("writing the agents");
        let [kind, name] = audience;
        let _ = self.run(["sign", "-f", "agents.json", kind, name, "-o", "new.bundle"]).ok();
        fs::read(self.folder.join("new.bundle")).expect("reading the bundle")
    }

    /// Signs agents for one node, publishes, and waits until they run as the document says.
    ///
    /// # Panics
    /// When the tool refuses, or the node does.
    pub fn roll_out(&self, node: &str, agents: &[Value]) -> Output {
        let _ = self.sign(["--node", node], agents);
        let patience = format!("{}s", PATIENCE.as_secs());
        self.run(["publish", "--node", node, "--wait", &patience]).ok()
    }

    /// The row of a node in `skerry-fleet status`.
    ///
    /// # Panics
    /// When the tool fails.
    #[must_use]
    pub fn row(&self, node: &str) -> Option<Value> {
        let rows = self.run(["status", "--format", "json"]).ok().json();
        rows.as_array()?.iter().find(|row| row["node"] == node).cloned()
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
