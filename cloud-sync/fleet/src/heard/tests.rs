use super::*;
use crate::init::InitArgs;
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

/// A workspace that knows these nodes.
fn place(nodes: &[&Node]) -> (tempfile::TempDir, Workspace) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = crate::init::make(&dir, &Default::default(), &InitArgs::plain()).unwrap();
    for node in nodes {
        workspace.put_node(&node.name, node.public()).unwrap();
    }
    (folder, workspace)
}

fn hears(memory: &mut Memory, node: &Node, counter: u64) -> Result<(), Replay> {
    let report = Report { counter, ..report(&node.name) };
    memory.take(&node.public().id(), Digest::of(&counter.to_le_bytes()), &report)
}

#[test]
fn of_two_that_hear_at_once_the_one_that_is_behind_takes_nothing_back() {
    let (one, two) = (Node::new("box-1", 1), Node::new("box-2", 2));
    let (_folder, workspace) = place(&[&one, &two]);
    let load = || Memory::load(&workspace, &workspace.nodes().unwrap()).unwrap();
    let (mut behind, mut ahead) = (load(), load());
    hears(&mut behind, &one, 5).unwrap();
    hears(&mut ahead, &one, 9).unwrap();
    ahead.keep(&workspace);
    behind.keep(&workspace);
    assert_eq!(workspace.heard(&one.name).unwrap().unwrap().counter, 9);
    // And it knows now what the other heard.
    assert_eq!(hears(&mut behind, &one, 6), Err(Replay::Older { counter: 6, highest: 9 }));
    hears(&mut ahead, &two, 3).unwrap();
    ahead.keep(&workspace);
    behind.read(&workspace, &two.name).unwrap();
    assert_eq!(hears(&mut behind, &two, 2), Err(Replay::Older { counter: 2, highest: 3 }));

    // What a key said that was replaced meanwhile does not take the place of what the new one said.
    let again = Node::new("box-1", 3);
    hears(&mut behind, &one, 20).unwrap();
    workspace.put_node(&again.name, again.public()).unwrap();
    hears(&mut ahead, &again, 1).unwrap();
    ahead.keep(&workspace);
    behind.keep(&workspace);
    assert_eq!(workspace.heard(&one.name).unwrap().unwrap().key, again.public().id());
}

#[test]
fn what_cannot_be_kept_keeps_nothing_else_out_and_is_tried_again() {
    let (one, two) = (Node::new("box-1", 1), Node::new("box-2", 2));
    let (folder, workspace) = place(&[&one, &two]);
    let mut memory = Memory::load(&workspace, &workspace.nodes().unwrap()).unwrap();
    hears(&mut memory, &one, 5).unwrap();
    hears(&mut memory, &two, 5).unwrap();
    let way = folder.path().join("fleet/nodes/box-1.heard.new/in the way");
    std::fs::create_dir_all(&way).unwrap();
    memory.keep(&workspace);
    assert_eq!(workspace.heard(&one.name).unwrap(), None);
    assert_eq!(workspace.heard(&two.name).unwrap().unwrap().counter, 5);
    std::fs::remove_dir_all(way.parent().unwrap()).unwrap();
    memory.keep(&workspace);
    assert_eq!(workspace.heard(&one.name).unwrap().unwrap().counter, 5);
}

#[test]
fn after_a_node_was_approved_anew_the_broker_cannot_bring_its_old_reports_back() {
    let node = Node::new("box-1", 1);
    let (_folder, workspace) = place(&[]);
    let hear = |counter, boot: &str| {
        let mut memory = Memory::load(&workspace, &workspace.nodes().unwrap()).unwrap();
        let report = Report { counter, boot_id: boot.to_owned(), ..report(&node.name) };
        let digest = Digest::of(&serde_json::to_vec(&report).unwrap());
        let taken = memory.take(&node.public().id(), digest, &report);
        memory.keep(&workspace);
        taken
    };
    let approve = || crate::nodes::add(&workspace, &node.name, node.public(), false).unwrap();
    approve();
    for (counter, boot) in [(5, "a"), (1029, "b")] {
        hear(counter, boot).unwrap();
    }
    // Its disk is put back to what it was at counter 100.
    assert_eq!(hear(1124, "c"), Ok(()), "no lower one was heard yet");
    assert_eq!(hear(101, "c"), Err(Replay::Older { counter: 101, highest: 1124 }));
    approve();
    for (counter, boot) in [(1029, "b"), (5, "a")] {
        assert_eq!(hear(counter, boot), Err(Replay::Past { counter }));
    }
    assert_eq!(
        hear(1124, "c"),
        Ok(()),
        "what was said last is shown until there is something newer"
    );
    hear(101, "d").unwrap();
    for (counter, boot) in [(1029, "b"), (1124, "c")] {
        assert_eq!(hear(counter, boot), Err(Replay::Past { counter }), "its own are not kept out");
    }
    hear(102, "d").unwrap();
    // Approved once more, it forgets nothing of before.
    approve();
    assert_eq!(hear(1029, "b"), Err(Replay::Past { counter: 1029 }));
    assert_eq!(hear(102, "d"), Err(Replay::Past { counter: 102 }));
    hear(1125, "d").unwrap();
}
