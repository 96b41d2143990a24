//! Every clock a device may wake up with, as a table.

use super::*;

const BUILT: &str = "2026-01-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn day(text: &str) -> Timestamp {
    at(&format!("{text}T00:00:00Z"))
}

fn floor() -> Floor {
    Floor::new(at(BUILT))
}

#[test]
fn how_a_file_stands_under_every_clock() {
    use Standing::{Expired, Fresh, Unproven};
    let signed = floor().with_signed(day("2026-06-01"), false);
    let saved = signed.with_saved(day("2026-09-01"));
    let poisoned = signed.with_saved(day("2040-01-01"));
    let table = [
        // floor, running clock, the file's end, standing
        ("built", floor(), "2026-03-01", "2026-12-01", Fresh),
        ("built, ended by the clock", floor(), "2026-12-02", "2026-12-01", Expired),
        ("built, ends this moment", floor(), "2026-12-01", "2026-12-01", Expired),
        ("1970", floor(), "1970-01-01", "2026-12-01", Unproven),
        ("1970, ended before the build", floor(), "1970-01-01", "2025-12-01", Expired),
        ("1970, ended before a signed time", signed, "1970-01-01", "2026-05-01", Expired),
        ("1970, ended before the saved clock only", saved, "1970-01-01", "2026-08-01", Unproven),
        ("1970, poisoned", poisoned, "1970-01-01", "2026-12-01", Unproven),
        ("between signed and saved", saved, "2026-07-01", "2026-12-01", Unproven),
        ("after the saved clock", saved, "2026-10-01", "2026-12-01", Fresh),
        ("2040", saved, "2040-01-01", "2026-12-01", Expired),
        ("right again after 2040", poisoned, "2026-10-01", "2026-12-01", Unproven),
    ];
    for (name, floor, now, expires, wanted) in table {
        assert_eq!(floor.clock(day(now)).standing(day(expires)), wanted, "{name}");
    }
}

#[test]
fn only_the_build_and_signed_times_move_the_floor() {
    let clean = floor();
    assert_eq!(clean.certain(), at(BUILT));
    let pushed = clean.with_saved(day("2040-01-01"));
    assert_eq!(pushed.certain(), at(BUILT), "an unsigned clock never moves it");
    let signed = pushed.with_signed(day("2026-06-01"), false);
    assert_eq!(signed.certain(), day("2026-06-01"));
    assert_eq!(signed.with_signed(day("2026-02-01"), false), signed, "and nothing moves it back");
    assert_eq!(signed.under(day("2027-01-01")).certain(), day("2027-01-01"));
    assert_eq!(signed.under(day("2025-01-01")).certain(), day("2026-06-01"), "an older program");
}

#[test]
fn a_clock_pushed_to_2040_is_forgotten_when_it_is_set_right() {
    let pushed = floor().with_saved(day("2040-01-01"));
    let right = day("2026-10-01");
    assert_eq!(pushed.clock(right).freshness(), Freshness::Unproven);
    assert_eq!(pushed.with_saved(right).clock(right).freshness(), Freshness::Proven);
    let told = pushed.with_signed(right, true);
    assert_eq!(told.saved, None, "a signed now knows better");
    assert_eq!(told.clock(right).freshness(), Freshness::Proven);
    let earlier = pushed.with_signed(right, false);
    assert_eq!(earlier.saved, pushed.saved, "a signed time of some day says nothing of today");
}

#[test]
fn a_clock_of_1970_is_not_saved() {
    let before = floor().with_saved(day("2026-03-01"));
    assert_eq!(before.with_saved(day("1970-01-01")), before);
}

#[test]
fn a_floor_that_a_stolen_key_pushed_goes_with_the_key() {
    let stolen = floor().with_signed(day("2040-01-01"), true);
    let now = day("2026-10-01");
    assert_eq!(stolen.clock(now).standing(day("2026-12-01")), Standing::Expired);
    let recovered = stolen.without_signed();
    assert_eq!(recovered.clock(now).standing(day("2026-12-01")), Standing::Fresh);
    // While it was believed, the clock was saved as that key showed it.
    let saved = stolen.with_saved(day("2040-01-02")).without_signed();
    assert_eq!(saved.clock(now).freshness(), Freshness::Proven);
}

#[test]
fn policy_decides_about_what_is_unproven_alone() {
    let mut set = crate::trust::tests::repository::Repository::new().node();
    let proof = |set: &mut crate::trust::TrustedSet, clock| {
        use crate::trust::tests::repository::{DOCUMENT, PATH};
        set.verify_target(PATH, DOCUMENT.as_bytes(), clock).unwrap().proof().clone()
    };
    let unproven = proof(&mut set, floor().clock(day("1970-01-01")));
    let proven = proof(&mut set, floor().clock(day("2026-06-01")));
    assert!(Policy::default().check(&unproven).is_ok());
    assert!(matches!(Policy::Refuse.check(&unproven), Err(TrustError::Unproven)));
    assert!(Policy::Refuse.check(&proven).is_ok());
}

#[test]
fn the_row_survives_its_text_form() {
    let full = floor().with_signed(day("2026-06-01"), true).with_saved(day("2026-07-01"));
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<Floor>(&text).unwrap(), full);
    let bare: Floor = serde_json::from_str(&format!("{{\"built\": \"{BUILT}\"}}")).unwrap();
    assert_eq!(bare, floor());
}
