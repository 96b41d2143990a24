//! What comes down, and the acknowledgement that can be given once.
//!
//! The queue is bounded twice, by messages and by bytes: whatever has been handed out and is neither
//! acknowledged nor dropped counts. Nothing is dropped when it is full: the session stops reading.
//! Never looks at a payload. Next: [`crate::session`], which fills the queue.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::topics::Down;

/// A message from the broker.
#[derive(Debug)]
pub struct Inbound {
    /// What it is.
    pub topic: Down,
    /// Whether the broker had kept it, rather than passing it on as it came.
    pub retained: bool,
    /// Its bytes, from an untrusted broker.
    pub payload: Bytes,
    /// To be given when the message has been made durable, or refused.
    pub ack: Ack,
}

/// The acknowledgement of one message. Dropping it withholds it: the broker sends the message again
/// after the next connection, and has room for one message less until then.
#[derive(Debug)]
#[must_use = "a message that is not acknowledged comes again"]
pub struct Ack {
    receipt: Option<Settled>,
    settled: mpsc::UnboundedSender<Settled>,
    _room: OwnedSemaphorePermit,
}

/// Which message of which connection was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) connection: u64,
    pub(crate) packet: u16,
}

impl Ack {
    /// Tells the broker that the message need not come again. Without effect if the connection it
    /// came by is gone: then it comes again.
    pub fn give(self) {
        if let Some(receipt) = self.receipt {
            // Without a session there is nobody to tell, and the message will come again.
            let _ = self.settled.send(receipt);
        }
    }
}

/// A message on its way into the queue.
pub(crate) struct Arrival {
    pub(crate) topic: Down,
    pub(crate) retained: bool,
    pub(crate) payload: Bytes,
    /// `None` for one that needs no acknowledgement.
    pub(crate) receipt: Option<Settled>,
}

/// The session's end of the queue.
pub(crate) struct Queue {
    messages: mpsc::Sender<Inbound>,
    /// In kibibytes, since the semaphore counts in 32 bits.
    room: Arc<Semaphore>,
    room_total: u32,
    settled: mpsc::UnboundedSender<Settled>,
}

/// The queue, its reading end, and where acknowledgements arrive. The latter is not bounded in itself:
/// there is at most one for each message that was handed out.
pub(crate) fn queue(
    messages: usize,
    bytes: u64,
) -> (Queue, mpsc::Receiver<Inbound>, mpsc::UnboundedReceiver<Settled>) {
    let (sender, receiver) = mpsc::channel(messages);
    let (settled, acknowledged) = mpsc::unbounded_channel();
    let room_total = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).max(1);
    let room = Arc::new(Semaphore::new(room_total as usize));
    (Queue { messages: sender, room, room_total, settled }, receiver, acknowledged)
}

impl Queue {
    /// Puts a message into the queue, waiting for room. If nobody reads any more, it is let go
    /// without acknowledgement.
    pub(crate) fn put(&self, arrival: Arrival) -> impl Future<Output = ()> + Send + use<> {
        let (messages, room) = (self.messages.clone(), Arc::clone(&self.room));
        let settled = self.settled.clone();
        let kibibytes = u32::try_from(arrival.payload.len() / 1024).unwrap_or(u32::MAX);
        let cost = kibibytes.saturating_add(1).min(self.room_total);
        async move {
            let Ok(permit) = room.acquire_many_owned(cost).await else { return };
            let ack = Ack { receipt: arrival.receipt, settled, _room: permit };
            let Arrival { topic, retained, payload, .. } = arrival;
            let payload = unpinned(payload);
            let _ = messages.send(Inbound { topic, retained, payload, ack }).await;
        }
    }
}

/// A small payload is a slice of the connection's read buffer, and would hold all of it.
fn unpinned(payload: Bytes) -> Bytes {
    const SMALL: usize = 64 * 1024;
    if payload.len() < SMALL { Bytes::copy_from_slice(&payload) } else { payload }
}
