//! What the node wants to say, kept until the broker has acknowledged it: decides what is sent next,
//! what a newer message replaces, and what is dropped when there is no more room.
//!
//! Pure: `now` is passed in, and the changes that a store has to make durable come out of
//! [`Outbox::take_changes`]. Never sends and never writes. Next: [`crate::session`], which does both,
//! in the order persist, publish, remove.
//!
//! The rules:
//! - Higher priorities go first; within one, the order in which they were queued.
//! - Without room, the lowest priority is dropped first, and of that the oldest; never one that is
//!   under way. A message for which only more important ones could make room is itself refused.
//! - A `latest_wins` message takes the place of one with its topic that is not under way. If one is
//!   under way, it is sent after it, and the older is not sent again.
//! - What outlived its time is not sent. Time spent switched off counts if the clock was right.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

mod entry;
mod store;

pub use entry::{DecodeError, Entry, Outgoing, Priority};
pub use store::{Change, MemoryStore, OutboxStore, StoreError};

/// What an outbox may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, counted with a fixed cost for each message.
    pub bytes: u64,
    /// Messages.
    pub entries: usize,
}

/// The time, twice: `elapsed` never jumps; `wall` survives a restart but may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Since some fixed moment of this process.
    pub elapsed: Duration,
    /// Since 1970.
    pub wall: Duration,
}

/// A clock that shows less (2026-01-01) was never set.
const CLOCK_WAS_SET: Duration = Duration::from_secs(1_767_225_600);
/// No outbox has counted so far when this is first needed, whatever the clock shows.
const BESIDE_MIN: u64 = 1 << 40;
/// How often a message may be refused, or end the connection, before it is given up.
const STRIKES_MAX: u8 = 8;

/// What happened to messages that were not delivered, by priority (see [`Priority::index`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Dropped because there was no room, or refused for the same reason.
    pub evicted: [u64; Priority::COUNT],
    /// Outlived their time.
    pub expired: [u64; Priority::COUNT],
    /// Refused by the broker, or larger than it takes.
    pub rejected: [u64; Priority::COUNT],
}

/// What became of a message that was to be queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is queued under this number.
    Queued(u64),
    /// It took the place, and the number, of an older one with its topic.
    Replaced(u64),
    /// There is no room that it may take.
    NoRoom,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    /// On the clock of [`Now::elapsed`].
    expires: Option<Duration>,
    under_way: bool,
    /// A newer message with its topic was queued while this was under way.
    superseded: bool,
    strikes: u8,
}

