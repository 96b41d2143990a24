use skerry_core::ids::Digest;

use super::*;

const HOUR: u64 = 3_600_000;

fn refused(bytes: &[u8], reason: &str) -> RefusedDocument {
    RefusedDocument { digest: Digest::of(bytes), reason: reason.to_owned(), at_ms: 0, count: 1 }
}

#[test]
fn the_same_bytes_under_the_same_rule_are_counted_whatever_the_words() {
    let mut refusals = Refusals::default();
    let expired = |at: &str| refused(b"a", &format!("timestamp expired (judged at {at})"));
    assert!(refusals.take(expired("12:00"), "expired", Tick(0)));
    assert!(!refusals.take(expired("12:01"), "expired", Tick(1)));
    assert!(refusals.take(refused(b"a", "0 of 1"), "signature", Tick(2)), "another rule is told");
    let counts: Vec<_> = refusals.list().iter().map(|refused| refused.count).collect();
    assert_eq!((counts, refusals.take_unwritten()), (vec![2, 1], 0));
}

#[test]
fn a_refusal_of_a_process_before_is_not_written_again() {
    let mut refusals = Refusals::new(vec![refused(b"a", "expired")]);
    assert!(!refusals.take(refused(b"a", "expired (later)"), "expired", Tick(0)));
    assert!(refusals.take(refused(b"a", "0 of 1"), "signature", Tick(0)));
}

#[test]
fn of_a_flood_sixteen_are_written_then_one_an_hour_and_the_rest_is_counted() {
    let mut refusals = Refusals::default();
    let mut written = Vec::new();
    for minute in 0..6 * 60_u64 {
        let now = Tick(minute * 60_000);
        if refusals.take(refused(&minute.to_be_bytes(), "garbage"), "format", now) {
            written.push((minute, refusals.take_unwritten()));
        }
    }
    let hourly = [(60, 44), (120, 59), (180, 59), (240, 59), (300, 59)];
    let row: Vec<_> = (0..16).map(|minute| (minute, 0)).collect();
    assert_eq!(written[..16], row);
    assert_eq!(written[16..], hourly);
    assert_eq!(refusals.list().len(), REFUSED_MAX, "the newest, for whoever looks");
    let quiet = Tick(24 * HOUR);
    let again = (0..20_u8).filter(|i| refusals.take(refused(&[*i], "garbage"), "format", quiet));
    assert_eq!(again.count(), 16, "the budget fills up again");
}

#[test]
fn garbage_does_not_hide_what_is_wrong_with_the_owners_documents() {
    let mut refusals = Refusals::default();
    let mut take = |i: u8, rule| refusals.take(refused(&[i], "no"), rule, Tick(0));
    assert_eq!((0..100).filter(|i| take(*i, "format")).count(), 16);
    assert_eq!((100..200).filter(|i| take(*i, DOCUMENT)).count(), 48, "bounded all the same");
    assert!(!take(200, "format"));
}
