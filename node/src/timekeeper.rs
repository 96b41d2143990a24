//! The timekeeper: asks the fleet what time it is, and keeps the clock now and then.
//!
//! It decides nothing about time: that is the ledger's (`ledger/time.rs`). It must never be waited for:
//! a node that nobody answers goes on with the clock it has. A question is asked when the broker is there
//! and the last answer is old; while a document waits for another time, the clock is looked at each minute.

use std::time::Duration;

use skerry_core::trust::detached::seal;
use skerry_core::trust::signed_time::Question;
use skerry_sync::{Link, LinkState, Outgoing, Up};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::identity::Identity;
use crate::ledger::{Desk, LedgerError, Public};

/// A clock is kept for the first time after NTP had time to set it.
const FIRST: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);
/// A question that nobody took is not worth sending later.
const WORTH: Duration = Duration::from_secs(30);

/// Keeps time until the ledger is gone. Without a link nobody is asked.
pub async fn run(
    desk: Desk,
    link: Option<Link>,
    identity: std::sync::Arc<Identity>,
    mut public: watch::Receiver<Public>,
) {
    let mut state = link.as_ref().map(Link::state);
    // A connection that is there already counts as one that was made.
    state.iter_mut().for_each(watch::Receiver::mark_changed);
    let (mut rest, mut since) = (FIRST, Instant::now());
    loop {
        let waits = public.borrow().waits_for_time;
        let pause = if waits { MINUTE } else { rest };
        tokio::select! {
            there = connected(&mut state) => {
                if !there {
                    state = None;
                } else if let Some(link) = &link {
                    ask(&desk, link, &identity).await;
                }
                continue;
            }
            changed = waiting(&mut public, waits) => if changed { continue } else { return },
            () = tokio::time::sleep_until(since + pause) => {}
        }
        match desk.keep_time().await {
            Ok(again) => look_again(again, link.as_ref()),
            Err(LedgerError::Closed) => return,
            Err(error) => tracing::warn!(%error, "the clock was not kept"),
        }
        if let Some(link) = &link {
            ask(&desk, link, &identity).await;
        }
        (rest, since) = (DAY, Instant::now());
    }
}

/// Waits until a document begins or ceases to wait for another time; false when the ledger is gone.
async fn waiting(public: &mut watch::Receiver<Public>, before: bool) -> bool {
    public.wait_for(|public| public.waits_for_time != before).await.is_ok()
}

/// Has the broker send its documents once more, when another time may judge them otherwise.
pub fn look_again(again: bool, link: Option<&Link>) {
    if let (true, Some(link)) = (again, link)
        && let Err(error) = link.ask_again()
    {
        tracing::warn!(%error, "what the broker keeps was not asked for");
    }
}

async fn ask(desk: &Desk, link: &Link, identity: &Identity) {
    let nonce = match desk.ask_time().await {
        Ok(Some(nonce)) => nonce,
        Ok(None) => return,
        Err(error) => return tracing::warn!(%error, "the time was not asked for"),
    };
    let question = serde_json::to_string(&Question { nonce }).unwrap_or_default();
    let sealed = match seal(identity.key(), &question) {
        Ok(sealed) => sealed,
        Err(error) => return tracing::warn!(%error, "the time was not asked for"),
    };
    let mut message = Outgoing::new(Up::Clock, sealed);
    message.durable = false;
    message.latest_wins = true;
    message.ttl = Some(WORTH);
    if let Err(error) = link.offer(message) {
        tracing::debug!(%error, "the time was not asked for");
    }
}

/// Waits for the next connection; false when there is none to wait for any more.
async fn connected(state: &mut Option<watch::Receiver<LinkState>>) -> bool {
    let Some(state) = state else { return std::future::pending().await };
    while state.changed().await.is_ok() {
        if matches!(*state.borrow_and_update(), LinkState::Connected { .. }) {
            return true;
        }
    }
    false
}
