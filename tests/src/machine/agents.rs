//! Agents of a virtual device, as a person at its shell sees them.
//!
//! The same words as [`crate::agents`] has for a node on this machine.

use serde_json::Value;

use super::Machine;
use crate::fleet::Fleet;

impl Machine {
    /// What `ps -a` says of every agent.
    ///
    /// # Panics
    /// When `ps` fails.
    #[must_use]
    pub fn agents(&self) -> Vec<Value> {
        let list = self.cli(["ps", "-a", "--format", "json"]).ok().json();
        list.as_array().cloned().unwrap_or_default()
    }

    /// What `ps -a` says of an agent; nothing when it is not known.
    ///
    /// # Panics
    /// When `ps` fails.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<Value> {
        self.agents().into_iter().find(|agent| agent["name"] == name)
    }

    /// Waits until what `ps -a` says of an agent is as wanted.
    ///
    /// # Panics
    /// When it does not get there.
    pub fn until_agent(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until(&format!("agent {name} {what}"), |machine| machine.agent(name).filter(&wanted))
    }

    /// Waits until an agent runs, and returns its process.
    ///
    /// # Panics
    /// When it does not.
    pub fn until_running(&self, name: &str) -> u64 {
        let agent = self.until_agent(name, "runs", |agent| agent["state"] == "running");
        agent["pid"].as_u64().unwrap_or_else(|| panic!("a running agent has a process: {agent}"))
    }

    /// Kills the node's process, as a crash would. Whatever looks after it starts it again.
    ///
    /// # Panics
    /// When it does not run.
    pub fn crash_node(&self) {
        let pid = self.status()["pid"].as_u64().expect("a node has a process");
        let _ = self.sh(&format!("kill -9 {pid}")).ok();
    }

    /// Waits until the node answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn until_answers(&self) {
        self.until("the node answers", |machine| {
            machine.cli(["status"]).status.success().then_some(())
        });
    }

    /// Imports an image that lies in the kit, and returns its digest.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn import(&self, file: &str) -> String {
        let file = format!("/run/kit/{file}");
        self.cli(["image", "import", "-q", &file]).ok().stdout.trim().to_owned()
    }

    /// Tells the operator's tool the key by which this device's reports are recognised.
    ///
    /// # Panics
    /// When the tool refuses it.
    pub fn introduce(&self, fleet: &Fleet) {
        let status = self.status();
        let word = |key: &str| status[key].as_str().expect("a status has names and keys");
        let _ = fleet.run(["nodes", "add", word("node"), word("publicKey")]).ok();
    }

    /// Waits until the node says that it is connected.
    ///
    /// # Panics
    /// When it does not come so far.
    pub fn until_connected(&self) {
        self.until("the node is connected", |machine| {
            (machine.status()["link"] == "connected").then_some(())
        });
    }

    /// Waits until a document is in force.
    ///
    /// # Panics
    /// When it is not.
    pub fn until_document(&self, version: u64) {
        self.until(&format!("document {version} is in force"), |machine| {
            (machine.status()["document"]["version"] == version).then_some(())
        });
    }
}
