use jiff::ToSpan as _;
use skerry_core::trust::enrolment::Token;
use skerry_core::trust::sign::SigningKey;

use super::*;
use crate::init::{self, InitArgs};
use crate::testing::{Node, report};
use crate::workspace::Overrides;

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + 1000.hours()
}

struct Place {
    _folder: tempfile::TempDir,
    workspace: Workspace,
}

impl Place {
    fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("fleet");
        init::make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
        let file = dir.join("fleet.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n{settings}")).unwrap();
        let workspace = Workspace::open(&dir, &Overrides::default()).unwrap();
        Self { _folder: folder, workspace }
    }

    fn token(&self, seed: u8, node: Option<&str>, uses: u32) -> Token {
        let node = node.map(|node| node.parse().unwrap());
        let terms = Terms { node, uses, expires: now() + 1.hour() };
        let key = self.workspace.enrolment_key().unwrap();
        let (id, text) = issue(&key, [seed; 32], terms.clone()).unwrap();
        self.workspace.put_token(id.as_str(), &TokenRecord::new(terms)).unwrap();
        Token::parse(&text).unwrap()
    }

    fn admit(&self, said: &[Said]) -> String {
        admit(&self.workspace, said, now()).unwrap().join("\n")
    }
}

fn bringing(node: &Node, token: &Token) -> Said {
    let (public_key, enrolment) = (node.public(), Some(token.vouch(&node.name, &node.public())));
    node.says(&Report { public_key, enrolment, ..report(&node.name) })
}

#[test]
fn a_token_takes_one_node_in_and_no_other() {
    let place = Place::new("");
    let (one, two) = (Node::new("box-1", 1), Node::new("box-2", 2));
    let token = place.token(9, None, 1);
    let told = place.admit(&[bringing(&one, &token), bringing(&two, &token)]);
    assert!(told.contains("node 'box-1' is approved by token"), "{told}");
    assert!(
        told.contains("node 'box-2' is not taken in: the token is used up (by box-1)"),
        "{told}"
    );
    assert_eq!(place.workspace.nodes().unwrap().len(), 1);
    // The same node says the same again: nothing new.
    assert_eq!(place.admit(&[bringing(&one, &token)]), "");
}

#[test]
fn what_the_broker_overheard_is_of_no_use_to_it() {
    let place = Place::new("");
    let (one, thief) = (Node::new("box-1", 1), Node::new("box-2", 2));
    let token = place.token(9, None, 2);
    let stolen = token.vouch(&one.name, &one.public());
    let said = thief.says(&Report {
        public_key: thief.public(),
        enrolment: Some(stolen),
        ..report(&thief.name)
    });
    assert!(place.admit(&[said]).contains("does not vouch for this node's name and key"));
    assert!(place.workspace.nodes().unwrap().is_empty());
}

#[test]
fn a_token_of_another_name_workspace_or_key_is_refused_with_the_reason() {
    let place = Place::new("");
    let node = Node::new("box-1", 1);
    let told = place.admit(&[bringing(&node, &place.token(9, Some("box-7"), 1))]);
    assert!(told.contains("the token is for node 'box-7', not for node 'box-1'"), "{told}");
    let foreign = Place::new("").token(9, None, 1);
    let told = place.admit(&[bringing(&node, &foreign)]);
    assert!(told.contains("the token is forged"), "{told}");
    let told = Place::new("").admit(&[bringing(&node, &foreign)]);
    assert!(told.contains("was not made in this workspace"), "{told}");

    let other = Node::new("box-1", 3);
    place.workspace.put_node(&other.name, other.public()).unwrap();
    let told = place.admit(&[bringing(&node, &place.token(8, None, 1))]);
    assert!(told.contains("has another key"), "{told}");
    place.workspace.remove_node(&other.name).unwrap();
    let (key, at) = (node.public(), now());
    let revoked = Revocation { node: node.name.clone(), key, reason: None, at };
    place.workspace.put_revoked(&revoked).unwrap();
    let told = place.admit(&[bringing(&node, &place.token(7, None, 1))]);
    assert!(told.contains("was revoked; give the device another"), "{told}");
}

