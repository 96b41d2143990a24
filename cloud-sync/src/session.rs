//! The node's session with its broker: one task that connects for ever, and a handle to it.
//!
//! Wires the parts together and names what they say. The session never blocks its owner: no network,
//! a broken certificate or a dead broker show in [`LinkState`], and nowhere else. Next: `task`, which
//! runs the session; `live`, which is one connection.

use std::pin::Pin;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::{Config, ConfigError};
use crate::inbound::{self, Inbound};
use crate::outbox::{Losses, OutboxStore, Outgoing};
use crate::reason::Reason;
use crate::topics::Address;

mod flight;
mod live;
mod task;

pub(crate) use flight::Flight;

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// An attempt is being made.
    Connecting {
        /// Which one, since the last good connection; from 1.
        attempt: u32,
        /// Why the one before failed.
        last: Option<Reason>,
    },
    /// Connected.
    Connected {
        /// Since when.
        since: Instant,
        /// Whether the broker still had the session of the connection before.
        session_present: bool,
    },
    /// Not connected.
    Offline {
        /// Why.
        reason: Reason,
        /// How many attempts have failed.
        attempt: u32,
        /// When the next is made; never, if the session has ended.
        next: Option<Instant>,
    },
}

/// What has been counted since the session began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Messages in the outbox.
    pub queued: usize,
    /// What they cost in bytes.
    pub queued_bytes: u64,
    /// Messages that the broker acknowledged.
    pub delivered: u64,
    /// Messages handed to the owner.
    pub received: u64,
    /// Messages that were of no known kind, or not for this node.
    pub strange: u64,
    /// Connections made.
    pub connections: u64,
    /// What was not delivered, and why.
    pub losses: Losses,
    /// How often the store failed.
    pub store_failures: u64,
    /// The store's last failure.
    pub last_store_failure: Option<String>,
    /// The last message that the broker refused.
    pub last_refusal: Option<String>,
    /// Subscriptions that the broker refused; the node is deaf to these.
    pub refused_subscriptions: Vec<String>,
}

/// A message is in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its number.
    pub seq: u64,
    /// Whether it took the place of an older one with its topic.
    pub replaced: bool,
    /// Whether a store has it: asked for, and the store did not fail.
    pub durable: bool,
}

/// A message is not in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Only messages that matter more could make room.
    #[error("the outbox is full of messages that matter more")]
    NoRoom,
    /// It is larger than the outbox, or than any packet may be.
    #[error("the message has {size} bytes; {limit} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The most allowed.
        limit: u64,
    },
    /// The session takes no more at this moment.
    #[error("the session is busy")]
    Busy,
    /// The session has ended.
    #[error("the session has ended")]
    Stopped,
}

/// Why a session cannot begin. A broker that cannot be reached is no such reason.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The future that runs a session. It ends after [`Link::close`], or when every [`Link`] is gone.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A session that has been set up; it connects when its task runs.
#[must_use = "the session runs only while its task is polled"]
pub struct Session {
    /// The handle.
    pub link: Link,
    /// What comes down.
    pub inbound: mpsc::Receiver<Inbound>,
    /// Has to be spawned.
    pub task: Task,
}

/// Sets up a session. `will` is what the broker keeps under `status` when the node is lost; `birth`
/// makes what is published there at every connect.
///
/// # Errors
/// When the configuration is wrong or the outbox cannot be read. Never because of the network.
pub fn start<O: OutboxStore + 'static>(
    config: &Config,
    store: O,
    will: Bytes,
    birth: impl Fn() -> Bytes + Send + 'static,
) -> Result<Session, StartError> {
    let (settings, address) = (config.settings()?, config.address()?);
    let (commands, requested) = mpsc::channel(COMMANDS);
    let (state, state_seen) = watch::channel(LinkState::Connecting { attempt: 1, last: None });
    let (stats, stats_seen) = watch::channel(Stats::default());
    let bytes = u64::from(settings.max_packet_size).saturating_mul(2);
    let (queue, inbound, acks) = inbound::queue(usize::from(config.inbound_queue), bytes);
    let status = task::Status { will, birth: Box::new(birth) };
    let said = task::Channels { commands: requested, acks, queue, state, stats };
    let payload_max = config.outbox_bytes.min(u64::from(config.max_packet_size));
    let task = task::Task::new(settings, address.clone(), store, status, said);
    let link = Link { commands, state: state_seen, stats: stats_seen, payload_max, address };
    Ok(Session { link, inbound, task: Box::pin(task.run()) })
}

