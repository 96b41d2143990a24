//! The client's conversation with its driver when nobody attacks.

use super::repository::*;
use super::server::*;
use crate::trust::Limits;
use crate::trust::client::{Answer, Client, Next};
use crate::trust::metadata::FileMeta;
use crate::trust::sign::sign;

#[test]
fn a_failed_update_answers_no_more_questions() {
    let mut server = Server::new();
    server.files.insert("timestamp.json".to_owned(), b"{}".to_vec());
    let mut client = Client::new(&server.files["1.root.json"], Limits::DEFAULT, now()).unwrap();
    client.give(Answer::Missing).unwrap();
    client.give(Answer::Missing).unwrap();
    assert!(client.give(Answer::File(b"{}")).is_err());
    assert_eq!(client.next(), Next::Done);
    assert!(client.give(Answer::File(b"{}")).unwrap().is_empty());
    assert!(client.find(PATH).is_err() && client.found().is_err());
}

#[test]
fn an_equal_timestamp_changes_nothing_and_costs_two_requests() {
    let mut server = Server::new();
    let mut node = server.updated_node();
    let kept = node.kept.clone();
    server.publish_timestamp(FileMeta { version: 100, length: None, hashes: None });
    node.update(&server).unwrap();
    assert_eq!(node.asked, ["2.root.json", "timestamp.json"]);
    assert_eq!(node.kept, kept);
}

#[test]
fn without_consistent_snapshots_plain_names_are_asked_for() {
    let mut server = Server::new();
    server.repo.root_version = 2;
    let mut root = server.repo.root_metadata();
    root.consistent_snapshot = false;
    server.serve_root(sign(&root, &server.repo.root.refs()).unwrap());
    for name in ["snapshot.json", "targets.json"] {
        let file = server.files.remove(&format!("1.{name}")).unwrap();
        server.files.insert(name.to_owned(), file);
    }
    let mut node = server.node();
    let found = node.find(&server, PATH).unwrap();
    let wanted = ["2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json"];
    assert_eq!(node.asked, wanted);
    assert_eq!(found.file_name(false), PATH);
    let hash = &found.meta().hashes["sha256"];
    assert_eq!(found.file_name(true), format!("nodes/box-17/{hash}.desired.json"));
}
