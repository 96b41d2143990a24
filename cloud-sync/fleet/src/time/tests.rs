use super::*;
use crate::init::{InitArgs, make};
use crate::testing::Node;
use crate::workspace::Overrides;

#[test]
fn approved_nodes_are_answered_and_nobody_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
    let (node, other) = (Node::new("box-1", 1), Node::new("box-2", 2));
    let question = Question { nonce: "0".repeat(2 * NONCE_BYTES) };
    let ask = |name: &str, bytes: &[u8]| nonce(&workspace, name, bytes).unwrap();
    let told = ask("box-1", &node.seal(&question)).unwrap_err().to_string();
    assert!(told.contains("skerry-fleet nodes approve box-1"), "{told}");
    workspace.put_node(&node.name, node.public()).unwrap();
    assert_eq!(ask("box-1", &node.seal(&question)), Ok(question.nonce.clone()));
    for bytes in [
        other.seal(&question),
        node.seal(&Question { nonce: "0".to_owned() }),
        node.seal(&"x"),
        b"{}".to_vec(),
        vec![0; TIME_MAX + 1],
    ] {
        assert!(matches!(ask("box-1", &bytes), Err(Unanswered::Bad(_))));
    }
    assert!(matches!(ask("box 1", b""), Err(Unanswered::Unknown(_))));
}
