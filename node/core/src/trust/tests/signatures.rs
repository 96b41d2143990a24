//! Who signed, and what exactly.

use serde_json::{Value, json};

use super::repository::*;
use crate::trust::metadata::Delegations;
use crate::trust::sign::{cosign, sign, sign_bytes};
use crate::trust::{Limits, PublicKey, Role, TrustError, TrustStore, TrustedSet};

fn said(error: &TrustError) -> String {
    error.to_string()
}

#[test]
fn an_honest_release_is_taken() {
    let repo = Repository::new();
    let set = repo.node();
    let document = set.verify_target(PATH, DOCUMENT.as_bytes(), now()).unwrap();
    assert_eq!(document.value(), DOCUMENT.as_bytes());
    assert_eq!(document.proof().path, PATH);
    assert_eq!(document.proof().signed_by, [PublicKey::of(&key(4)).id()]);
    assert_eq!(document.proof().targets_version, 1);
    assert!(set.snapshot_wanted().is_none() && set.targets_wanted().is_none());
}

#[test]
fn arbitrary_files_signed_with_a_strangers_key_are_refused() {
    let repo = Repository::new();
    for role in ["timestamp", "snapshot", "targets"] {
        let mut forger = repo.clone();
        match role {
            "timestamp" => forger.timestamp = Holding::one(66),
            "snapshot" => forger.snapshot = Holding::one(66),
            _ => forger.targets = Holding::one(66),
        }
        let error = take(&mut repo.fresh_node(), &forger.release()).unwrap_err();
        let words =
            format!("{role}: 0 of 1 required signatures are valid (keys of root version 1)");
        assert_eq!(said(&error), words);
        assert_eq!(error.rule(), "signature");
    }
}

#[test]
fn a_file_that_names_a_trusted_key_but_was_signed_by_another_is_refused() {
    let repo = Repository::new();
    let forged = bend(&repo.release().timestamp, |file| {
        let message = crate::trust::canonical::canonical(&file["signed"]).unwrap();
        file["signatures"][0]["sig"] = json!(sign_bytes(&key(66), &message).sig);
    });
    let error = repo.fresh_node().update_timestamp(forged.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::Threshold { valid: 0, .. }), "{error}");
}

#[test]
fn a_changed_value_breaks_the_signature() {
    let repo = Repository::new();
    let changed = bend(&repo.release().timestamp, |file| file["signed"]["version"] = json!(9));
    let error = repo.fresh_node().update_timestamp(changed.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::Threshold { valid: 0, .. }), "{error}");
}

#[test]
fn unknown_members_are_tolerated_and_stay_signed() {
    let repo = Repository::new();
    let timestamp: Value = serde_json::from_str(&repo.release().timestamp).unwrap();
    let metadata: crate::trust::metadata::Timestamp =
        serde_json::from_value(timestamp["signed"].clone()).unwrap();
    let file = sign_bent(&metadata, &repo.timestamp.refs(), |it| it["x-later"] = json!(["new"]));
    let _ = repo.fresh_node().update_timestamp(file.as_bytes(), now()).unwrap();
    let changed = bend(&file, |it| it["signed"]["x-later"] = json!(["forged"]));
    let error = repo.fresh_node().update_timestamp(changed.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::Threshold { valid: 0, .. }), "{error}");
}

#[test]
fn the_same_json_in_another_spelling_is_accepted() {
    let repo = Repository::new();
    let value: Value = serde_json::from_str(&repo.release().timestamp).unwrap();
    let spaced =
        serde_json::to_string_pretty(&value).unwrap().replace("timestamp", "timest\\u0061mp");
    let mut set = repo.fresh_node();
    let _ = set.update_timestamp(spaced.as_bytes(), now()).unwrap();
    assert_eq!(
        set.to_store().timestamp.as_deref(),
        Some(spaced.as_str()),
        "bytes are kept as served"
    );
}

#[test]
fn text_that_only_normalises_to_the_signed_text_is_refused() {
    // U+212A is the Kelvin sign, whose NFC is the letter K.
    let mut repo = Repository::new();
    repo.documents.insert("K".to_owned(), b"x".to_vec());
    let targets = repo.release().targets.replace("\"K\"", "\"\u{212a}\"");
    assert_ne!(targets, repo.release().targets);
    let error = take(&mut repo.fresh_node(), &repo.release_of(targets)).unwrap_err();
    assert!(matches!(error, TrustError::Threshold { role: Role::Targets, .. }), "{error}");
}

