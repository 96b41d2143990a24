//! A connection to the broker that hears what nodes say: reports and presence.
//!
//! It passes messages on and judges nothing; [`crate::judge`] does.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use skerry_core::bundle::Address;
use skerry_sync::client::ClientError;
use skerry_sync::topics::{Name, TopicError, UpKind};
use skerry_sync::{Client, Config, Down, Message, Topic, Up};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Kept messages are complete when nothing came for so long.
const QUIET: Duration = Duration::from_millis(500);
/// Nobody waits longer than this for the kept messages.
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// More than this is not gathered at once.
const GATHER_MAX: usize = 100_000;

/// Why the broker was not heard.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The connection failed.
    #[error("broker: {0}")]
    Client(#[from] ClientError),
    /// A name cannot stand in a topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

/// What a node said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Which node, by the topic.
    pub node: String,
    /// Which kind of message.
    pub kind: Kind,
    /// Its bytes.
    pub payload: Bytes,
}

/// A kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What it says of itself, signed.
    Report,
    /// Whether it is there.
    Presence,
}

/// A connection.
#[derive(Debug)]
pub struct Live {
    client: Client,
    messages: mpsc::Receiver<Message>,
    kept: VecDeque<Message>,
    tenant: Name,
}

impl Live {
    /// Connects and listens to one node, or to all of the tenant.
    ///
    /// # Errors
    /// The broker cannot be reached, or refuses.
    pub async fn open(config: &Config, node: Option<&str>) -> Result<Self, LiveError> {
        let tenant: Name = config.tenant.parse()?;
        let node: Option<Name> = node.map(str::parse).transpose()?;
        let (client, mut messages) = Client::connect(config).await?;
        let filters =
            [UpKind::Report, UpKind::Status].map(|kind| kind.filter(&tenant, node.as_ref()));
        let mut kept = VecDeque::new();
        {
            let agreed = client.subscribe(filters.to_vec());
            tokio::pin!(agreed);
            // What is kept may come before the broker has agreed; it must not get stuck behind it.
            loop {
                tokio::select! {
                    agreed = &mut agreed => break agreed?,
                    Some(message) = messages.recv(), if kept.len() < GATHER_MAX => kept.push_back(message),
                }
            }
        }
        Ok(Self { client, messages, kept, tenant })
    }

    /// What the broker had kept: everything until it is quiet for a while.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn settle(&mut self) -> Result<Vec<Said>, LiveError> {
        let end = Instant::now() + SETTLE_MAX;
        let mut all: Vec<Said> = Vec::new();
        while all.len() < GATHER_MAX {
            let quiet = (Instant::now() + QUIET).min(end);
            match timeout_at(quiet, self.next()).await {
                Ok(said) => all.push(said?),
                Err(_) => break,
            }
        }
        Ok(all)
    }

    /// The next that a node says. Nothing is lost when this is dropped half-way.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Said, LiveError> {
        loop {
            let message = match self.kept.pop_front() {
                Some(message) => message,
                None => match self.messages.recv().await {
                    Some(message) => message,
                    None => {
                        let reason = self.client.ended().await;
                        return Err(ClientError::Offline { reason }.into());
                    }
                },
            };
            let (node, kind) = match &message.topic {
                Topic::Up(address, Up::Report) => (address.node().to_string(), Kind::Report),
                Topic::Up(address, Up::Status) => (address.node().to_string(), Kind::Presence),
                _ => continue,
            };
            return Ok(Said { node, kind, payload: message.payload });
        }
    }

    /// Puts a bundle where its audience finds it, and waits until the broker has it.
    ///
    /// # Errors
    /// The broker refuses it, or the connection broke.
    pub async fn publish(&self, address: &Address, bundle: Vec<u8>) -> Result<Topic, LiveError> {
        publish(&self.client, &self.tenant, address, bundle).await
    }

    /// Disconnects.
    pub async fn close(self) {
        self.client.close().await;
    }
}

/// As [`Live::publish`], on a connection of its own that hears nothing.
///
/// # Errors
/// The broker cannot be reached, or refuses it.
pub async fn publish_once(
    config: &Config,
    address: &Address,
    bundle: Vec<u8>,
) -> Result<Topic, LiveError> {
    let tenant: Name = config.tenant.parse()?;
    let (client, _messages) = Client::connect(config).await?;
    let topic = publish(&client, &tenant, address, bundle).await?;
    client.close().await;
    Ok(topic)
}

async fn publish(
    client: &Client,
    tenant: &Name,
    address: &Address,
    bundle: Vec<u8>,
) -> Result<Topic, LiveError> {
    let topic = match address {
        Address::Node(node) => {
            let node = skerry_sync::Address::new(tenant.clone(), node.as_str().parse()?)?;
            Topic::Down(node, Down::Desired)
        }
        Address::Group(group) => {
            Topic::Group { tenant: tenant.clone(), group: group.as_str().parse()? }
        }
    };
    client.publish(&topic, bundle, true).await?;
    Ok(topic)
}
