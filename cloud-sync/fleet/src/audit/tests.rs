use skerry_core::audit::{Event, header, verify};
use skerry_core::trust::sign::SigningKey;

use super::*;

/// A log of three entries.
fn log(word: &str) -> Checked {
    let key = SigningKey::from_bytes(&[1; 32]);
    let (mut head, mut lines) = (Head::start(), Vec::new());
    for _ in 0..3 {
        let (line, next) = head.next(0, None, Event::new(Kind::Missed, "audit").detail(word));
        (head, lines) = (next, [lines, line, b"\n".to_vec()].concat());
    }
    let header = header(&key, &"box-1".parse().unwrap(), 0, head, None).unwrap();
    let export = [header, b"\n".to_vec(), lines].concat();
    verify(&export, &PublicKey::of(&key)).unwrap()
}

#[test]
fn a_history_that_differs_from_what_was_reported_is_refused() {
    let (mine, other) = (log("a"), log("b"));
    assert!(compare(&mine, mine.heads[1]).is_ok());
    let why = compare(&mine, other.heads[1]).unwrap_err().to_string();
    assert!(why.contains("named entry 2 with another hash"), "{why}");
    let later = Head { seq: 9, ..mine.head };
    let why = compare(&mine, later).unwrap_err().to_string();
    assert!(why.contains("named entry 9, and the log ends with entry 3"), "{why}");
}

#[test]
fn gaps_that_the_node_tells_are_told() {
    let lines = told(&log("2 entries could not be written"), None);
    assert!(lines[0].starts_with("whole: entries 1 to 3 of node 'box-1'"), "{lines:?}");
    assert_eq!(lines[1], "before entry 1: 2 entries could not be written");
}
