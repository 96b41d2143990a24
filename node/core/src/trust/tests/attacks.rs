//! One test for each attack on an update system that TUF's specification names (section 1.5.2), and for
//! those that its clients have fallen to. Each fails when the defence it is about is taken away.

use serde_json::json;

use super::repository::*;
use super::server::*;
use crate::trust::client::{Answer, Client, Next};
use crate::trust::metadata::{FileMeta, Targets};
use crate::trust::sign::sign;
use crate::trust::{Clock, Limits, PublicKey, Role, TrustError};

/// The rule by which an update is refused.
fn refused(node: &mut Node, server: &Server) -> TrustError {
    node.update(server).unwrap_err()
}

#[test]
fn arbitrary_data_of_a_stranger_is_refused_and_not_kept() {
    let mut server = Server::new();
    let mut node = server.node();
    for (holding, seed) in [
        (&mut server.repo.timestamp, 60),
        (&mut server.repo.snapshot, 61),
        (&mut server.repo.targets, 62),
    ] {
        *holding = Holding::one(seed);
    }
    server.advance();
    let error = refused(&mut node, &server);
    assert!(matches!(error, TrustError::Threshold { role: Role::Timestamp, valid: 0, .. }));
    assert_eq!(node.kept.len(), 1, "the root alone");
}

#[test]
fn arbitrary_data_in_the_place_of_a_target_is_refused() {
    let server = Server::new();
    let found = server.node().find(&server, PATH).unwrap();
    assert!(found.check(DOCUMENT.as_bytes()).is_ok());
    let other = DOCUMENT.replace('1', "2");
    assert!(matches!(found.verify(other.as_bytes()), Err(TrustError::Hash { .. })));
    let longer = format!("{DOCUMENT} ");
    assert!(matches!(found.verify(longer.as_bytes()), Err(TrustError::Length { .. })));
}

#[test]
fn rollback_to_an_older_timestamp_is_refused() {
    let mut server = Server::new();
    let old = server.files["timestamp.json"].clone();
    server.advance();
    let mut node = server.updated_node();
    server.files.insert("timestamp.json".to_owned(), old);
    assert!(matches!(refused(&mut node, &server), TrustError::Rollback { .. }));
    assert_eq!(node.version("timestamp"), Some(2));
}

#[test]
fn rollback_to_an_older_snapshot_by_a_newer_timestamp_is_refused() {
    let mut server = Server::new();
    server.advance();
    let mut node = server.updated_node();
    server.repo.timestamp_version = 3;
    server.publish_timestamp(FileMeta { version: 1, length: None, hashes: None });
    assert!(matches!(refused(&mut node, &server), TrustError::ListedRollback { .. }));
}

#[test]
fn rollback_to_older_targets_or_losing_them_by_a_newer_snapshot_is_refused() {
    let mut server = Server::new();
    server.delegate("targets", "boxes", &["*"]);
    server.advance();
    let node = server.updated_node();
    server.repo.advance();
    server.targets.version = 1;
    server.publish();
    let error = refused(&mut node.clone(), &server);
    assert!(matches!(error, TrustError::ListedRollback { role: Role::Snapshot, .. }), "{error}");

    server.repo.advance();
    server.targets.version = server.repo.targets_version;
    server.delegated.clear();
    server.publish();
    let error = refused(&mut node.clone(), &server);
    assert!(matches!(error, TrustError::Unlisted { .. }), "{error}");
}

#[test]
fn freeze_is_noticed_when_the_timestamp_ends() {
    let mut server = Server::new();
    server.repo.timestamp_expires = time("2026-06-02T00:00:00Z");
    server.publish();
    let mut node = server.updated_node();
    node.update(&server).unwrap();
    node.clock = Clock { now: time("2026-06-02T00:00:00Z"), ..now() };
    assert!(matches!(refused(&mut node, &server), TrustError::Expired { .. }));
}

