//! The messages under way on one connection: decides which one an acknowledgement is for, and when
//! it is overdue.
//!
//! Pure; `now` is passed in. rumqttc gives a packet its id only when the event loop takes it, and says
//! so in the order in which the packets were handed over: that is how the two are matched. Next:
//! [`super::live`].

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// What is assumed of a slow line when an acknowledgement is waited for: bytes a second.
const SLOW_LINE: u64 = 2048;

#[derive(Debug)]
struct Item<T> {
    cargo: T,
    bytes: u64,
    due: Instant,
}

/// Messages handed to rumqttc and not yet acknowledged.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    patience: Duration,
    handed_over: VecDeque<Item<T>>,
    on_the_wire: HashMap<u16, Item<T>>,
    bytes: u64,
}

impl<T> Flight<T> {
    /// An acknowledgement is overdue after `patience` and the time a slow line needs.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, handed_over: VecDeque::new(), on_the_wire: HashMap::new(), bytes: 0 }
    }

    /// A message was handed over.
    pub(crate) fn hand_over(&mut self, cargo: T, bytes: usize, now: Instant) {
        let bytes = bytes as u64;
        self.bytes += bytes;
        let due = now + self.allowance();
        self.handed_over.push_back(Item { cargo, bytes, due });
    }

    /// The next message got this packet id.
    pub(crate) fn took_off(&mut self, packet: u16) {
        if let Some(item) = self.handed_over.pop_front()
            && let Some(lost) = self.on_the_wire.insert(packet, item)
        {
            self.bytes -= lost.bytes;
        }
    }

    /// The message with this packet id was acknowledged.
    pub(crate) fn landed(&mut self, packet: u16) -> Option<T> {
        let item = self.on_the_wire.remove(&packet)?;
        self.bytes -= item.bytes;
        Some(item.cargo)
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.handed_over.len() + self.on_the_wire.len()
    }

    /// When the first becomes overdue.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.items().map(|item| item.due).min()
    }

    /// Acknowledgements could not be read for so long.
    pub(crate) fn postpone(&mut self, by: Duration) {
        let all = self.handed_over.iter_mut().chain(self.on_the_wire.values_mut());
        all.for_each(|item| item.due += by);
    }

    /// The one message under way, if there is exactly one.
    pub(crate) fn sole(&self) -> Option<&T> {
        if self.len() == 1 { self.items().next().map(|item| &item.cargo) } else { None }
    }

    /// Everything under way, in no order.
    pub(crate) fn into_cargo(self) -> impl Iterator<Item = T> {
        let on_the_wire = self.on_the_wire.into_values();
        self.handed_over.into_iter().chain(on_the_wire).map(|item| item.cargo)
    }

    fn items(&self) -> impl Iterator<Item = &Item<T>> {
        self.handed_over.iter().chain(self.on_the_wire.values())
    }

    fn allowance(&self) -> Duration {
        self.patience + Duration::from_secs(self.bytes / SLOW_LINE)
    }
}

#[cfg(test)]
mod tests;
