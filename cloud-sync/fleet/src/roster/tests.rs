use jiff::Timestamp;
use skerry_core::report::Report;

use super::*;
use crate::heard::Replay;
use crate::init::InitArgs;
use crate::testing::{Node, report};

fn at(counter: u64, node: &Node) -> Vec<u8> {
    node.seal(&Report { counter, public_key: node.public(), ..report(&node.name) })
}

#[test]
fn a_report_that_the_broker_plays_again_is_told_apart() {
    let node = Node::new("box-1", 1);
    let mut roster = Roster::of([(node.name.clone(), node.public())].into(), Vec::new());
    let (old, new) = (at(1, &node), at(2, &node));
    assert!(matches!(roster.report("box-1", &old), Judged::Signed(_)));
    assert!(matches!(roster.report("box-1", &new), Judged::Signed(_)));
    let replay = Replay::Older { counter: 1, highest: 2 };
    assert_eq!(roster.report("box-1", &old), Judged::Replayed(replay));
    assert!(matches!(roster.report("box-1", &new), Judged::Signed(_)), "it is the newest still");
    // The same text in another envelope is no other report.
    let spaced = String::from_utf8(new).unwrap().replacen(':', " : ", 1);
    assert!(matches!(roster.report("box-1", spaced.as_bytes()), Judged::Signed(_)));
}

#[test]
fn a_forged_counter_does_not_keep_the_node_out() {
    let (node, forger) = (Node::new("box-1", 1), Node::new("box-1", 2));
    let mut roster = Roster::of([(node.name.clone(), node.public())].into(), Vec::new());
    assert!(matches!(roster.report("box-1", &at(u64::MAX, &forger)), Judged::Bad(_)));
    assert!(matches!(roster.report("box-1", &at(1, &node)), Judged::Signed(_)));
}

#[test]
fn a_revoked_key_counts_no_longer_and_its_node_may_come_back_with_another() {
    let (node, again) = (Node::new("box-1", 1), Node::new("box-1", 2));
    let (name, key, at_) = (node.name.clone(), node.public(), Timestamp::UNIX_EPOCH);
    let revoked = Revocation { node: name.clone(), key, reason: Some("stolen".into()), at: at_ };
    let mut roster = Roster::of(BTreeMap::new(), vec![revoked.clone()]);
    let Judged::Revoked(why) = roster.report("box-1", &at(1, &node)) else { panic!("taken") };
    assert!(why.contains("was revoked on 1970-01-01: stolen"), "{why}");
    assert!(roster.silenced("box-1").is_some());

    let mut roster = Roster::of([(name, again.public())].into(), vec![revoked]);
    assert!(matches!(roster.report("box-1", &at(2, &node)), Judged::Revoked(_)));
    assert!(matches!(roster.report("box-1", &at(1, &again)), Judged::Signed(_)));
    assert_eq!(roster.silenced("box-1"), None);
}

#[test]
fn who_is_revoked_or_approved_meanwhile_counts_from_the_next_report_on() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = crate::init::make(&dir, &Default::default(), &InitArgs::plain()).unwrap();
    let (node, again) = (Node::new("box-1", 1), Node::new("box-1", 2));
    let (name, key) = (node.name.clone(), node.public());
    workspace.put_node(&name, key).unwrap();
    let mut roster = Roster::load(&workspace).unwrap();
    let mut say = |bytes: &[u8]| {
        roster.read(&workspace, "box-1").unwrap();
        let judged = roster.report("box-1", bytes);
        roster.keep(&workspace);
        judged
    };
    assert!(matches!(say(&at(5, &node)), Judged::Signed(_)));
    workspace.remove_node(&name).unwrap();
    let at_ = Timestamp::UNIX_EPOCH;
    workspace.put_revoked(&Revocation { node: name.clone(), key, reason: None, at: at_ }).unwrap();
    assert!(matches!(say(&at(6, &node)), Judged::Revoked(_)));
    workspace.put_node(&name, again.public()).unwrap();
    assert!(matches!(say(&at(1, &again)), Judged::Signed(_)));
    assert_eq!(workspace.heard(&name).unwrap().unwrap().counter, 1);
}
