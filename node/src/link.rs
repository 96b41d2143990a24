//! The link to the fleet: what comes down goes to the ledger, and is acknowledged when its fate is
//! durable; what goes up is signed by [`crate::reporter`].
//!
//! It must never hold up anything local: the node is whole without it.

use skerry_core::report::Presence;
use skerry_core::trust::detached::seal;
use skerry_sync::{Down, Inbound, Link};
use tokio::sync::mpsc;

use crate::identity::Identity;
use crate::inbox::Fate;
use crate::ledger::{Desk, Public};

/// The signed word about the node's presence, for birth and last will.
pub fn presence(identity: &Identity, presence: &Presence) -> bytes::Bytes {
    // Names and a flag always serialise, and are small.
    let text = serde_json::to_string(presence).unwrap_or_default();
    seal(identity.key(), &text).unwrap_or_default().into()
}

/// Asks for the document that the broker keeps, when there is none here: a broker that knows this node
/// from before its disk was flashed anew believes that the node has it.
pub fn catch_up(link: &Link, public: &Public) {
    if public.document.is_none()
        && let Err(error) = link.ask_again()
    {
        tracing::warn!(%error, "what the broker keeps was not asked for");
    }
}

/// Serves what comes down, until the session ends.
pub async fn serve(mut inbound: mpsc::Receiver<Inbound>, desk: Desk) {
    while let Some(message) = inbound.recv().await {
        take(message, &desk).await;
    }
}

async fn take(message: Inbound, desk: &Desk) {
    match &message.topic {
        // An empty retained message means that the topic was cleared: nothing is asked.
        Down::Desired | Down::GroupDesired(_) if message.payload.is_empty() => message.ack.give(),
        Down::Desired | Down::GroupDesired(_) => {
            match desk.bundle(message.payload.to_vec()).await {
                Ok(Fate::Accepted { .. } | Fate::Unchanged | Fate::Refused(_)) => {
                    message.ack.give();
                }
                // Not acknowledged: it comes again.
                Err(error) => tracing::error!(%error, "a document could not be kept"),
            }
        }
        other => {
            tracing::debug!(topic = ?other, "nothing is done with this kind of message yet");
            message.ack.give();
        }
    }
}