#[test]
fn freeze_by_hiding_the_rest_of_the_root_chain_ends_with_the_root() {
    let mut server = Server::new();
    let early = time("2026-06-02T00:00:00Z");
    server.rotate(|repo| repo.root_expires = early);
    let mut node = server.updated_node();
    node.clock = Clock { now: early, ..now() };
    let error = refused(&mut node, &server);
    assert!(matches!(error, TrustError::Expired { role: Role::Root, .. }), "{error}");
    assert_eq!(node.asked, ["3.root.json"], "nothing is asked for below an expired root");
    server.rotate(|repo| repo.root_expires = time("2027-01-01T00:00:00Z"));
    node.update(&server).unwrap();
}

#[test]
fn fast_forward_is_recovered_from_by_new_keys_and_by_nothing_else() {
    let mut server = Server::new();
    server.repo.set_versions(1_000_000);
    server.targets.version = 1_000_000;
    server.publish();
    let node = server.updated_node();

    server.repo.set_versions(2);
    server.targets.version = 2;
    server.publish();
    assert!(matches!(refused(&mut node.clone(), &server), TrustError::Rollback { .. }));

    for taken in [Role::Timestamp, Role::Snapshot] {
        let mut server = server.clone();
        server.rotate(|repo| match taken {
            Role::Timestamp => repo.timestamp = Holding::one(70),
            _ => repo.snapshot = Holding::one(71),
        });
        server.publish();
        let mut node = node.clone();
        node.update(&server).unwrap();
        assert_eq!([node.version("timestamp"), node.version("snapshot")], [Some(2), Some(2)]);
    }
}

#[test]
fn fast_forward_is_recovered_from_when_one_of_two_keys_is_taken() {
    let mut server = Server::new();
    server.rotate(|repo| repo.timestamp = Holding { keys: vec![key(2), key(5)], threshold: 1 });
    server.repo.set_versions(1_000_000);
    server.targets.version = 1_000_000;
    server.publish();
    let mut node = server.updated_node();
    // The pushed file is signed by the key that stays, too: only the rule itself recovers.
    server.rotate(|repo| repo.timestamp = Holding::one(5));
    server.repo.set_versions(2);
    server.targets.version = 2;
    server.publish();
    node.update(&server).unwrap();
    assert_eq!(node.version("timestamp"), Some(2));
}

#[test]
fn fast_forward_recovery_survives_a_power_cut_after_the_root() {
    let mut server = Server::new();
    server.rotate(|repo| repo.timestamp = Holding { keys: vec![key(2), key(5)], threshold: 1 });
    server.repo.set_versions(1_000_000);
    server.targets.version = 1_000_000;
    server.publish();
    let mut node = server.updated_node();
    server.rotate(|repo| repo.timestamp = Holding::one(5));
    server.repo.set_versions(2);
    server.targets.version = 2;
    server.publish();
    let timestamp = server.files.remove("timestamp.json").unwrap();
    assert!(matches!(refused(&mut node, &server), TrustError::Missing { .. }));
    assert_eq!(node.version("root"), Some(3));
    server.files.insert("timestamp.json".to_owned(), timestamp);
    node.update(&server).unwrap();
}

#[test]
fn mix_and_match_of_files_that_never_belonged_together_is_refused() {
    let mut server = Server::new();
    let old = server.files["1.targets.json"].clone();
    server.advance();
    server.files.insert("2.targets.json".to_owned(), old);
    let error = refused(&mut server.node(), &server);
    assert!(matches!(error, TrustError::ListedVersion { .. }), "{error}");

    // The same version twice, and only a hash to tell them apart.
    let mut server = Server::new();
    server.hashes = true;
    server.advance();
    let listed = server.files.clone();
    server.list_target("targets", "nodes/other/desired.json", b"{}");
    server.publish();
    server.files.extend(listed.into_iter().filter(|(name, _)| name != "2.targets.json"));
    let error = refused(&mut server.node(), &server);
    assert!(matches!(error, TrustError::Length { .. } | TrustError::Hash { .. }), "{error}");
}