#[test]
fn a_threshold_needs_distinct_keys() {
    let mut repo = Repository::new();
    repo.targets = Holding { keys: vec![key(4), key(5)], threshold: 2 };
    take(&mut repo.fresh_node(), &repo.release()).unwrap();

    let one = sign(&repo.targets_metadata(), &[&key(4)]).unwrap();
    let error = take(&mut repo.fresh_node(), &repo.release_of(one.clone())).unwrap_err();
    let words = "targets: 1 of 2 required signatures are valid (keys of root version 1)";
    assert_eq!(said(&error), words);

    let both = cosign(Role::Targets, &one, &[&key(5)]).unwrap();
    take(&mut repo.fresh_node(), &repo.release_of(both)).unwrap();
}

#[test]
fn one_key_under_two_names_counts_once() {
    let mut repo = Repository::new();
    repo.targets.threshold = 2;
    let id = PublicKey::of(&key(4)).id();
    let root = sign_bent(&repo.root_metadata(), &repo.root.refs(), |root| {
        root["keys"]["alias"] = root["keys"][id.as_str()].clone();
        root["roles"]["targets"]["keyids"] = json!([id, "alias"]);
    });
    let targets = bend(&sign(&repo.targets_metadata(), &[&key(4)]).unwrap(), |file| {
        let sig = file["signatures"][0]["sig"].clone();
        file["signatures"].as_array_mut().unwrap().push(json!({"keyid": "alias", "sig": sig}));
    });
    let mut set = TrustedSet::new(&TrustStore::new(root), Limits::DEFAULT).unwrap();
    let error = take(&mut set, &repo.release_of(targets)).unwrap_err();
    assert!(matches!(error, TrustError::Threshold { valid: 1, threshold: 2, .. }), "{error}");
}

#[test]
fn duplicate_signatures_are_refused() {
    let repo = Repository::new();
    let doubled = bend(&repo.release().timestamp, |file| {
        let first = file["signatures"][0].clone();
        file["signatures"].as_array_mut().unwrap().push(first);
    });
    let error = repo.fresh_node().update_timestamp(doubled.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::DuplicateSignature { role: Role::Timestamp, .. }));
}

#[test]
fn duplicate_key_ids_in_a_role_are_refused() {
    let mut repo = Repository::new();
    let mut set = repo.fresh_node();
    repo.root_version = 2;
    let id = PublicKey::of(&key(4)).id();
    let root = sign_bent(&repo.root_metadata(), &repo.root.refs(), |root| {
        root["roles"]["targets"]["keyids"] = json!([id, id]);
    });
    let error = set.update_root(root.as_bytes()).unwrap_err();
    assert!(matches!(error, TrustError::DuplicateKeyId { role: Role::Targets, .. }), "{error}");
    assert_eq!(set.root().version, 1);
}

#[test]
fn a_threshold_of_zero_is_refused() {
    let mut repo = Repository::new();
    let mut set = repo.fresh_node();
    repo.root_version = 2;
    repo.targets.threshold = 0;
    let error = set.update_root(repo.root_file().as_bytes()).unwrap_err();
    assert!(matches!(error, TrustError::ZeroThreshold { role: Role::Targets }), "{error}");
}

#[test]
fn keys_of_an_unknown_kind_are_passed_over() {
    let mut repo = Repository::new();
    repo.root_version = 2;
    let id = PublicKey::of(&key(4)).id();
    let root = sign_bent(&repo.root_metadata(), &repo.root.refs(), |root| {
        root["keys"]["rsa"] = json!({
            "keytype": "rsa", "scheme": "rsassa-pss-sha256",
            "keyval": {"public": "-----BEGIN PUBLIC KEY-----\nMIIB\n", "note": "other members"}
        });
        root["keys"]["later"] = json!({"keytype": "ed25519", "scheme": "x", "keyval": {"a": 1}});
        root["roles"]["targets"]["keyids"] = json!(["rsa", "later", "nowhere", id]);
    });
    let mut set = Repository::new().fresh_node();
    let _ = set.update_root(root.as_bytes()).unwrap();
    let signed = bend(&repo.release().targets, |file| {
        file["signatures"].as_array_mut().unwrap().push(json!({"keyid": "rsa", "sig": "not hex"}));
    });
    take(&mut set, &repo.release_of(signed)).unwrap();
}

#[test]
fn a_weak_key_makes_a_root_unfit() {
    // The identity, and a point of order 2: anybody can sign for these.
    for weak in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let mut repo = Repository::new();
        let mut set = repo.fresh_node();
        repo.root_version = 2;
        let root = sign_bent(&repo.root_metadata(), &repo.root.refs(), |root| {
            let keyval = json!({ "public": weak });
            root["keys"]["w"] =
                json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": keyval});
        });
        let error = set.update_root(root.as_bytes()).unwrap_err();
        assert!(said(&error).contains("is weak"), "{error}");
        let error = TrustedSet::new(&TrustStore::new(root), Limits::DEFAULT).unwrap_err();
        assert_eq!(error.rule(), "keys");
    }
}

