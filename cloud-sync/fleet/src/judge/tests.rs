use super::*;
use crate::testing::{Node, report as about};

#[test]
fn only_what_the_node_itself_signed_is_signed() {
    let (node, other) = (Node::new("box-1", 1), Node::new("box-1", 2));
    let keys = BTreeMap::from([(node.name.clone(), node.public())]);
    let bytes = node.seal(&about(&node.name));
    let Judged::Signed(told) = report("box-1", &bytes, &keys) else { panic!("not taken") };
    assert_eq!(told.node, node.name);

    assert_eq!(report("box-2", &bytes, &keys), Judged::UnknownKey, "no key is kept for box-2");
    let forged = other.seal(&about(&node.name));
    assert!(
        matches!(report("box-1", &forged, &keys), Judged::Bad(why) if why.contains("signed with key"))
    );
    let altered = String::from_utf8(bytes.clone()).unwrap().replace("box-1", "box-7");
    assert!(matches!(report("box-1", altered.as_bytes(), &keys), Judged::Bad(_)));
    assert!(matches!(report("box-1", b"junk", &keys), Judged::Bad(_)));
}

#[test]
fn a_report_that_was_moved_to_another_topic_is_not_taken() {
    let node = Node::new("box-1", 1);
    // The same key is kept for both names, as when somebody added it twice.
    let keys = ["box-1", "box-2"].map(|name| (name.parse().unwrap(), node.public())).into();
    let bytes = node.seal(&about(&node.name));
    let Judged::Bad(why) = report("box-2", &bytes, &keys) else { panic!("taken") };
    assert!(why.contains("node 'box-1'"), "{why}");
}

#[test]
fn an_introduction_names_the_key_that_signed_it_and_the_node_it_came_from() {
    let (node, other) = (Node::new("box-1", 1), Node::new("box-1", 2));
    let bytes = node.seal(&about(&node.name));
    assert_eq!(introduction("box-1", &bytes).map(|(key, _)| key), Some(node.public()));
    assert_eq!(introduction("box-2", &bytes), None, "moved to another topic");
    let borrowed = other.seal(&about(&node.name));
    assert_eq!(introduction("box-1", &borrowed), None, "another's key");
    assert_eq!(introduction("box-1", b"junk"), None);
}

#[test]
fn presence_is_believed_only_when_signed() {
    let (node, other) = (Node::new("box-1", 1), Node::new("box-1", 2));
    let keys = BTreeMap::from([(node.name.clone(), node.public())]);
    let said = |by: &Node, online| {
        let boot_id = "b".to_owned();
        by.seal(&Presence { node: node.name.clone(), online, boot_id })
    };
    assert_eq!(online("box-1", &said(&node, true), &keys), Some(true));
    assert_eq!(online("box-1", &said(&node, false), &keys), Some(false));
    assert_eq!(online("box-1", &said(&other, true), &keys), None);
    assert_eq!(online("box-1", br#"{"node":"box-1","online":true,"bootId":"b"}"#, &keys), None);
}
