//! What the tests share: quick settings, a session at work, an operator that listens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use skerry_sync::config::Span;
use skerry_sync::topics::UpKind;
use skerry_sync::{
    Address, Client, Config, Down, Entry, Inbound, Link, LinkState, Message, Name, OutboxStore,
    Session, StoreError, Topic, Up, start,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Whatever takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn node() -> Address {
    Address::new(name("acme"), name("node-1")).unwrap()
}

pub fn up(up: Up) -> Topic {
    Topic::Up(node(), up)
}

pub fn down(down: Down) -> Topic {
    Topic::Down(node(), down)
}

pub fn config(url: &str) -> Config {
    Config {
        reconnect_min: Span::from_millis(20),
        reconnect_max: Span::from_millis(200),
        connect_timeout: Span::from_secs(5),
        ..Config::new(url, "acme", "node-1")
    }
}

/// A session whose task runs.
pub struct Running {
    pub link: Link,
    pub inbound: mpsc::Receiver<Inbound>,
    pub task: tokio::task::JoinHandle<()>,
}

pub fn run(config: &Config, store: impl OutboxStore + 'static) -> Running {
    let Session { link, inbound, task } =
        start(config, store, Bytes::from_static(b"lost"), || Bytes::from_static(b"here")).unwrap();
    Running { link, inbound, task: tokio::spawn(task) }
}

impl Running {
    /// Waits for a state.
    pub async fn until(&self, what: &str, wanted: impl FnMut(&LinkState) -> bool) -> LinkState {
        let mut state = self.link.state();
        let found = timeout(PATIENCE, state.wait_for(wanted)).await;
        let found = found.map(|state| state.unwrap().clone());
        found.unwrap_or_else(|_| panic!("not {what}, but {:?}", self.link.state().borrow()))
    }

    pub async fn connected(&self) -> bool {
        let state = self.until("connected", |s| matches!(s, LinkState::Connected { .. })).await;
        matches!(state, LinkState::Connected { session_present: true, .. })
    }

    pub async fn offline(&self) -> skerry_sync::Reason {
        match self.until("offline", |s| matches!(s, LinkState::Offline { .. })).await {
            LinkState::Offline { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the broker has everything.
    pub async fn drained(&self) {
        let mut stats = self.link.stats();
        let drained = timeout(PATIENCE, stats.wait_for(|stats| stats.queued == 0)).await;
        assert!(drained.is_ok(), "not delivered: {:?}", self.link.stats().borrow());
    }

    pub async fn next(&mut self) -> Inbound {
        timeout(PATIENCE, self.inbound.recv()).await.expect("nothing came down").unwrap()
    }

    /// Ends the session as the loss of power would, except that its socket is closed.
    pub async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub struct Operator {
    pub client: Client,
    pub messages: mpsc::Receiver<Message>,
}

impl Operator {
    pub async fn connect(config: &Config) -> Self {
        let (client, messages) = Client::connect(config).await.unwrap();
        Self { client, messages }
    }

    /// An operator that hears everything a tenant's nodes say.
    pub async fn listening(config: &Config) -> Self {
        let operator = Self::connect(config).await;
        let filters = UpKind::ALL.map(|kind| kind.filter(&name("acme"), None));
        operator.client.subscribe(filters.to_vec()).await.unwrap();
        operator
    }

    pub async fn publish(&self, topic: &Topic, payload: &str, retain: bool) {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        timeout(PATIENCE, self.client.publish(topic, payload, retain)).await.unwrap().unwrap();
    }

    pub async fn next(&mut self) -> Message {
        timeout(PATIENCE, self.messages.recv()).await.expect("nothing was heard").unwrap()
    }

    /// The next message that is not about the node's status.
    pub async fn next_event(&mut self) -> String {
        loop {
            let message = self.next().await;
            if message.topic != up(Up::Status) {
                return String::from_utf8(message.payload.to_vec()).unwrap();
            }
        }
    }
}

/// One file per message: slow, and durable in the simplest way.
pub struct FileStore(PathBuf);

impl FileStore {
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        Self(folder.to_owned())
    }

    fn sync_folder(&self) -> std::io::Result<()> {
        std::fs::File::open(&self.0)?.sync_all()
    }
}

fn failed(operation: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |source| StoreError { operation, source: Box::new(source) }
}

impl OutboxStore for FileStore {
    fn load(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for file in std::fs::read_dir(&self.0).map_err(failed("load"))? {
            let path = file.map_err(failed("load"))?.path();
            if path.extension().is_none() {
                let bytes = std::fs::read(path).map_err(failed("load"))?;
                entries.push(Entry::decode(&bytes).unwrap());
            }
        }
        Ok(entries)
    }

    fn put(&self, entry: &Entry) -> Result<(), StoreError> {
        let path = self.0.join(entry.seq.to_string());
        let aside = path.with_extension("new");
        let write = || {
            std::fs::write(&aside, entry.encode())?;
            std::fs::File::open(&aside)?.sync_all()?;
            std::fs::rename(&aside, &path)?;
            self.sync_folder()
        };
        write().map_err(failed("write"))
    }

    fn remove(&self, seq: u64) -> Result<(), StoreError> {
        std::fs::remove_file(self.0.join(seq.to_string())).map_err(failed("write"))
    }
}
