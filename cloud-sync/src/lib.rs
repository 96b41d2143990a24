//! Bytes over MQTT 5: topics, a durable outbox, one session that reconnects for ever.
//!
//! Moves bytes between a node (or an operator's tool) and a broker it does not trust. Never looks
//! into a document, never decides what a message means. Read [`session`] first: it wires
//! [`topics`], [`outbox`], [`inbound`] and [`reconnect`] together; [`client`] is the operator's side.

pub mod client;
pub mod config;
mod connection;
pub mod inbound;
pub mod outbox;
pub mod reason;
pub mod reconnect;
pub mod session;
mod tls;
pub mod topics;

pub use client::{Client, ClientError, Message};
pub use config::{Config, ConfigError};
pub use inbound::{Ack, Inbound};
pub use outbox::{Change, Entry, MemoryStore, OutboxStore, Outgoing, Priority, StoreError};
pub use reason::Reason;
pub use session::{Link, LinkState, Receipt, SendError, Session, StartError, Stats, start};
pub use topics::{Address, Down, Name, Topic, Up};