#[test]
fn a_wrong_threshold_is_not_met_by_one_key_under_many_names() {
    let mut server = Server::new();
    let two = Holding { keys: vec![key(2), key(5)], threshold: 2 };
    server.repo.timestamp = two.clone();
    let mut root = serde_json::to_value(server.repo.root_metadata()).unwrap();
    // One key, listed under two names and signing under both.
    let first = PublicKey::of(&key(2)).to_metadata();
    root["keys"]["again"] = serde_json::to_value(&first).unwrap();
    root["roles"]["timestamp"]["keyids"] = json!([PublicKey::of(&key(2)).id(), "again"]);
    let root: crate::trust::metadata::Root = serde_json::from_value(root).unwrap();
    server.serve_root(sign(&root, &server.repo.root.refs()).unwrap());
    server.repo.timestamp = Holding { keys: vec![key(2)], threshold: 2 };
    server.publish();
    let one = server.files["timestamp.json"].clone();
    server.bend("timestamp.json", |file| {
        let mut again = file["signatures"][0].clone();
        again["keyid"] = json!("again");
        file["signatures"].as_array_mut().unwrap().push(again);
    });
    assert_ne!(server.files["timestamp.json"], one);
    let error = refused(&mut server.node(), &server);
    assert!(matches!(error, TrustError::Threshold { valid: 1, threshold: 2, .. }), "{error}");
}

#[test]
fn duplicate_signatures_and_key_ids_are_refused_even_when_enough_others_sign() {
    let mut server = Server::new();
    server.bend("timestamp.json", |file| {
        let again = file["signatures"][0].clone();
        file["signatures"].as_array_mut().unwrap().push(again);
    });
    let error = refused(&mut server.node(), &server);
    assert!(matches!(error, TrustError::DuplicateSignature { .. }), "{error}");

    let mut server = Server::new();
    server.repo.root_version = 2;
    let mut root = server.repo.root_metadata();
    let id = root.roles.snapshot.keyids[0].clone();
    root.roles.snapshot.keyids.push(id);
    server.serve_root(sign(&root, &server.repo.root.refs()).unwrap());
    let error = refused(&mut server.node(), &server);
    assert!(matches!(error, TrustError::DuplicateKeyId { .. }), "{error}");
}

#[test]
fn an_unfit_signature_does_not_spoil_one_that_is_enough() {
    for sig in ["", "zz", "00", &"00".repeat(64)] {
        let mut server = Server::new();
        server.bend("timestamp.json", |file| {
            let stranger = signature(&PublicKey::of(&key(99)).id(), sig);
            file["signatures"].as_array_mut().unwrap().push(stranger);
        });
        server.node().update(&server).unwrap();
    }
}

#[test]
fn endless_data_is_cut_off_and_refused() {
    let names = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];
    let limits = [512_000, 16_384, 2_000_000, 5_000_000];
    for (name, limit) in names.into_iter().zip(limits) {
        let mut server = Server::new();
        let mut file = server.files.get(name).cloned().unwrap_or_else(|| b"{".to_vec());
        file.resize(limit + 1_000_000, b' ');
        server.files.insert(name.to_owned(), file);
        let error = refused(&mut server.node(), &server);
        assert!(matches!(error, TrustError::TooLarge { .. }), "{name}: {error}");
    }
}

#[test]
fn endless_data_is_cut_off_at_the_length_that_the_parent_lists() {
    let mut server = Server::new();
    server.hashes = true;
    server.advance();
    let client = |server: &Server| {
        let mut client = Client::new(&server.files["1.root.json"], Limits::DEFAULT, now()).unwrap();
        client.give(Answer::Missing).unwrap();
        client.give(Answer::Missing).unwrap();
        client.give(Answer::File(&server.files["timestamp.json"])).unwrap();
        client.give(Answer::Missing).unwrap();
        client
    };
    let Next::Want(want) = client(&server).next() else { panic!("a snapshot is wanted") };
    assert_eq!(want.file, "2.snapshot.json");
    assert_eq!(want.max_length, server.files["2.snapshot.json"].len() as u64);
    let mut longer = server.files["2.snapshot.json"].clone();
    longer.push(b' ');
    let error = client(&server).give(Answer::File(&longer)).unwrap_err();
    assert!(matches!(error, TrustError::Length { .. }), "{error}");
}

