use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::topics::Up;

mod model;

const ROOMY: Limits = Limits { bytes: 1 << 20, entries: 1000 };
const WALL: Duration = Duration::from_secs(1_800_000_000);

fn at(seconds: u64) -> Now {
    let elapsed = Duration::from_secs(seconds);
    Now { elapsed, wall: WALL + elapsed }
}

fn message(text: &str) -> Outgoing {
    Outgoing::new(Up::Event, text.as_bytes().to_vec())
}

fn push(outbox: &mut Outbox, message: Outgoing) -> Pushed {
    outbox.push("t".into(), message, at(0))
}

fn sent(outbox: &mut Outbox) -> Vec<String> {
    let all = std::iter::from_fn(|| outbox.next(u64::MAX, at(0)));
    all.map(|(entry, _)| String::from_utf8(entry.payload.to_vec()).unwrap()).collect()
}

#[test]
fn what_matters_more_goes_first_and_otherwise_what_came_first() {
    let mut outbox = Outbox::new(ROOMY);
    for (text, priority) in [
        ("low", Priority::Low),
        ("vital", Priority::Vital),
        ("first", Priority::Normal),
        ("second", Priority::Normal),
    ] {
        push(&mut outbox, Outgoing { priority, ..message(text) });
    }
    assert_eq!(sent(&mut outbox), ["vital", "first", "second", "low"]);
    outbox.connection_lost();
    assert_eq!(sent(&mut outbox), ["vital", "first", "second", "low"], "not in order again");
}

#[test]
fn an_outbox_beside_one_that_cannot_be_read_overwrites_nothing_and_is_the_newer() {
    let latest = |text: &str| Outgoing { latest_wins: true, ..message(text) };
    let mut unread = Outbox::new(ROOMY);
    push(&mut unread, latest("older"));
    // Whatever the clock shows.
    for now in [at(0), Now::default()] {
        let mut beside = Outbox::beside(ROOMY, now);
        push(&mut beside, latest("newer"));
        let changes = [unread.slots.values(), beside.slots.values()].into_iter().flatten();
        let entries: Vec<_> = changes.map(|slot| slot.entry.clone()).collect();
        assert_ne!(entries[0].seq, entries[1].seq);
        assert_eq!(sent(&mut Outbox::restore(ROOMY, entries, now)), ["newer"]);
    }
}

#[test]
fn without_room_the_oldest_of_the_least_wanted_goes() {
    let mut outbox = Outbox::new(Limits { entries: 3, ..ROOMY });
    for (text, priority) in [
        ("low 1", Priority::Low),
        ("normal 1", Priority::Normal),
        ("low 2", Priority::Low),
        ("normal 2", Priority::Normal),
        ("low 3", Priority::Low),
        ("vital", Priority::Vital),
    ] {
        push(&mut outbox, Outgoing { priority, ..message(text) });
    }
    assert_eq!(outbox.losses().evicted, [3, 0, 0, 0]);
    let low = Outgoing { priority: Priority::Low, ..message("low 4") };
    assert_eq!(push(&mut outbox, low), Pushed::NoRoom);
    assert_eq!(sent(&mut outbox), ["vital", "normal 1", "normal 2"]);
}

#[test]
fn nothing_is_dropped_for_a_message_that_would_not_fit_anyway() {
    let mut outbox = Outbox::new(Limits { bytes: 4096, entries: 10 });
    push(&mut outbox, message("kept"));
    let large = Outgoing { priority: Priority::Vital, ..message(&"x".repeat(5000)) };
    assert_eq!(push(&mut outbox, large), Pushed::NoRoom);
    assert_eq!(sent(&mut outbox), ["kept"]);
}

#[test]
fn what_is_under_way_is_not_dropped() {
    let mut outbox = Outbox::new(Limits { entries: 1, ..ROOMY });
    push(&mut outbox, Outgoing { priority: Priority::Low, ..message("under way") });
    assert_eq!(sent(&mut outbox), ["under way"]);
    let vital = Outgoing { priority: Priority::Vital, ..message("vital") };
    assert_eq!(push(&mut outbox, vital), Pushed::NoRoom);
    outbox.connection_lost();
    assert_eq!(sent(&mut outbox), ["under way"]);
}

#[test]
fn a_newer_report_takes_the_place_of_an_unsent_one() {
    let latest = |text: &str| Outgoing { latest_wins: true, ..message(text) };
    let mut outbox = Outbox::new(ROOMY);
    assert_eq!(push(&mut outbox, latest("old")), Pushed::Queued(1));
    push(&mut outbox, message("event"));
    assert_eq!(push(&mut outbox, latest("new")), Pushed::Replaced(1));
    assert_eq!(sent(&mut outbox), ["new", "event"]);
}

