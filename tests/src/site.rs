//! A fleet of one or more nodes with a broker and an operator's workspace, ready for documents.
//!
//! What nearly every test of the fleet begins with: keys, a broker, a node that trusts the keys and
//! has an image, and an operator who knows the node's key. It only wires [`Fleet`], [`Mosquitto`] and
//! [`Node`] together; what a test is about stays in the test.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::mosquitto::{Access, Mosquitto};
use crate::node::{Node, NodeSetup};
use crate::process::subject;
use crate::scratch::Scratch;
use crate::until::until;

/// The longest that a node on a busy machine may take for one thing: connect, start an agent, report.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Broker, workspace and image. Nodes are made with [`Site::node`].
#[derive(Debug)]
pub struct Site {
    /// The broker.
    pub broker: Mosquitto,
    /// The operator's tool, with a workspace.
    pub fleet: Fleet,
    image: PathBuf,
    /// The place it all stands in. The last to go.
    pub scratch: Scratch,
}

impl Site {
    /// A site with a broker that lets anybody in.
    ///
    /// # Panics
    /// When something can't be started or made.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Access::Open)
    }

    /// A site with a rule of access to its broker.
    ///
    /// # Panics
    /// When something can't be started or made.
    #[must_use]
    pub fn with(access: Access) -> Self {
        let scratch = Scratch::new();
        let broker = Mosquitto::start_with(access);
        let fleet = Fleet::init(&scratch, "fleet", &broker);
        let image = scratch.folder("image");
        std::fs::copy(subject("SKERRY_SENSOR_BIN"), image.join("sensor"))
            .expect("copying the sample agent");
        Self { broker, fleet, image, scratch }
    }

    /// A node before its start: it trusts the workspace, and meets the broker without long pauses.
    #[must_use]
    pub fn setup(&self, name: &str) -> NodeSetup {
        Node::setup(&self.scratch, name)
            .connect(&self.broker)
            .root(&self.fleet.root())
            .set("broker.reconnect_min", "50ms")
            .set("broker.reconnect_max", "500ms")
    }

    /// A running node that has the image, whose key the operator knows, and which is connected.
    ///
    /// # Panics
    /// When it does not come so far.
    #[must_use]
    pub fn node(&self, name: &str) -> Node {
        let node = self.setup(name).start();
        self.welcome(&node);
        connected(&node);
        node
    }

    /// Gives a running node the image, and its key to the operator.
    ///
    /// # Panics
    /// When either is refused.
    pub fn welcome(&self, node: &Node) {
        let _ = self.pack(node);
        self.fleet.know(node);
    }

    /// Packs the sample agent into the node's store, and returns the image's digest, which is the
    /// same on every node.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn pack(&self, node: &Node) -> String {
        let folder = self.image.to_string_lossy().into_owned();
        let pack = ["image", "pack", "--entrypoint", "/sensor"];
        let _ = node.cli(pack.into_iter().chain(["--name", "sensor", &folder])).ok();
        let seen = node.cli(["image", "inspect", "sensor"]).ok().json();
        let digest = seen[0]["digest"].as_str().expect("an image has a digest").to_owned();
        self.fleet.vouch(&[&digest]);
        digest
    }

    /// The retained message of one of a node's topics.
    ///
    /// # Panics
    /// When the broker refuses.
    #[must_use]
    pub fn retained(&self, node: &str, kind: &str) -> Option<String> {
        self.broker.retained(&topic(node, kind))
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// A node's topic of one kind.
#[must_use]
pub fn topic(node: &str, kind: &str) -> String {
    format!("skerry/v1/default/{node}/{kind}")
}

/// The spec of a sample agent. Another `note` is another spec.
#[must_use]
pub fn sensor(name: &str, image: &str, note: &str) -> Value {
    json!({ "name": name, "image": image, "env": { "NOTE": note },
            "resources": { "limits": { "memory": "32Mi", "pids": 16 } } })
}

/// What `skerry status` says.
///
/// # Panics
/// When the node does not answer.
#[must_use]
pub fn status(node: &Node) -> Value {
    node.cli(["status", "--format", "json"]).ok().json()
}

/// The version in force, by `skerry status`; 0 without a document.
#[must_use]
pub fn version(node: &Node) -> u64 {
    status(node)["document"]["version"].as_u64().unwrap_or(0)
}

/// The reasons of the refusals that `skerry status` lists, the newest last.
#[must_use]
pub fn refusals(node: &Node) -> Vec<String> {
    let status = status(node);
    let list = status["refused"].as_array().into_iter().flatten();
    list.filter_map(|refused| refused["reason"].as_str()).map(str::to_owned).collect()
}

/// Waits until the node says that it is connected.
///
/// # Panics
/// When it does not come so far.
pub fn connected(node: &Node) {
    node.until("the node is connected", PATIENCE, |node| {
        (status(node)["link"] == "connected").then_some(())
    });
}

/// The agents by `skerry ps -a`.
///
/// # Panics
/// When the node does not answer.
#[must_use]
pub fn agents(node: &Node) -> Vec<Value> {
    let list = node.cli(["ps", "-a", "--format", "json"]).ok().json();
    list.as_array().cloned().unwrap_or_default()
}

/// The pids of agents that run, in the order asked for; nothing until exactly these run.
#[must_use]
pub fn running<const N: usize>(node: &Node, names: [&str; N]) -> Option<[u64; N]> {
    let list = agents(node);
    let mut pids = [0; N];
    for (pid, name) in pids.iter_mut().zip(names) {
        let agent = list.iter().find(|agent| agent["name"] == name && agent["state"] == "running");
        *pid = agent?["pid"].as_u64()?;
    }
    (list.len() == N).then_some(pids)
}

/// Waits until exactly these agents run, and returns their pids.
///
/// # Panics
/// When they don't.
#[must_use]
pub fn until_running<const N: usize>(node: &Node, names: [&str; N]) -> [u64; N] {
    node.until(&format!("exactly {names:?} run"), PATIENCE, |node| running(node, names))
}

/// The operator's row of a node, once it fulfils a condition.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn row_when(site: &Site, node: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let look = || {
        last = site.fleet.row(node).unwrap_or_default();
        holds(&last).then(|| last.clone())
    };
    until(&format!("skerry-fleet status shows {what}"), PATIENCE, look)
}

/// Whether a process is there and is no zombie.
#[must_use]
pub fn lives(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