#[test]
fn a_listed_length_beyond_the_limit_raises_no_limit() {
    let mut server = Server::new();
    server.publish_timestamp(FileMeta { version: 1, length: Some(1 << 40), hashes: None });
    let mut client = Client::new(&server.files["1.root.json"], Limits::DEFAULT, now()).unwrap();
    client.give(Answer::Missing).unwrap();
    client.give(Answer::Missing).unwrap();
    client.give(Answer::File(&server.files["timestamp.json"])).unwrap();
    client.give(Answer::Missing).unwrap();
    let Next::Want(want) = client.next() else { panic!("a snapshot is wanted") };
    assert_eq!(want.max_length, 2_000_000);
}

#[test]
fn key_compromise_is_recovered_from_by_a_new_root() {
    let mut server = Server::new();
    let mut node = server.updated_node();
    // A thief has all online keys, pushes everything far ahead, and lists a document of his own.
    let mut thief = server.clone();
    thief.repo.set_versions(1 << 40);
    thief.targets.version = 1 << 40;
    thief.list_target("targets", PATH, b"{\"version\": 666}");
    thief.publish();
    node.update(&thief).unwrap();

    server.rotate(|repo| {
        repo.timestamp = Holding::one(80);
        repo.snapshot = Holding::one(81);
        repo.targets = Holding::one(82);
    });
    server.advance();
    node.update(&server).unwrap();
    let found = node.find(&server, PATH).unwrap();
    assert!(found.check(DOCUMENT.as_bytes()).is_ok());
    // What the old keys sign counts no more, whatever its version.
    thief.files.insert("2.root.json".to_owned(), server.files["2.root.json"].clone());
    assert!(matches!(refused(&mut node, &thief), TrustError::Threshold { valid: 0, .. }));
}

#[test]
fn a_root_that_only_its_own_or_only_the_old_keys_signed_is_refused() {
    let mut server = Server::new();
    server.repo.root = Holding::one(90);
    server.repo.root_version = 2;
    let own = server.repo.root_file();
    let old = sign(&server.repo.root_metadata(), &[&key(1)]).unwrap();
    for file in [own, old] {
        server.serve_root(file);
        let mut node = server.node();
        let error = refused(&mut node, &server);
        assert!(matches!(error, TrustError::Threshold { role: Role::Root, .. }), "{error}");
        assert_eq!(node.version("root"), Some(1));
    }
}

#[test]
fn every_root_is_kept_before_the_next_is_asked_for_and_before_its_expiry_counts() {
    let mut server = Server::new();
    let past = time("2026-01-02T00:00:00Z");
    server.rotate(|repo| repo.root_expires = past);
    server.rotate(|repo| repo.root_expires = past);
    let mut node = server.node();
    let error = refused(&mut node, &server);
    assert!(matches!(error, TrustError::Expired { role: Role::Root, .. }), "{error}");
    assert_eq!(node.version("root"), Some(3), "kept, although it has expired");
    server.rotate(|repo| repo.root_expires = time("2027-01-01T00:00:00Z"));
    node.update(&server).unwrap();
    server.files.insert("5.root.json".to_owned(), b"{}".to_vec());
    server.rotate(|_| {});
    server.files.insert("6.root.json".to_owned(), b"no root".to_vec());
    assert!(matches!(refused(&mut node, &server), TrustError::Malformed { .. }));
    assert_eq!(node.version("root"), Some(5), "the good ones before a bad one count");
}

#[test]
fn a_root_chain_is_followed_for_256_roots_an_update_and_no_more() {
    let mut server = Server::new();
    for _ in 0..299 {
        server.rotate(|_| {});
    }
    let mut node = server.node();
    node.update(&server).unwrap();
    assert_eq!(node.version("root"), Some(257));
    node.update(&server).unwrap();
    assert_eq!(node.version("root"), Some(300));
}