#[test]
fn an_older_report_never_follows_a_newer_one() {
    let latest = |text: &str| Outgoing { latest_wins: true, ..message(text) };
    let mut outbox = Outbox::new(ROOMY);
    push(&mut outbox, latest("old"));
    assert_eq!(sent(&mut outbox), ["old"]);
    assert_eq!(push(&mut outbox, latest("new")), Pushed::Queued(2));
    assert_eq!(sent(&mut outbox), ["new"]);
    outbox.acknowledged(2);
    outbox.refused(1, true);
    assert_eq!(sent(&mut outbox), [""; 0], "the old one was sent after the new one");
    assert!(outbox.is_empty());
}

#[test]
fn what_outlived_its_time_is_not_sent() {
    let mut outbox = Outbox::new(ROOMY);
    push(&mut outbox, Outgoing { ttl: Some(Duration::from_secs(10)), ..message("short") });
    push(&mut outbox, Outgoing { ttl: Some(Duration::from_secs(60)), ..message("long") });
    let (entry, left) = outbox.next(u64::MAX, at(10)).unwrap();
    assert_eq!((&entry.payload[..], left), (&b"long"[..], Some(Duration::from_secs(50))));
    assert_eq!(outbox.losses().expired, [0, 1, 0, 0]);
}

#[test]
fn time_spent_switched_off_counts_if_the_clock_was_right() {
    let hour = Duration::from_secs(3600);
    let never_set = Duration::from_secs(1000);
    let after = |queued: Duration, found: Duration| {
        let mut before = Outbox::new(ROOMY);
        let now = Now { elapsed: Duration::ZERO, wall: queued };
        before.push("t".into(), Outgoing { ttl: Some(hour), ..message("x") }, now);
        let entries = puts(&before.take_changes());
        let now = Now { elapsed: Duration::ZERO, wall: found };
        Outbox::restore(ROOMY, entries, now).next(u64::MAX, now).map(|(_, left)| left.unwrap())
    };
    assert_eq!(after(WALL, WALL + hour / 4), Some(hour * 3 / 4));
    assert_eq!(after(WALL, WALL + hour), None);
    assert_eq!(after(WALL, WALL - hour), Some(hour), "the clock went back");
    assert_eq!(after(never_set, WALL), Some(hour), "the clock was set meanwhile");
}

#[test]
fn a_message_the_broker_cannot_take_is_dropped() {
    let mut outbox = Outbox::new(ROOMY);
    push(&mut outbox, message(&"x".repeat(2000)));
    push(&mut outbox, message("small"));
    let (entry, _) = outbox.next(1000, at(0)).unwrap();
    assert_eq!(&entry.payload[..], b"small");
    assert_eq!(outbox.losses().rejected, [0, 1, 0, 0]);
}

#[test]
fn a_message_that_is_refused_again_and_again_is_given_up() {
    let mut outbox = Outbox::new(ROOMY);
    push(&mut outbox, message("x"));
    let tries = std::iter::from_fn(|| {
        let (entry, _) = outbox.next(u64::MAX, at(0))?;
        outbox.refused(entry.seq, true);
        Some(())
    });
    assert_eq!(tries.take(100).count(), 8);
    assert!(outbox.is_empty());
}

#[test]
fn a_stored_message_is_read_back_and_damage_is_noticed() {
    let mut outbox = Outbox::new(ROOMY);
    let ttl = Some(Duration::from_millis(1500));
    push(&mut outbox, Outgoing { ttl, retain: true, ..message("\u{0}payload") });
    let [Change::Put(entry)] = &outbox.take_changes()[..] else { panic!("no put") };
    assert_eq!(entry.ttl_secs, Some(2));
    let bytes = entry.encode();
    assert_eq!(Entry::decode(&bytes).unwrap(), *entry);
    for cut in 0..bytes.len() - entry.payload.len() {
        assert!(Entry::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    assert!(matches!(Entry::decode(&[9, 0, 0]), Err(DecodeError::Form { form: 9 })));
}

fn puts(changes: &[Change]) -> Vec<Entry> {
    let mut stored = BTreeMap::new();
    for change in changes {
        match change {
            Change::Put(entry) => drop(stored.insert(entry.seq, entry.clone())),
            Change::Remove(seq) => drop(stored.remove(seq)),
        }
    }
    stored.into_values().collect()
}

proptest! {
    #[test]
    fn reading_damaged_entries_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Entry::decode(&bytes);
    }
}
