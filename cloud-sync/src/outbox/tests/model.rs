//! The outbox against a model that is slow and obvious: one list, searched from end to end.

use std::collections::BTreeMap;

use super::*;

const LIMITS: Limits = Limits { bytes: 4000, entries: 8 };

#[derive(Debug, Clone)]
enum Action {
    Push { topic: u8, priority: usize, size: usize, ttl: Option<u64>, latest: bool, durable: bool },
    Next { max_packet: u64 },
    Acknowledge { which: usize },
    Refuse { which: usize, again: bool },
    ConnectionLost,
    Later { seconds: u64 },
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    let push = (
        0_u8..3,
        0_usize..4,
        0_usize..1500,
        prop::option::of(1_u64..20),
        any::<bool>(),
        any::<bool>(),
    );
    prop_oneof![
        8 => push.prop_map(|(topic, priority, size, ttl, latest, durable)| {
            Action::Push { topic, priority, size, ttl, latest, durable }
        }),
        5 => prop_oneof![3 => Just(u64::MAX), 1 => 100_u64..1500]
            .prop_map(|max_packet| Action::Next { max_packet }),
        4 => (0_usize..4).prop_map(|which| Action::Acknowledge { which }),
        1 => (0_usize..4, any::<bool>()).prop_map(|(which, again)| Action::Refuse { which, again }),
        1 => Just(Action::ConnectionLost),
        2 => (0_u64..10).prop_map(|seconds| Action::Later { seconds }),
        1 => Just(Action::Restart),
    ]
}

#[derive(Debug, Clone)]
struct Item {
    seq: u64,
    topic: String,
    priority: usize,
    cost: u64,
    packet: u64,
    expires: Option<u64>,
    latest: bool,
    durable: bool,
    under_way: bool,
    superseded: bool,
    strikes: u8,
}

#[derive(Debug, Default)]
struct Model {
    items: Vec<Item>,
    next_seq: u64,
    now: u64,
}

impl Model {
    fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.cost).sum()
    }

    fn over(&self) -> bool {
        self.bytes() > LIMITS.bytes || self.items.len() > LIMITS.entries
    }

    /// What goes first when there is no room.
    fn least(&self, up_to: usize, not: u64) -> Option<usize> {
        (0..self.items.len())
            .filter(|i| !self.items[*i].under_way && self.items[*i].seq != not)
            .filter(|i| self.items[*i].priority <= up_to)
            .min_by_key(|i| (self.items[*i].priority, self.items[*i].seq))
    }

    fn push(&mut self, mut item: Item) -> Pushed {
        let before = (self.items.clone(), item.seq);
        let older = self.items.iter().rposition(|old| {
            item.latest && old.latest && old.topic == item.topic && !old.superseded
        });
        let mut replaced = false;
        if let Some(older) = older {
            if self.items[older].under_way {
                self.items[older].superseded = true;
            } else {
                item.seq = self.items.remove(older).seq;
                replaced = true;
            }
        }
        let (seq, priority) = (item.seq, item.priority);
        self.items.push(item);
        if self.over() {
            let now = self.now;
            let live =
                |i: &Item| i.under_way || i.seq == seq || i.expires.is_none_or(|at| at > now);
            self.items.retain(live);
        }
        while self.over() {
            match self.least(priority, seq) {
                Some(index) => drop(self.items.remove(index)),
                None => {
                    // Expired ones may have gone, nothing else.
                    let now = self.now;
                    self.items = before.0;
                    self.items.retain(|i| i.under_way || i.expires.is_none_or(|at| at > now));
                    return Pushed::NoRoom;
                }
            }
        }
        if replaced {
            return Pushed::Replaced(seq);
        }
        self.next_seq += 1;
        Pushed::Queued(seq)
    }

    fn next(&mut self, max_packet: u64) -> Option<u64> {
        loop {
            let best = (0..self.items.len())
                .filter(|i| !self.items[*i].under_way)
                .min_by_key(|i| (3 - self.items[*i].priority, self.items[*i].seq))?;
            let item = &mut self.items[best];
            if item.expires.is_some_and(|at| at <= self.now) || item.packet > max_packet {
                self.items.remove(best);
            } else {
                item.under_way = true;
                return Some(item.seq);
            }
        }
    }

    fn unsend(&mut self, seq: u64) {
        self.items.retain(|item| !(item.seq == seq && item.superseded));
        self.items.iter_mut().filter(|i| i.seq == seq).for_each(|item| item.under_way = false);
    }

    fn refused(&mut self, seq: u64, again: bool) {
        let Some(item) = self.items.iter_mut().find(|item| item.seq == seq) else { return };
        item.strikes += 1;
        if again && item.strikes < STRIKES_MAX {
            self.unsend(seq);
        } else {
            self.items.retain(|item| item.seq != seq);
        }
    }

    fn under_way(&self, which: usize) -> Option<u64> {
        let mut seqs: Vec<u64> =
            self.items.iter().filter(|item| item.under_way).map(|item| item.seq).collect();
        seqs.sort_unstable();
        seqs.get(which).copied()
    }

    fn restart(&mut self) {
        let now = self.now;
        self.items.retain(|item| item.durable && item.expires.is_none_or(|at| at > now));
        self.items.sort_by_key(|item| item.seq);
        let all = self.items.clone();
        self.items.retain(|item| {
            let newer =
                |other: &Item| other.latest && other.topic == item.topic && other.seq > item.seq;
            !item.latest || !all.iter().any(newer)
        });
        for item in &mut self.items {
            (item.under_way, item.superseded, item.strikes) = (false, false, 0);
        }
    }

    fn queue(&self) -> Vec<(u64, bool)> {
        let mut all: Vec<_> = self.items.iter().map(|item| (item.seq, item.under_way)).collect();
        all.sort_unstable();
        all
    }
}

