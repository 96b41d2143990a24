//! A log that was tampered with, in each way there is, is told apart from a whole one.

use super::*;
use crate::trust::sign::SigningKey;

fn key(of: u8) -> SigningKey {
    SigningKey::from_bytes(&[of; 32])
}

fn node() -> NodeName {
    "box-1".parse().unwrap()
}

/// The lines of a log of `count` entries, the header first.
fn log(count: u64) -> Vec<Vec<u8>> {
    let (mut head, mut lines) = (Head::start(), vec![Vec::new()]);
    for number in 1..=count {
        let event = Event::new(Kind::Started, format!("agent-{number}")).user(0);
        let (line, next) = head.next(1000, Some(Freshness::Proven), event);
        lines.push(line);
        head = next;
    }
    lines[0] = header(&key(1), &node(), 5000, head, None).unwrap();
    lines
}

fn check(lines: &[Vec<u8>]) -> Result<Checked, String> {
    let export = [lines.join(&b'\n'), b"\n".to_vec()].concat();
    verify(&export, &PublicKey::of(&key(1))).map_err(|why| why.to_string())
}

#[test]
fn a_whole_log_is_whole_and_says_whose_it_is() {
    let checked = check(&log(5)).unwrap();
    assert_eq!((checked.node, checked.entries.len(), checked.head.seq), (node(), 5, 5));
    assert_eq!(checked.entries[2].event.subject, "agent-3");
    assert_eq!(check(&log(0)).unwrap().entries, []);
}

#[test]
fn a_changed_entry_is_named() {
    for (line, seq) in [(1, 1), (3, 3), (5, 5)] {
        let mut lines = log(5);
        let text = String::from_utf8(lines[line].clone()).unwrap();
        lines[line] = text.replace("agent-", "burglar-").into_bytes();
        let why = check(&lines).unwrap_err();
        assert!(why.contains(&format!("entry {seq} was changed")), "{why}");
    }
}

#[test]
fn every_single_changed_byte_is_noticed() {
    let whole = [log(3).join(&b'\n'), b"\n".to_vec()].concat();
    for at in 0..whole.len() - 1 {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        assert!(verify(&bad, &PublicKey::of(&key(1))).is_err(), "byte {at}");
    }
}

#[test]
fn a_removed_entry_is_a_gap_with_its_numbers() {
    let mut lines = log(6);
    lines.drain(3..5);
    let why = check(&lines).unwrap_err();
    assert_eq!(why, "entries 3 to 4 are missing: entry 5 follows entry 2");
    let mut lines = log(6);
    lines.remove(1);
    assert!(check(&lines).unwrap_err().contains("before entry 2 are missing"));
}

#[test]
fn reordered_and_repeated_entries_are_noticed() {
    let mut lines = log(4);
    lines.swap(2, 3);
    assert_eq!(check(&lines).unwrap_err(), "entries 2 to 2 are missing: entry 3 follows entry 1");
    let mut lines = log(4);
    let twice = lines[2].clone();
    lines.insert(3, twice);
    assert!(check(&lines).unwrap_err().contains("entry 2 stands where entry 3 belongs"));
}

#[test]
fn a_missing_end_and_an_added_entry_are_noticed() {
    let mut lines = log(4);
    lines.pop();
    let why = check(&lines).unwrap_err();
    assert!(
        why.contains("entry 3 is the last one here, and the node signed up to entry 4"),
        "{why}"
    );
    let mut lines = log(5);
    lines[0] = log(4)[0].clone();
    assert!(check(&lines).unwrap_err().contains("entries were added"));
}

#[test]
fn a_head_of_somebody_else_is_not_believed() {
    let mut lines = log(2);
    let (head, _) = Head::of(&lines[2]).unwrap();
    lines[0] = header(&key(2), &node(), 5000, head, None).unwrap();
    assert!(check(&lines).unwrap_err().contains("the head of the log is not signed by the node"));
    // A signed word of another kind is no head either.
    let word = beginning(&key(1), &node(), 5000, head).unwrap();
    lines[0] = serde_json::to_vec(&Header { head: word, begin: None }).unwrap();
    assert!(check(&lines).unwrap_err().contains("no word about an audit log"));
}

#[test]
fn what_made_room_is_vouched_for_and_nothing_else_may_be_missing() {
    let mut lines = log(6);
    let (second, _) = Head::of(&lines[2]).unwrap();
    let (last, _) = Head::of(&lines[6]).unwrap();
    let begin = beginning(&key(1), &node(), 4000, second).unwrap();
    lines.drain(1..3);
    lines[0] = header(&key(1), &node(), 5000, last, Some(begin)).unwrap();
    let checked = check(&lines).unwrap();
    assert_eq!((checked.begin.seq, checked.entries[0].seq), (2, 3));
    lines.remove(1);
    assert!(check(&lines).unwrap_err().contains("before entry 4 are missing"));
    let forged = beginning(&key(2), &node(), 4000, second).unwrap();
    lines[0] = header(&key(1), &node(), 5000, last, Some(forged)).unwrap();
    assert!(check(&lines).unwrap_err().contains("beginning of the log is not signed"));
}