#[test]
fn a_root_under_the_number_of_another_is_refused() {
    let mut server = Server::new();
    server.rotate(|_| {});
    server.rotate(|_| {});
    let third = server.files["3.root.json"].clone();
    server.files.insert("2.root.json".to_owned(), third);
    assert!(matches!(refused(&mut server.node(), &server), TrustError::RootGap { .. }));
    let first = server.files["1.root.json"].clone();
    server.files.insert("2.root.json".to_owned(), first);
    assert!(matches!(refused(&mut server.node(), &server), TrustError::RootGap { .. }));
}

#[test]
fn extraneous_targets_that_the_signers_did_not_list_are_refused() {
    let mut server = Server::new();
    server.bend("1.targets.json", |file| {
        file["signed"]["targets"]["extra"] = json!({"length": 0, "hashes": {"sha256": "00"}});
    });
    let error = refused(&mut server.node(), &server);
    assert!(matches!(error, TrustError::Threshold { role: Role::Targets, .. }), "{error}");
}

#[test]
fn unsigned_members_inside_are_refused_and_outside_change_nothing() {
    for name in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
        let mut server = Server::new();
        server.bend(name, |file| file["signed"]["more"] = json!(1));
        assert!(matches!(refused(&mut server.node(), &server), TrustError::Threshold { .. }));
        let mut server = Server::new();
        server.bend(name, |file| file["more"] = json!(1));
        server.node().update(&server).unwrap();
    }
}

#[test]
fn duplicate_members_are_refused_wherever_they_are() {
    let server = Server::new();
    let text = String::from_utf8(server.files["timestamp.json"].clone()).unwrap();
    let twice = [
        text.replacen("\"version\":1", "\"version\":9,\"version\":1", 1),
        text.replacen("\"_type\"", "\"expires\":\"2099-01-01T00:00:00Z\",\"_type\"", 1),
        text.replacen("\"signed\":", "\"x\":1,\"x\":2,\"signed\":", 1),
    ];
    for file in twice {
        assert_ne!(file, text);
        let mut server = server.clone();
        server.files.insert("timestamp.json".to_owned(), file.into_bytes());
        let error = refused(&mut server.node(), &server);
        assert!(matches!(error, TrustError::Malformed { .. }), "{error}");
    }
}

#[test]
fn kept_files_that_were_tampered_with_are_passed_over() {
    let mut server = Server::new();
    server.advance();
    let mut node = server.updated_node();
    let forged = |role: &str, node: &Node| {
        let text = String::from_utf8(node.kept[&format!("{role}.json")].clone()).unwrap();
        bend(&text, |file| file["signed"]["version"] = json!(1_000)).into_bytes()
    };
    for role in ["timestamp", "snapshot", "targets"] {
        let file = forged(role, &node);
        node.kept.insert(format!("{role}.json"), file);
    }
    node.update(&server).unwrap();
    assert_eq!(node.version("timestamp"), Some(2));
    assert_eq!(node.asked.len(), 4, "all is asked for again: {:?}", node.asked);
}

#[test]
fn a_disk_restored_from_last_years_backup_catches_up_and_does_not_lock_out() {
    let mut server = Server::new();
    let backup = server.updated_node();
    for _ in 0..20 {
        server.rotate(|_| {});
        server.advance();
    }
    server.rotate(|repo| repo.timestamp = Holding::one(55));
    server.advance();
    let mut node = backup;
    node.update(&server).unwrap();
    assert_eq!([node.version("root"), node.version("targets")], [Some(22), Some(22)]);
}

#[test]
fn a_file_of_another_role_is_refused_even_under_the_right_keys() {
    let mut server = Server::new();
    let wrong: Targets = server.repo.targets_metadata();
    let file = sign_bent(&wrong, &server.repo.timestamp.refs(), |signed| {
        signed["meta"] = json!({"snapshot.json": {"version": 1}});
    });
    server.files.insert("timestamp.json".to_owned(), file.into_bytes());
    assert!(matches!(refused(&mut server.node(), &server), TrustError::WrongType { .. }));
}
