use jiff::{SignedDuration, ToSpan};
use skerry_core::trust::{Freshness, Role};

use super::*;

fn day(day: &str) -> Timestamp {
    format!("{day}T00:00:00Z").parse().unwrap()
}

fn moment(wall: Timestamp, seconds: u64) -> Moment {
    Moment { wall, tick: Tick(seconds * 1000) }
}

fn time() -> Time {
    Time::new(None, day("2026-11-01"), Tick(0))
}

fn expired(expires: Timestamp) -> BundleError {
    let source = TrustError::Expired { role: Role::Timestamp, expires, at: expires };
    BundleError::Trust { repository: Repository::Director, source }
}

#[test]
fn a_clock_of_1970_proves_nothing_and_a_signed_time_takes_its_place() {
    let mut time = time();
    let asked = moment(day("1970-01-01"), 30);
    let state = time.state(asked);
    assert_eq!((state.freshness, state.source), (Freshness::Unproven, TimeSource::Clock));
    time.ask("n".to_owned(), asked.tick);
    let (nonce, at) = time.open_question(Tick(31_000)).unwrap();
    assert_eq!(nonce, "n");
    let floor = time.floor.with_signed(day("2026-11-28"), true);
    assert!(time.change(&floor).is_some(), "a signed time is worth a row");
    assert!(!time.answered(day("2026-11-28"), at, floor));
    assert!(time.open_question(Tick(31_000)).is_none(), "a question is answered once");
    let later = moment(day("1970-01-02"), 30 + 3600);
    let state = time.state(later);
    assert_eq!((state.freshness, state.source), (Freshness::Proven, TimeSource::Signed));
    assert_eq!(time.now(later).shown, day("2026-11-28") + SignedDuration::from_hours(1));
    assert!(time.is_due(later.tick) && !time.is_due(Tick(60_000)));

    let again = Time::new(Some(time.kept), day("2026-11-01"), Tick(0));
    assert_eq!(again.now(asked).clock().floor, day("2026-11-28"), "it outlives the boot");
    assert_eq!(again.state(asked).freshness, Freshness::Unproven);
}

#[test]
fn an_answer_that_was_held_back_is_none() {
    let mut time = time();
    time.ask("n".to_owned(), Tick(1_000));
    assert!(time.open_question(Tick(61_000)).is_some());
    assert!(time.open_question(Tick(61_001)).is_none());
}

#[test]
fn a_clock_at_2040_refuses_nothing_for_good() {
    let mut time = time();
    let wrong = moment(day("2040-01-01"), 10);
    assert_eq!(time.state(wrong).freshness, Freshness::Proven);
    time.doubt(&expired(day("2027-01-01")), wrong);
    assert!(time.is_doubted() && !time.was_set(wrong));
    // It was kept, too.
    let floor = time.with_clock(wrong);
    assert!(time.change(&floor).is_some());
    time.learn(floor);
    let right = moment(day("2026-11-28"), 20);
    assert!(time.was_set(right), "the document gets another look");
    assert!(!time.was_set(right) && !time.is_doubted(), "once");
    let clock = time.now(right).clock();
    assert_eq!(clock.effective(), day("2026-11-01"), "2040 refuses nothing any more");
    assert_eq!(clock.freshness(), Freshness::Unproven);
    // A signed time settles it at once.
    let floor = time.floor.with_signed(day("2026-11-28"), true);
    let _ = time.answered(day("2026-11-28"), right.tick, floor);
    assert_eq!(time.floor.saved, None);
    assert_eq!(time.now(wrong).shown, day("2026-11-28") - SignedDuration::from_secs(0));
}

#[test]
fn a_document_that_waits_for_another_time_is_looked_at_when_a_signed_one_comes() {
    let mut time = time();
    let wrong = moment(day("2040-01-01"), 10);
    time.doubt(&expired(day("2027-01-01")), wrong);
    let floor = time.floor.with_signed(day("2026-11-28"), true);
    assert!(time.answered(day("2026-11-28"), Tick(10_000), floor));
    time.doubt(&expired(day("2026-10-01")), wrong);
    assert!(!time.is_doubted(), "what ended before the floor waits for nothing");
}

#[test]
fn the_clock_that_a_stolen_key_pushed_is_kept_no_longer_than_the_key() {
    let mut time = time();
    let far = day("2027-11-27");
    let _ = time.answered(far, Tick(0), time.floor.with_signed(far, true));
    let noon = moment(day("2026-11-28"), 12 * 3600);
    time.learn(time.with_clock(noon));
    assert!(time.floor.saved > Some(far), "it was believed");
    time.learn(time.floor.without_signed());
    let again = Time::new(Some(time.kept), day("2026-11-01"), Tick(0));
    for time in [&time, &again] {
        assert_eq!(time.state(noon).freshness, Freshness::Proven);
        assert_eq!(time.now(noon).clock().effective(), noon.wall);
    }
}

#[test]
fn the_floor_is_written_once_a_day_and_at_once_when_it_is_taken_back() {
    let mut time = time();
    let mut rows = 0;
    let begin = day("2026-11-28");
    for hour in 0..72_i64 {
        let now = moment(begin + hour.hours(), hour.unsigned_abs() * 3600);
        let floor = time.with_clock(now).with_signed(now.wall, true);
        rows += u32::from(time.change(&floor).is_some());
        time.learn(floor);
    }
    assert_eq!(rows, 3, "three days, three rows");
    let back = time.floor.without_signed();
    assert!(time.change(&back).is_some());
    time.anchor = Some(Anchor { time: begin, at: Tick(0) });
    time.learn(back);
    assert!(time.anchor.is_none(), "what a stolen key signed is forgotten in this boot, too");
}

#[test]
fn a_clock_that_stays_behind_is_believed_after_a_day() {
    let kept = Floor::new(day("2026-11-01")).with_saved(day("2040-01-01"));
    let time = Time::new(Some(kept), day("2026-11-01"), Tick(0));
    let boot = moment(day("2026-11-28"), 600);
    assert_eq!(time.with_clock(boot).saved, Some(day("2040-01-01")));
    let next = moment(day("2026-11-29"), 24 * 3600);
    assert_eq!(time.with_clock(next).saved, Some(day("2026-11-29")));
}