/// How many requests may wait for the session's task.
const COMMANDS: usize = 32;

enum Command {
    Send {
        topic: String,
        message: Outgoing,
        reply: Option<oneshot::Sender<Result<Receipt, SendError>>>,
    },
    AskAgain,
    Close {
        farewell: Option<Bytes>,
        done: oneshot::Sender<()>,
    },
}

/// The handle to a session. Clones are the same session.
#[derive(Debug, Clone)]
pub struct Link {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<LinkState>,
    stats: watch::Receiver<Stats>,
    payload_max: u64,
    address: Address,
}

impl Link {
    /// Puts a message into the outbox. When this returns, a durable message is in the store; it is
    /// sent when there is a connection.
    ///
    /// # Errors
    /// When it is too large, when there is no room for it, or when the session has ended.
    pub async fn send(&self, message: Outgoing) -> Result<Receipt, SendError> {
        let (reply, answer) = oneshot::channel();
        let command = self.command(message, Some(reply))?;
        self.commands.send(command).await.map_err(|_| SendError::Stopped)?;
        answer.await.map_err(|_| SendError::Stopped)?
    }

    /// Hands a message to the session without waiting, and without hearing what became of it.
    ///
    /// # Errors
    /// When it is too large, when the session is busy, or when it has ended.
    pub fn offer(&self, message: Outgoing) -> Result<(), SendError> {
        let command = self.command(message, None)?;
        self.commands.try_send(command).map_err(|error| not_taken(&error))
    }

    /// Has the broker send once more what it keeps for this node, now or as soon as there is a
    /// connection. By itself it does so for a new subscription alone: a node that has lost its state,
    /// and whose session the broker still has, would wait for the next document.
    ///
    /// # Errors
    /// When the session is busy, or has ended.
    pub fn ask_again(&self) -> Result<(), SendError> {
        self.commands.try_send(Command::AskAgain).map_err(|error| not_taken(&error))
    }

    /// Ends the session: publishes `farewell` under `status` if there is a connection, waits a little
    /// for its acknowledgement, and disconnects without last will. The outbox stays in its store.
    pub async fn close(&self, farewell: Option<Bytes>) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close { farewell, done }).await.is_ok() {
            // An error here means that the task is gone, which is what was wanted.
            let _ = closed.await;
        }
    }

    /// How the connection is.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// What has been counted.
    pub fn stats(&self) -> watch::Receiver<Stats> {
        self.stats.clone()
    }

    /// Whose session it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn command(
        &self,
        message: Outgoing,
        reply: Option<oneshot::Sender<Result<Receipt, SendError>>>,
    ) -> Result<Command, SendError> {
        let size = message.payload.len();
        if size as u64 > self.payload_max {
            return Err(SendError::TooLarge { size, limit: self.payload_max });
        }
        Ok(Command::Send { topic: message.topic.topic(&self.address), message, reply })
    }
}

fn not_taken(error: &mpsc::error::TrySendError<Command>) -> SendError {
    match error {
        mpsc::error::TrySendError::Full(_) => SendError::Busy,
        mpsc::error::TrySendError::Closed(_) => SendError::Stopped,
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Send { topic, .. } => write!(f, "Send({topic})"),
            Self::AskAgain => f.write_str("AskAgain"),
            Self::Close { .. } => f.write_str("Close"),
        }
    }
}