#[test]
fn a_root_that_did_not_sign_itself_is_no_beginning() {
    let repo = Repository::new();
    let root = sign(&repo.root_metadata(), &[&key(66)]).unwrap();
    let error = TrustedSet::new(&TrustStore::new(root), Limits::DEFAULT).unwrap_err();
    assert!(matches!(error, TrustError::Threshold { role: Role::Root, valid: 0, .. }), "{error}");
}

#[test]
fn endless_data_is_not_read() {
    let repo = Repository::new();
    let release = repo.release();
    let pad = |file: &str, size: usize| format!("{file}{}", " ".repeat(size));
    let mut set = repo.fresh_node();
    let error =
        set.update_timestamp(pad(&release.timestamp, 16_384).as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::TooLarge { limit: 16_384, .. }), "{error}");
    let error = set.update_root(pad(&repo.root_file(), 512_000).as_bytes()).unwrap_err();
    assert!(matches!(error, TrustError::TooLarge { role: Role::Root, .. }), "{error}");
    let _ = set.update_timestamp(release.timestamp.as_bytes(), now()).unwrap();
    for (size, rule) in [(1, "mismatch"), (2_000_000, "size")] {
        let padded = pad(&release.snapshot, size);
        assert_eq!(set.update_snapshot(padded.as_bytes(), now()).unwrap_err().rule(), rule);
    }
    let _ = set.update_snapshot(release.snapshot.as_bytes(), now()).unwrap();
    for (size, rule) in [(1, "mismatch"), (5_000_000, "size")] {
        let padded = pad(&release.targets, size);
        assert_eq!(set.update_targets(padded.as_bytes(), now()).unwrap_err().rule(), rule);
    }
}

#[test]
fn nesting_without_end_is_refused_and_does_not_overflow() {
    let deep = format!("{{\"signed\":{}", "[".repeat(16_000));
    let mut set = Repository::new().fresh_node();
    let error = set.update_timestamp(deep.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::Malformed { .. }), "{error}");
}

#[test]
fn a_file_of_another_role_is_refused() {
    let repo = Repository::new();
    let release = repo.release();
    let error = repo.fresh_node().update_timestamp(release.snapshot.as_bytes(), now()).unwrap_err();
    assert_eq!(said(&error), "timestamp: the file says that it is 'snapshot'");
}

#[test]
fn fractions_other_major_versions_and_broken_text_are_refused() {
    let repo = Repository::new();
    let timestamp = repo.release().timestamp;
    let mut set = repo.fresh_node();
    let mut refused = |file: &[u8]| set.update_timestamp(file, now()).unwrap_err();
    let fraction = bend(&timestamp, |file| file["signed"]["x"] = json!(1.5));
    assert!(matches!(refused(fraction.as_bytes()), TrustError::NotCanonical { .. }));
    let major = bend(&timestamp, |file| file["signed"]["spec_version"] = json!("2.0.0"));
    assert!(matches!(refused(major.as_bytes()), TrustError::SpecVersion { .. }));
    let zero = bend(&timestamp, |file| file["signed"]["version"] = json!(0));
    assert!(matches!(refused(zero.as_bytes()), TrustError::ZeroVersion { .. }));
    let text = [b"{\"x\":\"\xff\",", &timestamp.as_bytes()[1..]].concat();
    assert!(matches!(refused(&text), TrustError::NotUtf8 { .. }));
}

#[test]
fn a_delegated_role_that_the_snapshot_does_not_list_ends_the_search() {
    let repo = Repository::new();
    let mut targets = repo.targets_metadata();
    targets.targets.clear();
    let role = json!({"keys": {}, "roles": [{
        "name": "boxes", "keyids": [], "threshold": 1, "terminating": true, "paths": ["nodes/*/*"]
    }]});
    targets.delegations = Some(serde_json::from_value::<Delegations>(role).unwrap());
    let mut set = repo.fresh_node();
    take(&mut set, &repo.release_of(sign(&targets, &repo.targets.refs()).unwrap())).unwrap();
    let error = set.verify_target(PATH, DOCUMENT.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::Unlisted { .. }), "{error}");
}

#[test]
fn signing_twice_gives_the_same_bytes() {
    let mut repo = Repository::new();
    repo.targets = Holding { keys: vec![key(4), key(5)], threshold: 1 };
    let there = sign(&repo.targets_metadata(), &[&key(4), &key(5)]).unwrap();
    let back = sign(&repo.targets_metadata(), &[&key(5), &key(4), &key(4)]).unwrap();
    assert_eq!(there, back);
}
