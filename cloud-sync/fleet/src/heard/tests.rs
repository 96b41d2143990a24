use super::*;
use crate::testing::{Node, report};

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
