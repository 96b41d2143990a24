use super::*;
use crate::testing::{Node, report};
use skerry_core::audit::Head;

fn take(memory: &mut Memory, counter: u64, text: &[u8], key: u8) -> Result<(), Replay> {
    let node = Node::new("box-1", key);
    let report = Report { counter, ..report(&node.name) };
    memory.take(&node.public().id(), Digest::of(text), &report)
}

#[test]
fn a_report_is_taken_once_and_again_only_as_it_was() {
    let mut memory = Memory::default();
    assert_eq!(take(&mut memory, 5, b"five", 1), Ok(()));
    assert_eq!(take(&mut memory, 5, b"five", 1), Ok(()), "the broker keeps it");
    assert_eq!(take(&mut memory, 5, b"other", 1), Err(Replay::Twin { counter: 5 }));
    assert_eq!(take(&mut memory, 4, b"four", 1), Err(Replay::Older { counter: 4, highest: 5 }));
    assert_eq!(take(&mut memory, 1029, b"after a restart", 1), Ok(()));
}

#[test]
fn a_node_with_another_key_begins_anew() {
    let mut memory = Memory::default();
    assert_eq!(take(&mut memory, 5, b"five", 1), Ok(()));
    assert_eq!(take(&mut memory, 1, b"one", 2), Ok(()));
}

#[test]
fn a_file_of_before_is_read_and_what_its_log_told_is_not_forgotten() {
    let node = Node::new("box-1", 1);
    let digest = Digest::of(b"five");
    let key = node.public().id();
    let text = format!(
        r#"{{"key":"{}","counter":5,"digest":"{digest}","audit":{{"seq":500,"digest":"{digest}"}}}}"#,
        key.as_str()
    );
    let heard: Heard = serde_json::from_str(&text).unwrap();
    assert_eq!(heard.told.newest().unwrap().seq, 500);
    assert_eq!(
        serde_json::to_string(&heard).unwrap(),
        text,
        "and older programs read what is written"
    );

    // The log was deleted; the operator approves the node anew, since its disk seems to have been put back.
    let mut memory = Memory::default();
    memory.known.insert(node.name.clone(), heard.renewed());
    let audit = Some(Head { seq: 3, digest });
    let report = Report { counter: 2, audit, ..report(&node.name) };
    memory.take(&key, Digest::of(b"two"), &report).unwrap();
    assert_eq!(memory.broken(&node.name, &key).unwrap().before.seq, 500);
    assert_eq!(memory.broken(&node.name, &Node::new("box-1", 2).public().id()), None);
    let kept: Heard =
        serde_json::from_value(serde_json::to_value(&memory.known[&node.name]).unwrap()).unwrap();
    assert_eq!(kept, memory.known[&node.name]);
}