/// The messages, and the rules.
#[derive(Debug)]
pub struct Outbox {
    limits: Limits,
    slots: BTreeMap<u64, Slot>,
    /// Not under way, by priority.
    queued: [BTreeSet<u64>; Priority::COUNT],
    queued_bytes: [u64; Priority::COUNT],
    bytes: u64,
    /// The newest `latest_wins` message of a topic.
    newest: HashMap<String, u64>,
    next_seq: u64,
    /// No message expires before this.
    first_expiry: Option<Duration>,
    losses: Losses,
    changes: Vec<Change>,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: BTreeMap::new(),
            queued: Default::default(),
            queued_bytes: Default::default(),
            bytes: 0,
            newest: HashMap::new(),
            next_seq: 1,
            first_expiry: None,
            losses: Losses::default(),
            changes: Vec::new(),
        }
    }

    /// An empty outbox beside one that cannot be read: its numbers are above those of the other, so
    /// that nothing there is overwritten, and what is newer is so by its number as well.
    pub fn beside(limits: Limits, now: Now) -> Self {
        let above = u64::try_from(now.wall.as_micros()).unwrap_or(u64::MAX / 2);
        Self { next_seq: above.max(BESIDE_MIN), ..Self::new(limits) }
    }

    /// The outbox as a store remembers it. What no longer fits the limits is dropped by the rules.
    pub fn restore(limits: Limits, mut entries: Vec<Entry>, now: Now) -> Self {
        let mut outbox = Self::new(limits);
        entries.sort_by_key(|entry| entry.seq);
        for entry in entries {
            outbox.next_seq = outbox.next_seq.max(entry.seq.saturating_add(1));
            let expires = match entry.remaining_after_restart(now.wall, CLOCK_WAS_SET) {
                Some(left) if left.is_zero() => {
                    outbox.losses.expired[entry.priority.index()] += 1;
                    outbox.changes.push(Change::Remove(entry.seq));
                    continue;
                }
                left => left.map(|left| now.elapsed + left),
            };
            if let Some(old) = outbox.newest_for(&entry) {
                outbox.remove(old);
            }
            let (seq, priority) = (entry.seq, entry.priority);
            if outbox.make_room(priority, entry.cost(), now) {
                outbox.insert(entry, expires);
            } else {
                outbox.losses.evicted[priority.index()] += 1;
                outbox.changes.push(Change::Remove(seq));
            }
        }
        outbox
    }

    /// Queues a message under `topic`.
    pub fn push(&mut self, topic: String, message: Outgoing, now: Now) -> Pushed {
        let mut entry = Entry::new(self.next_seq, topic, message, now.wall);
        let priority = entry.priority;
        let (mut replaced, mut superseded) = (None, None);
        if let Some(old) = self.newest_for(&entry) {
            if self.slots.get(&old).is_some_and(|slot| slot.under_way) {
                superseded = Some(old);
            } else {
                replaced = self.detach(old);
            }
        }
        if !self.make_room(priority, entry.cost(), now) {
            self.losses.evicted[priority.index()] += 1;
            // The older one is better than nothing.
            if let Some(slot) = replaced {
                self.insert(slot.entry, slot.expires);
                self.drop_expired(now);
            }
            return Pushed::NoRoom;
        }
        if let Some(slot) = superseded.and_then(|old| self.slots.get_mut(&old)) {
            slot.superseded = true;
        }
        if let Some(old) = &replaced {
            entry.seq = old.entry.seq;
        } else {
            self.next_seq = self.next_seq.saturating_add(1);
        }
        let seq = entry.seq;
        if entry.durable {
            self.changes.push(Change::Put(entry.clone()));
        } else if replaced.as_ref().is_some_and(|old| old.entry.durable) {
            self.changes.push(Change::Remove(seq));
        }
        let expires = entry.ttl().map(|ttl| now.elapsed + ttl);
        self.insert(entry, expires);
        if replaced.is_some() { Pushed::Replaced(seq) } else { Pushed::Queued(seq) }
    }

    /// The next message to send, which is under way from now on, and how long it still holds.
    /// Whatever is larger than `max_packet` is dropped: to send it would end the connection.
    pub fn next(&mut self, max_packet: u64, now: Now) -> Option<(Entry, Option<Duration>)> {
        loop {
            let seq = self.queued.iter().rev().find_map(|queue| queue.first().copied())?;
            let slot = self.slots.get(&seq)?;
            let index = slot.entry.priority.index();
            if slot.expires.is_some_and(|at| at <= now.elapsed) {
                self.losses.expired[index] += 1;
                self.remove(seq);
            } else if slot.entry.packet_size() > max_packet {
                self.losses.rejected[index] += 1;
                self.remove(seq);
            } else {
                return self.send(seq, now);
            }
        }
    }

    /// The broker has it.
    pub fn acknowledged(&mut self, seq: u64) {
        self.remove(seq);
    }

    /// The broker does not want it. With `again`, it is queued once more, a few times.
    pub fn refused(&mut self, seq: u64, again: bool) {
        let Some(slot) = self.slots.get_mut(&seq) else { return };
        slot.strikes = slot.strikes.saturating_add(1);
        if !again || slot.strikes >= STRIKES_MAX {
            let index = slot.entry.priority.index();
            self.losses.rejected[index] += 1;
            self.remove(seq);
        } else {
            self.unsend(seq);
        }
    }

    /// It could not be sent after all: it is queued again, in its old place.
    pub fn put_back(&mut self, seq: u64) {
        self.unsend(seq);
    }

    /// The connection is gone: what was under way is queued again, in its old place.
    pub fn connection_lost(&mut self) {
        let under_way: Vec<u64> =
            self.slots.iter().filter(|(_, slot)| slot.under_way).map(|(seq, _)| *seq).collect();
        for seq in under_way {
            self.unsend(seq);
        }
    }

    /// What a store has to do, in this order, before the next message is sent.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many bytes they cost.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether any message waits to be sent.
    pub fn has_queued(&self) -> bool {
        self.queued.iter().any(|queue| !queue.is_empty())
    }

    /// What was not delivered.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    fn newest_for(&self, entry: &Entry) -> Option<u64> {
        if entry.latest_wins { self.newest.get(&entry.topic).copied() } else { None }
    }

    fn insert(&mut self, entry: Entry, expires: Option<Duration>) {
        self.expires(expires);
        if entry.latest_wins {
            self.newest.insert(entry.topic.clone(), entry.seq);
        }
        self.bytes += entry.cost();
        self.queue(entry.priority, entry.seq, entry.cost());
        let slot = Slot { expires, under_way: false, superseded: false, strikes: 0, entry };
        self.slots.insert(slot.entry.seq, slot);
    }

    fn expires(&mut self, at: Option<Duration>) {
        self.first_expiry = [self.first_expiry, at].into_iter().flatten().min();
    }

    fn queue(&mut self, priority: Priority, seq: u64, cost: u64) {
        self.queued[priority.index()].insert(seq);
        self.queued_bytes[priority.index()] += cost;
    }

    fn unqueue(&mut self, priority: Priority, seq: u64, cost: u64) {
        if self.queued[priority.index()].remove(&seq) {
            self.queued_bytes[priority.index()] -= cost;
        }
    }

    fn send(&mut self, seq: u64, now: Now) -> Option<(Entry, Option<Duration>)> {
        let slot = self.slots.get_mut(&seq)?;
        slot.under_way = true;
        let entry = slot.entry.clone();
        let left = slot.expires.map(|at| at.saturating_sub(now.elapsed));
        self.unqueue(entry.priority, seq, entry.cost());
        Some((entry, left))
    }

    fn unsend(&mut self, seq: u64) {
        let Some(slot) = self.slots.get_mut(&seq) else { return };
        if slot.superseded {
            self.remove(seq);
        } else if slot.under_way {
            slot.under_way = false;
            let (priority, cost, expires) = (slot.entry.priority, slot.entry.cost(), slot.expires);
            self.queue(priority, seq, cost);
            self.expires(expires);
        }
    }

    /// Takes a message out of every index; what the store keeps of it is the caller's matter.
    fn detach(&mut self, seq: u64) -> Option<Slot> {
        let slot = self.slots.remove(&seq)?;
        let cost = slot.entry.cost();
        self.bytes -= cost;
        self.unqueue(slot.entry.priority, seq, cost);
        if self.newest.get(&slot.entry.topic) == Some(&seq) {
            self.newest.remove(&slot.entry.topic);
        }
        Some(slot)
    }

    fn remove(&mut self, seq: u64) {
        if self.detach(seq).is_some_and(|slot| slot.entry.durable) {
            self.changes.push(Change::Remove(seq));
        }
    }

    /// Drops by the rules until `cost` more bytes and one more message fit. Drops nothing when that
    /// would not be enough.
    fn make_room(&mut self, priority: Priority, cost: u64, now: Now) -> bool {
        if self.fits(0, 0, cost) {
            return true;
        }
        self.drop_expired(now);
        let up_to = ..=priority.index();
        let bytes = self.queued_bytes[up_to].iter().sum();
        let entries = self.queued[up_to].iter().map(BTreeSet::len).sum();
        if !self.fits(bytes, entries, cost) {
            return false;
        }
        while !self.fits(0, 0, cost) {
            let Some((index, seq)) = self.least_wanted() else { return false };
            self.losses.evicted[index] += 1;
            self.remove(seq);
        }
        true
    }

    fn least_wanted(&self) -> Option<(usize, u64)> {
        let mut queues = self.queued.iter().enumerate();
        queues.find_map(|(index, queue)| queue.first().map(|seq| (index, *seq)))
    }

    fn fits(&self, bytes_freed: u64, entries_freed: usize, cost: u64) -> bool {
        self.bytes - bytes_freed + cost <= self.limits.bytes
            && self.slots.len() - entries_freed < self.limits.entries
    }

    fn drop_expired(&mut self, now: Now) {
        if self.first_expiry.is_none_or(|first| first > now.elapsed) {
            return;
        }
        let expired: Vec<u64> = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.under_way && slot.expires.is_some_and(|at| at <= now.elapsed))
            .map(|(seq, _)| *seq)
            .collect();
        for seq in expired {
            if let Some(slot) = self.slots.get(&seq) {
                self.losses.expired[slot.entry.priority.index()] += 1;
            }
            self.remove(seq);
        }
        self.first_expiry =
            self.slots.values().filter(|s| !s.under_way).filter_map(|s| s.expires).min();
    }
}

#[cfg(test)]
mod tests;
