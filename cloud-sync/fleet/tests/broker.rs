//! The tool against its own broker: real processes, real MQTT, and a hand-made node that answers.
#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use skerry_core::bundle::{Audience, verify};
use skerry_core::document::Document;
use skerry_core::ids::Digest;
use skerry_core::report::{DocumentRef, Host, Presence, RefusedDocument, Report};
use skerry_core::trust::detached::seal;
use skerry_core::trust::sign::SigningKey;
use skerry_core::trust::{Clock, PublicKey, Repositories, Roots};
use skerry_sync::topics::node_filters;
use skerry_sync::{Address, Client, Config, Message, Topic, Up};
use tokio::sync::mpsc::Receiver;

const PROGRAM: &str = env!("CARGO_BIN_EXE_skerry-fleet");
const PATIENCE: Duration = Duration::from_secs(20);

/// A workspace and a broker, both gone when this is dropped.
struct Fleet {
    folder: tempfile::TempDir,
    url: String,
    broker: Child,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}

impl Fleet {
    fn new() -> Self {
        let mut broker = Command::new(PROGRAM)
            .args(["broker", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(broker.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("mqtt://")).unwrap();
        let fleet = Self { folder: tempfile::tempdir().unwrap(), url: url.to_owned(), broker };
        fleet.done(&["init", "--no-passphrase", "--broker", &fleet.url, "--tenant", "t"]);
        std::fs::write(fleet.path("empty.yaml"), "agents: []\n").unwrap();
        fleet
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).current_dir(self.folder.path());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// A verb that must succeed; what it prints.
    fn done(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.done(&["status", "--format", "json"])).unwrap()
    }
}

/// A node without agents, made by hand: it verifies what comes, and answers with signed reports.
struct Node {
    client: Client,
    messages: Receiver<Message>,
    address: Address,
    key: SigningKey,
    trust: Repositories,
    report: Report,
}

impl Node {
    async fn new(fleet: &Fleet, name: &str) -> Self {
        let config = Config::new(&fleet.url, "t", name);
        let (client, messages) = Client::connect(&config).await.unwrap();
        let address = config.address().unwrap();
        client.subscribe(node_filters(&address, &[])).await.unwrap();
        let root = std::fs::read_to_string(fleet.path("fleet/root.json")).unwrap();
        let key = SigningKey::from_bytes(&[9; 32]);
        let report = Report {
            node: name.parse().unwrap(),
            public_key: PublicKey::of(&key),
            counter: 0,
            at_ms: jiff::Timestamp::now().as_millisecond(),
            boot_id: "boot".to_owned(),
            document: None,
            refused: Vec::new(),
            agents: BTreeMap::new(),
            clashes: Vec::new(),
            troubles: Vec::new(),
            trust: None,
            audit: None,
            enrolment: None,
            host: Host::default(),
        };
        Self { client, messages, address, key, trust: Roots::parse(&root).unwrap().into(), report }
    }

    fn public_key(&self) -> String {
        PublicKey::of(&self.key).to_hex()
    }

    async fn say(&mut self, up: Up, text: String) {
        let bytes = seal(&self.key, &text).unwrap();
        let topic = Topic::Up(self.address.clone(), up);
        self.client.publish(&topic, bytes, true).await.unwrap();
    }

    async fn report(&mut self) {
        self.report.counter += 1;
        self.say(Up::Report, serde_json::to_string(&self.report).unwrap()).await;
    }

