//! The link to the fleet: what comes down goes to the ledger, and is acknowledged when its fate is
//! durable; what goes up is signed by [`crate::reporter`].
//!
//! It must never hold up anything local: the node is whole without it. A message that cannot be kept,
//! as when the disk is full, is neither acknowledged nor let go: it is taken again until it can.

use std::time::Duration;

use skerry_core::report::Presence;
use skerry_core::trust::detached::seal;
use skerry_sync::{Down, Inbound, Link};
use tokio::sync::mpsc;

use crate::identity::Identity;
use crate::inbox::Fate;
use crate::ledger::{Desk, LedgerError};
use crate::timekeeper;
use crate::troubles::Troubles;

/// The first pause before a message that could not be kept is taken again, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(60);

/// The signed word about the node's presence, for birth and last will.
pub fn presence(identity: &Identity, presence: &Presence) -> bytes::Bytes {
    // Names and a flag always serialise, and are small.
    let text = serde_json::to_string(presence).unwrap_or_default();
    seal(identity.key(), &text).unwrap_or_default().into()
}

/// Asks for the document that the broker keeps, once in the life of a process: a broker that still has the
/// session of before believes that the node has it, and cannot know that its disk was flashed anew or came
/// back from a backup.
pub fn catch_up(link: &Link) {
    if let Err(error) = link.ask_again() {
        tracing::warn!(%error, "what the broker keeps was not asked for");
    }
}

/// Serves what comes down, until the session ends.
pub async fn serve(
    mut inbound: mpsc::Receiver<Inbound>,
    link: Link,
    desk: Desk,
    troubles: Troubles,
) {
    while let Some(message) = inbound.recv().await {
        take(message, &link, &desk, &troubles).await;
    }
}

async fn take(message: Inbound, link: &Link, desk: &Desk, troubles: &Troubles) {
    match &message.topic {
        // An empty retained message means that the topic was cleared: nothing is asked.
        Down::Desired | Down::GroupDesired(_) if message.payload.is_empty() => message.ack.give(),
        Down::Desired | Down::GroupDesired(_) => {
            if keep(&message.payload, desk, troubles).await {
                message.ack.give();
            }
        }
        // A lost answer is asked for again; so it is acknowledged whatever comes of it.
        Down::Time => {
            match desk.answer_time(message.payload.to_vec()).await {
                Ok(again) => timekeeper::look_again(again, Some(link)),
                Err(error) => tracing::warn!(%error, "a signed time was not kept"),
            }
            message.ack.give();
        }
        other => {
            tracing::debug!(topic = ?other, "nothing is done with this kind of message yet");
            message.ack.give();
        }
    }
}

/// Hands a bundle to the ledger until its fate is durable; `false` when the node ends before.
async fn keep(payload: &[u8], desk: &Desk, troubles: &Troubles) -> bool {
    let mut pause = FIRST;
    loop {
        let mut changed = troubles.watch();
        match desk.bundle(payload.to_vec()).await {
            Ok(Fate::Accepted { .. } | Fate::Unchanged | Fate::Refused(_)) => return true,
            Err(LedgerError::Closed) => return false,
            Err(error) => tracing::error!(%error, ?pause, "a document could not be kept"),
        }
        // What was raised by this very attempt must not wake it at once.
        changed.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = changed.changed() => {}
        }
        pause = (pause * 2).min(LAST);
    }
}
