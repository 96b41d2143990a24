use skerry_core::audit::{Event, Head, beginning, header, verify};
use skerry_core::trust::sign::SigningKey;

use super::*;

/// A log of these entries, before which all made room up to `begin`.
fn log_after(begin: Head, count: u64, word: &str) -> Checked {
    let (key, node) = (SigningKey::from_bytes(&[1; 32]), "box-1".parse().unwrap());
    let (mut head, mut lines) = (begin, Vec::new());
    for _ in 0..count {
        let (line, next) = head.next(0, None, Event::new(Kind::Missed, "audit").detail(word));
        (head, lines) = (next, [lines, line, b"\n".to_vec()].concat());
    }
    let room = (begin.seq > 0).then(|| beginning(&key, &node, 0, begin).unwrap());
    let header = header(&key, &node, 0, head, room).unwrap();
    let export = [header, b"\n".to_vec(), lines].concat();
    verify(&export, &PublicKey::of(&key)).unwrap()
}

/// A log of three entries.
fn log(word: &str) -> Checked {
    log_after(Head::start(), 3, word)
}

fn reported(heads: &[Head]) -> Told {
    heads.iter().fold(Told::default(), |told, head| told.next(Some(*head), 0))
}

#[test]
fn a_history_that_differs_from_what_was_reported_is_refused() {
    let (mine, other) = (log("a"), log("b"));
    let compare = |heads: &[Head]| compare(&mine, &reported(heads));
    assert_eq!(compare(&mine.heads[1..2]).unwrap(), Held::As { seq: 2, earlier: 0 });
    assert_eq!(compare(&mine.heads).unwrap(), Held::As { seq: 3, earlier: 2 });
    assert_eq!(compare(&[]).unwrap(), Held::Silent);
    let why = compare(&other.heads[1..2]).unwrap_err().to_string();
    assert!(why.contains("named entry 2 with another hash"), "{why}");
    let later = Head { seq: 9, ..mine.head };
    let why = compare(&[later]).unwrap_err().to_string();
    assert!(why.contains("named entry 9, and the log ends with entry 3"), "{why}");
    // A report of after the history was written anew does not hide what one of before named.
    let why = compare(&[other.heads[0], mine.heads[2]]).unwrap_err().to_string();
    assert!(why.contains("named entry 1 with another hash"), "{why}");
}

#[test]
fn an_invented_beginning_after_all_that_was_reported_is_not_said_to_be_as_reported() {
    let mine = log("a");
    let invented = Head { seq: 600, ..log("b").head };
    let held = compare(&log_after(invented, 1, "b"), &reported(&mine.heads)).unwrap();
    assert_eq!(held, Held::Gone { seq: 3 });
    let line = vouched(held);
    assert!(line.contains("nothing here can be held against a report"), "{line}");
    assert!(!line.contains("as the node reported"), "{line}");
    // What made room for true is held by where the log begins.
    let held = compare(&log_after(mine.head, 2, "a"), &reported(&mine.heads)).unwrap();
    assert_eq!(held, Held::As { seq: 3, earlier: 0 });
    let forged = Head { seq: 3, ..log("b").head };
    assert!(compare(&log_after(forged, 2, "a"), &reported(&mine.heads)).is_err());
}

#[test]
fn gaps_that_the_node_tells_are_told() {
    let lines = told(&log("2 entries could not be written"));
    assert!(lines[0].starts_with("whole: entries 1 to 3 of node 'box-1'"), "{lines:?}");
    assert_eq!(lines[1], "before entry 1: 2 entries could not be written");
}
