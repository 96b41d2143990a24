//! The session's task: connects, serves the connection, pauses, for ever.
//!
//! Does what the outbox, the back-off and the flight decide, in the order persist, publish, remove.
//! Never waits for the network while a request of the owner is waiting. Next: [`super::live`].

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::live::{End, Live};
use super::{Command, LinkState, Receipt, SendError, Stats};
use crate::config::Settings;
use crate::inbound::{Queue, Settled};
use crate::outbox::{Change, Limits, Now, Outbox, OutboxStore, Pushed};
use crate::reason::{Kind, Reason};
use crate::reconnect::Backoff;
use crate::topics::Address;

/// What is said of the node under `status`.
pub(super) struct Status {
    pub(super) will: Bytes,
    pub(super) birth: Box<dyn Fn() -> Bytes + Send>,
}

/// The session's ends of its channels.
pub(super) struct Channels {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) acks: mpsc::UnboundedReceiver<Settled>,
    pub(super) queue: Queue,
    pub(super) state: watch::Sender<LinkState>,
    pub(super) stats: watch::Sender<Stats>,
}

/// What outlives a connection.
pub(super) struct Task<O> {
    pub(super) settings: Settings,
    pub(super) address: Address,
    pub(super) status: Status,
    pub(super) channels: Channels,
    pub(super) outbox: Outbox,
    pub(super) stats: Stats,
    store: O,
    backoff: Backoff,
    began: Instant,
    /// Whether the broker's session of this node has the subscriptions of this process.
    pub(super) subscribed: bool,
    /// Whether the owner wants what the broker keeps once more.
    pub(super) ask_again: bool,
    /// Send one message at a time: one of them may have ended the connection before.
    pub(super) one_by_one: bool,
    pub(super) connection: u64,
}

/// The owner wants the session to end.
pub(super) struct Closing {
    pub(super) farewell: Option<Bytes>,
    /// `None` when every handle is gone.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// The most requests that are taken into one write of the store.
const BATCH: usize = 64;

impl<O: OutboxStore> Task<O> {
    pub(super) fn new(
        settings: Settings,
        address: Address,
        store: O,
        status: Status,
        channels: Channels,
    ) -> Self {
        let began = Instant::now();
        let (outbox, failure) = restored(&store, settings.config.limits(), now(began));
        let (min, max) = (settings.config.reconnect_min, settings.config.reconnect_max);
        let mut task = Self {
            backoff: Backoff::new(min.duration(), max.duration()),
            settings,
            address,
            status,
            channels,
            outbox,
            store,
            began,
            stats: failure.map_or_else(Stats::default, |failure| Stats {
                store_failures: 1,
                last_store_failure: Some(failure),
                ..Stats::default()
            }),
            subscribed: false,
            ask_again: false,
            one_by_one: false,
            connection: 0,
        };
        task.persist();
        task.tell();
        task
    }

    pub(super) async fn run(mut self) {
        let mut last = None;
        loop {
            let attempt = self.backoff.failures().saturating_add(1);
            self.channels.state.send_replace(LinkState::Connecting { attempt, last });
            let end = Live::serve(&mut self).await;
            self.outbox.connection_lost();
            self.persist();
            self.tell();
            let reason = match end {
                End::Closed(closing) => return self.ended(closing),
                End::Lost { reason, held } => {
                    held.into_iter().for_each(|held| self.backoff.held(held));
                    reason
                }
            };
            let pause = self.backoff.failed(jitter());
            warn!(broker = %self.settings.url, %reason, ?pause, "not connected");
            if let Some(closing) = self.pause(pause, reason.clone()).await {
                return self.ended(closing);
            }
            last = Some(reason);
        }
    }