/// The real outbox with a store beside it.
struct Real {
    outbox: Outbox,
    stored: BTreeMap<u64, Entry>,
}

impl Real {
    fn persist(&mut self) {
        for change in self.outbox.take_changes() {
            match change {
                Change::Put(entry) => drop(self.stored.insert(entry.seq, entry)),
                Change::Remove(seq) => drop(self.stored.remove(&seq)),
            }
        }
    }

    fn queue(&self) -> Vec<(u64, bool)> {
        self.outbox.slots.iter().map(|(seq, slot)| (*seq, slot.under_way)).collect()
    }
}

fn outgoing(action: &Action) -> Option<(String, Outgoing)> {
    let Action::Push { topic, priority, size, ttl, latest, durable } = action else { return None };
    let priority = [Priority::Low, Priority::Normal, Priority::High, Priority::Vital][*priority];
    let message = Outgoing {
        priority,
        ttl: ttl.map(Duration::from_secs),
        latest_wins: *latest,
        durable: *durable,
        ..Outgoing::new(Up::Event, vec![0; *size])
    };
    Some((format!("topic/{topic}"), message))
}

fn item(model: &Model, topic: String, message: &Outgoing) -> Item {
    let entry = Entry::new(model.next_seq, topic.clone(), message.clone(), Duration::ZERO);
    Item {
        seq: model.next_seq,
        topic,
        priority: message.priority.index(),
        cost: entry.cost(),
        packet: entry.packet_size(),
        expires: message.ttl.map(|ttl| model.now + ttl.as_secs()),
        latest: message.latest_wins,
        durable: message.durable,
        under_way: false,
        superseded: false,
        strikes: 0,
    }
}

fn apply(action: &Action, model: &mut Model, real: &mut Real) -> Result<(), TestCaseError> {
    let now = at(model.now);
    match action {
        Action::Push { .. } => {
            let (topic, message) = outgoing(action).unwrap();
            let expected = item(model, topic.clone(), &message);
            prop_assert_eq!(real.outbox.push(topic, message, now), model.push(expected));
        }
        Action::Next { max_packet } => {
            let sent = real.outbox.next(*max_packet, now).map(|(entry, _)| entry.seq);
            prop_assert_eq!(sent, model.next(*max_packet));
        }
        Action::Acknowledge { which } => {
            if let Some(seq) = model.under_way(*which) {
                real.outbox.acknowledged(seq);
                model.items.retain(|item| item.seq != seq);
            }
        }
        Action::Refuse { which, again } => {
            if let Some(seq) = model.under_way(*which) {
                real.outbox.refused(seq, *again);
                model.refused(seq, *again);
            }
        }
        Action::ConnectionLost => {
            real.outbox.connection_lost();
            let under_way: Vec<u64> = (0..).map_while(|i| model.under_way(i)).collect();
            under_way.into_iter().for_each(|seq| model.unsend(seq));
        }
        Action::Later { seconds } => model.now += seconds,
        Action::Restart => {
            let entries = real.stored.values().cloned().collect();
            real.outbox = Outbox::restore(LIMITS, entries, now);
            model.restart();
            // A number is free again when nothing in the store is younger.
            model.next_seq = real.outbox.next_seq;
        }
    }
    real.persist();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_does_what_the_model_does(actions in prop::collection::vec(action(), 1..120)) {
        let mut model = Model { next_seq: 1, ..Model::default() };
        let mut real = Real { outbox: Outbox::new(LIMITS), stored: BTreeMap::new() };
        for action in &actions {
            apply(action, &mut model, &mut real)?;
            prop_assert_eq!(real.queue(), model.queue(), "after {:?}", action);
            prop_assert_eq!(real.outbox.bytes(), model.bytes());
            prop_assert!(real.outbox.bytes() <= LIMITS.bytes);
            prop_assert!(real.outbox.len() <= LIMITS.entries);
            let durable = model.items.iter().filter(|item| item.durable).map(|item| item.seq);
            let mut durable: Vec<u64> = durable.collect();
            durable.sort_unstable();
            let stored: Vec<u64> = real.stored.keys().copied().collect();
            prop_assert_eq!(stored, durable, "the store differs after {:?}", action);
        }
    }
}