#[test]
fn no_token_brings_a_revoked_name_back_with_a_new_key() {
    let place = Place::new("");
    let (node, again) = (Node::new("box-1", 1), Node::new("box-1", 3));
    let token = place.token(9, None, 100);
    assert!(place.admit(&[bringing(&node, &token)]).contains("is approved by token"));
    let (key, at) = (node.public(), now());
    let revoked = Revocation { node: node.name.clone(), key, reason: None, at };
    place.workspace.put_revoked(&revoked).unwrap();
    place.workspace.remove_node(&node.name).unwrap();
    let told = place.admit(&[bringing(&again, &token)]);
    assert!(told.contains("was revoked, and no token brings that name back"), "{told}");
    assert!(told.contains("skerry-fleet nodes approve box-1"), "{told}");
    assert!(place.workspace.nodes().unwrap().is_empty());
    // Under another name it comes in, as long as nobody takes the token back.
    let tokens = place.workspace.tokens().unwrap();
    let lines = came_by(&tokens, &node.public(), now());
    assert!(lines[0].contains("lets 99 more in by any name"), "{lines:?}");
    assert!(came_by(&tokens, &again.public(), now()).is_empty());
}

#[test]
fn a_token_that_was_taken_back_lets_nobody_in() {
    let place = Place::new("");
    let (one, two) = (Node::new("box-1", 1), Node::new("box-2", 2));
    let token = place.token(9, None, 100);
    let _ = place.token(8, None, 1);
    assert!(place.admit(&[bringing(&one, &token)]).contains("is approved by token"));
    let tokens = place.workspace.tokens().unwrap();
    let (id, _) = tokens.iter().find(|(_, record)| !record.used.is_empty()).unwrap();
    let revoke = |id: &str| take_back(&place.workspace, &TakeBackArgs { id: id.to_owned() });
    let refused = |id: &str| revoke(id).unwrap_err().to_string();
    assert!(refused("no such").contains("no token begins with"), "nothing fits");
    assert!(refused("").contains("no token begins with"), "all fit");
    revoke(&short(id)).unwrap();
    let told = place.admit(&[bringing(&two, &token)]);
    assert!(told.contains("the token was revoked on"), "{told}");
    assert_eq!(place.workspace.nodes().unwrap().len(), 1, "who came by it stays");
    let tokens = place.workspace.tokens().unwrap();
    assert!(row(id, &tokens[id], now())[3].starts_with("revoked "), "and it is listed so");
    let lines = came_by(&tokens, &one.public(), now());
    assert!(lines[0].contains("lets nobody in any more"), "{lines:?}");
}

#[test]
fn where_the_operator_approves_a_token_is_only_told() {
    let place = Place::new("[enrol]\napprove = \"operator\"\n");
    let node = Node::new("box-1", 1);
    let token = place.token(9, None, 1);
    let told = place.admit(&[bringing(&node, &token)]);
    assert!(told.contains("brings a good token; do: skerry-fleet nodes approve box-1"), "{told}");
    assert!(place.workspace.nodes().unwrap().is_empty());
    let report =
        Report { enrolment: Some(token.vouch(&node.name, &node.public())), ..report(&node.name) };
    let told = spend(&place.workspace, &node.public(), &report, now()).unwrap().unwrap();
    assert!(told.contains("is good, and used now"), "{told}");
    let other = Node::new("box-2", 2);
    assert!(place.admit(&[bringing(&other, &token)]).contains("used up"));
}

#[test]
fn the_key_that_signs_tokens_is_made_once_and_is_its_own() {
    let place = Place::new("");
    let key = place.workspace.enrolment_key().unwrap();
    assert_eq!(place.workspace.enrolment_key().unwrap().to_bytes(), key.to_bytes());
    assert_ne!(key.to_bytes(), SigningKey::from_bytes(&[0; 32]).to_bytes());
}