    /// Takes the next bundle, as a node does.
    async fn take(&mut self) {
        let message = tokio::time::timeout(PATIENCE, self.messages.recv()).await.unwrap().unwrap();
        let now = jiff::Timestamp::now();
        let audience = Audience { node: self.report.node.clone(), groups: Vec::new() };
        let clock = Clock { now, floor: now };
        let outcome = verify(&self.trust, &message.payload, &audience, clock.into());
        self.trust = outcome.trust;
        match outcome.result {
            Ok(delivery) => {
                let verified = delivery.document;
                let version = Document::parse(verified.value()).unwrap().version;
                let digest = verified.proof().digest;
                self.report.document = Some(DocumentRef { version, digest });
            }
            Err(why) => self.report.refused.push(RefusedDocument {
                digest: Digest::of(&message.payload),
                reason: why.to_string(),
                at_ms: 0,
                count: 1,
            }),
        }
        self.report().await;
    }
}

#[tokio::test]
async fn a_document_reaches_its_node_and_the_answer_the_operator() {
    let fleet = Fleet::new();
    let mut node = Node::new(&fleet, "box-1").await;
    fleet.done(&["sign", "-f", "empty.yaml", "--node", "box-1"]);
    fleet.done(&["nodes", "add", "box-1", &node.public_key()]);

    let waiting = fleet
        .command(&["publish", "--node", "box-1", "--wait", "20s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    node.take().await;
    let output = waiting.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("box-1 accepted document 1"), "{said}");

    let presence =
        Presence { node: node.report.node.clone(), online: true, boot_id: String::new() };
    node.say(Up::Status, serde_json::to_string(&presence).unwrap()).await;
    let row = &fleet.status()[0];
    assert_eq!(
        (&row["signature"], &row["document"], &row["online"]),
        (&"ok".into(), &1.into(), &true.into())
    );
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let fleet = Fleet::new();
    let mut node = Node::new(&fleet, "box-1").await;
    fleet.done(&["nodes", "add", "box-1", &node.public_key()]);
    // Signed by somebody else, who has keys of their own.
    fleet.done(&[
        "init",
        "--no-passphrase",
        "--dir",
        "other",
        "--broker",
        &fleet.url,
        "--tenant",
        "t",
    ]);
    let sign = ["sign", "--dir", "other", "-f", "empty.yaml", "--node", "box-1", "-o", "x.bundle"];
    fleet.done(&sign);
    let waiting = fleet
        .command(&["publish", "x.bundle", "--wait", "20s"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    node.take().await;
    let output = waiting.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("box-1 refused document 1: director: timestamp"), "{said}");
}

#[tokio::test]
async fn a_bundle_is_kept_for_a_node_that_comes_later() {
    let fleet = Fleet::new();
    fleet.done(&["sign", "-f", "empty.yaml", "--node", "box-1", "--version", "7"]);
    fleet.done(&["publish", "--node", "box-1"]);
    let mut node = Node::new(&fleet, "box-1").await;
    node.take().await;
    assert_eq!(node.report.document.as_ref().map(|document| document.version), Some(7));
}

#[tokio::test]
async fn reports_of_unknown_and_of_wrong_keys_are_shown_as_such() {
    let fleet = Fleet::new();
    let mut node = Node::new(&fleet, "box-1").await;
    node.report().await;
    let row = fleet.status()[0].clone();
    assert_eq!((&row["signature"], &row["total"]), (&"unknown key".into(), &().into()));
    let other = PublicKey::of(&SigningKey::from_bytes(&[8; 32])).to_hex();
    fleet.done(&["nodes", "add", "box-1", &other]);
    let row = fleet.status()[0].clone();
    assert_eq!((&row["signature"], &row["total"]), (&"BAD".into(), &().into()));
    let output = fleet.run(&["nodes", "add", "box-1", &node.public_key()]);
    assert!(!output.status.success(), "another key is not replaced silently");
    fleet.done(&["nodes", "add", "box-1", &node.public_key(), "--replace"]);
    assert_eq!(fleet.status()[0]["signature"], "ok");
}

#[tokio::test]
async fn watch_tells_changes_as_they_happen() {
    let fleet = Fleet::new();
    let mut node = Node::new(&fleet, "box-1").await;
    fleet.done(&["nodes", "add", "box-1", &node.public_key()]);
    let mut watch = fleet.command(&["watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("listening to mqtt://"));
    node.report.document = Some(DocumentRef { version: 4, digest: Digest::of(b"") });
    node.report().await;
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains("document 4 is in force on box-1"), "{line}");
    // Revoked by another program while this one runs: it counts no longer.
    fleet.done(&["nodes", "revoke", "box-1", "--reason", "stolen"]);
    node.report.document = Some(DocumentRef { version: 5, digest: Digest::of(b"") });
    node.report().await;
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains("box-1 speaks, and its key") && line.contains(": stolen"), "{line}");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

/// The largest bundle there may be, published by one client and kept for another.
#[tokio::test]
async fn the_broker_keeps_a_bundle_of_8_mib() {
    let fleet = Fleet::new();
    let config = Config::new(&fleet.url, "t", "box-1");
    let (client, _unheard) = Client::connect(&config).await.unwrap();
    let address = config.address().unwrap();
    let topic = Topic::Down(address.clone(), skerry_sync::Down::Desired);
    client.publish(&topic, vec![b'x'; skerry_core::bundle::BUNDLE_MAX], true).await.unwrap();
    let (later, mut messages) = Client::connect(&config).await.unwrap();
    later.subscribe(node_filters(&address, &[])).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, messages.recv()).await.unwrap().unwrap();
    assert_eq!((message.payload.len(), message.retained), (8 << 20, true));
}

/// MQTT 3.1.1 by hand: CONNECT, and a CONNACK that accepts.
#[test]
fn the_broker_speaks_mqtt_3_1_1_on_the_same_port() {
    use std::io::{Read, Write};
    let fleet = Fleet::new();
    let address = fleet.url.strip_prefix("mqtt://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01x").unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
}
