//! Who is pending, and whose key is kept.

use super::*;
use crate::testing::{Node, report as about};

fn heard(node: &Node) -> (PublicKey, Report) {
    (node.public(), about(&node.name))
}

#[test]
fn a_node_is_pending_until_its_very_key_is_kept() {
    let (one, two) = (Node::new("box-1", 1), Node::new("box-2", 2));
    let all = [heard(&two), heard(&one)];
    let names = |keys: &BTreeMap<_, _>| -> Vec<_> {
        pending(&all, keys, &[]).into_iter().map(|node| (node.node, node.replaces)).collect()
    };
    let row = |name: &str, replaces| (name.to_owned(), replaces);
    assert_eq!(names(&BTreeMap::new()), [row("box-1", false), row("box-2", false)]);
    let kept = BTreeMap::from([(one.name.clone(), one.public())]);
    assert_eq!(names(&kept), [row("box-2", false)]);
    let other = BTreeMap::from([(one.name.clone(), two.public())]);
    assert_eq!(names(&other), [row("box-1", true), row("box-2", false)]);
}

#[test]
fn only_the_expected_key_is_approved() {
    let node = Node::new("box-1", 1);
    let all = [heard(&node)];
    let choose =
        |name: &str, expected| choose(&all, &name.parse().unwrap(), expected).map(|(key, _)| key);
    let (id, whole) = (node.public().id().short(), node.public().to_hex());
    assert_eq!(choose("box-1", None).unwrap(), node.public());
    assert_eq!(choose("box-1", Some(&id)).unwrap(), node.public());
    assert_eq!(choose("box-1", Some(&whole)).unwrap(), node.public());
    let wrong = choose("box-1", Some("0123abcd"));
    assert!(matches!(wrong, Err(NodesRefusal::Unexpected { .. })));
    assert!(matches!(choose("box-1", Some("")), Err(NodesRefusal::Unexpected { .. })));
    assert!(matches!(choose("box-2", None), Err(NodesRefusal::Silent { .. })));
}