    /// Waits for the next attempt; requests are served meanwhile.
    async fn pause(&mut self, pause: Duration, reason: Reason) -> Option<Closing> {
        let until = Instant::now() + pause;
        let (attempt, next) = (self.backoff.failures(), Some(until.into_std()));
        self.channels.state.send_replace(LinkState::Offline { reason, attempt, next });
        loop {
            tokio::select! {
                () = sleep_until(until) => return None,
                command = self.channels.commands.recv() => {
                    if let Some(closing) = self.serve_commands(command) {
                        return Some(closing);
                    }
                }
                // Acknowledgements for a connection that is gone.
                Some(_) = self.channels.acks.recv() => {}
            }
        }
    }

    fn ended(self, closing: Closing) {
        info!(broker = %self.settings.url, "session closed");
        let reason = Reason::new(Kind::Stopped, "the session was closed");
        self.channels.state.send_replace(LinkState::Offline { reason, attempt: 0, next: None });
        if let Some(done) = closing.done {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }

    /// Takes every request that waits, and makes them durable with one write.
    pub(super) fn serve_commands(&mut self, first: Option<Command>) -> Option<Closing> {
        let mut waiting = VecDeque::new();
        let mut closing = None;
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Some(Command::Send { topic, message, reply }) => {
                    let durable = message.durable;
                    let pushed = self.outbox.push(topic, message, self.now());
                    waiting.push_back((pushed, durable, reply));
                }
                Some(Command::AskAgain) => self.ask_again = true,
                Some(Command::Close { farewell, done }) => {
                    closing = Some(Closing { farewell, done: Some(done) });
                }
                None => closing = Some(Closing { farewell: None, done: None }),
            }
            let more = closing.is_none() && waiting.len() < BATCH;
            next = if more { self.channels.commands.try_recv().ok().map(Some) } else { None };
        }
        let persisted = self.persist();
        for (pushed, durable, reply) in waiting {
            let durable = durable && persisted;
            let outcome = match pushed {
                Pushed::Queued(seq) => Ok(Receipt { seq, replaced: false, durable }),
                Pushed::Replaced(seq) => Ok(Receipt { seq, replaced: true, durable }),
                Pushed::NoRoom => Err(SendError::NoRoom),
            };
            // Whoever asked may have stopped waiting.
            reply.into_iter().for_each(|reply| drop(reply.send(outcome.clone())));
        }
        self.tell();
        closing
    }

    /// Has the store do what the outbox decided. When it fails, messages are still sent, but would not
    /// survive the process.
    pub(super) fn persist(&mut self) -> bool {
        let changes: Vec<Change> = self.outbox.take_changes();
        if changes.is_empty() {
            return true;
        }
        let Err(error) = self.store.apply(&changes) else { return true };
        warn!(%error, "the outbox is not durable");
        self.stats.store_failures += 1;
        self.stats.last_store_failure = Some(error.to_string());
        false
    }

    /// Publishes the counters, if any changed.
    pub(super) fn tell(&mut self) {
        self.stats.queued = self.outbox.len();
        self.stats.queued_bytes = self.outbox.bytes();
        self.stats.losses = self.outbox.losses();
        let stats = &self.stats;
        self.channels.stats.send_if_modified(|shown| {
            let changed = shown != stats;
            if changed {
                shown.clone_from(stats);
            }
            changed
        });
    }

    pub(super) fn now(&self) -> Now {
        now(self.began)
    }
}

/// The outbox as the store has it. What cannot be read now is sent after a later start; the session
/// goes on without it, or a full disk would cut the node off.
fn restored(store: &impl OutboxStore, limits: Limits, now: Now) -> (Outbox, Option<String>) {
    match store.load() {
        Ok(entries) => (Outbox::restore(limits, entries, now), None),
        Err(error) => {
            warn!(%error, "the outbox cannot be read: begun anew beside it");
            (Outbox::beside(limits, now), Some(error.to_string()))
        }
    }
}

fn now(began: Instant) -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { elapsed: began.elapsed(), wall }
}

/// A draw from 0.0 to 1.0, from the randomness that hash maps are seeded with.
fn jitter() -> f64 {
    let draw = RandomState::new().hash_one(0_u8) >> 11;
    draw as f64 / (1_u64 << 53) as f64
}
