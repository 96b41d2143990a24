//! Versions only grow, files belong together, and a stolen key can be recovered from.

use super::repository::*;
use crate::trust::metadata::{FileMeta, Snapshot, Timestamp};
use crate::trust::set::Step;
use crate::trust::sign::sign;
use crate::trust::{Role, TrustError};

#[test]
fn a_timestamp_rollback_is_refused() {
    let mut repo = Repository::new();
    let old = repo.release();
    repo.set_versions(5);
    let mut set = repo.node();
    let error = take(&mut set, &old).unwrap_err();
    assert_eq!(error.to_string(), "timestamp version 1 is older than the trusted 5");
    let error = take(&mut restart(&set), &old).unwrap_err();
    assert!(matches!(error, TrustError::Rollback { role: Role::Timestamp, .. }), "{error}");
}

#[test]
fn a_rollback_counts_even_against_an_expired_timestamp() {
    let mut repo = Repository::new();
    let mut old = repo.clone();
    old.timestamp_expires = time("2028-01-01T00:00:00Z");
    repo.set_versions(5);
    let mut set = restart(&repo.node());
    let later = crate::trust::Clock { now: time("2027-06-01T00:00:00Z"), ..now() };
    old.root_expires = time("2029-01-01T00:00:00Z");
    old.root_version = 2;
    let _ = set.update_root(old.root_file().as_bytes()).unwrap();
    let error = set.update_timestamp(old.release().timestamp.as_bytes(), later).unwrap_err();
    assert!(matches!(error, TrustError::Rollback { version: 1, trusted: 5, .. }), "{error}");
}

#[test]
fn the_same_timestamp_version_keeps_the_trusted_file() {
    let repo = Repository::new();
    let mut set = repo.node();
    let kept = set.to_store();
    let mut other = repo.clone();
    other.timestamp_expires = time("2026-12-01T00:00:00Z");
    let step = set.update_timestamp(other.release().timestamp.as_bytes(), now()).unwrap();
    assert_eq!(step, Step::Unchanged);
    take(&mut set, &repo.release()).unwrap();
    assert_eq!(set.to_store(), kept);
}

#[test]
fn a_snapshot_rollback_is_refused() {
    let mut repo = Repository::new();
    repo.set_versions(5);
    let mut set = repo.node();
    repo.timestamp_version = 6;
    repo.snapshot_version = 4;
    let error = take(&mut set, &repo.release()).unwrap_err();
    let words = "timestamp lists snapshot.json at version 4, older than the trusted 5";
    assert_eq!(error.to_string(), words);
}

#[test]
fn a_targets_rollback_is_refused() {
    let mut repo = Repository::new();
    repo.set_versions(5);
    let mut set = restart(&repo.node());
    repo.set_versions(6);
    repo.targets_version = 4;
    let error = take(&mut set, &repo.release()).unwrap_err();
    let words = "snapshot lists targets.json at version 4, older than the trusted 5";
    assert_eq!(error.to_string(), words);
    assert_eq!(set.timestamp().unwrap().version, 6, "the timestamp itself was good");
    assert_eq!(set.snapshot().unwrap().version, 5);
}

#[test]
fn a_snapshot_may_not_lose_a_file() {
    let mut repo = Repository::new();
    let targets = repo.release().targets;
    let listed = FileMeta::of(1, targets.as_bytes());
    let mut snapshot = Snapshot::new(1, repo.snapshot_expires, listed);
    snapshot.meta.insert("boxes.json".to_owned(), FileMeta::of(1, b"{}"));
    let mut set = repo.fresh_node();
    take(&mut set, &repo.release_with(snapshot, targets)).unwrap();
    repo.advance();
    let error = take(&mut set, &repo.release()).unwrap_err();
    assert_eq!(error.to_string(), "snapshot no longer lists boxes.json");
}

#[test]
fn mix_and_match_is_refused() {
    let mut repo = Repository::new();
    let first = repo.release();
    repo.advance();
    let second = repo.release();
    let mut set = repo.fresh_node();
    let _ = set.update_timestamp(second.timestamp.as_bytes(), now()).unwrap();
    let error = set.update_snapshot(first.snapshot.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::Hash { algorithm: "sha256", .. }), "{error}");
    let _ = set.update_snapshot(second.snapshot.as_bytes(), now()).unwrap();
    let error = set.update_targets(first.targets.as_bytes(), now()).unwrap_err();
    assert_eq!(error.rule(), "mismatch");
    assert_eq!(set.targets_wanted().unwrap().version, 2);
}

#[test]
fn the_version_inside_must_be_the_one_listed() {
    let repo = Repository::new();
    let release = repo.release();
    let bare = |version| FileMeta { version, length: None, hashes: None };

    let timestamp = Timestamp::new(1, repo.timestamp_expires, bare(2));
    let timestamp = sign(&timestamp, &repo.timestamp.refs()).unwrap();
    let mut set = repo.fresh_node();
    let _ = set.update_timestamp(timestamp.as_bytes(), now()).unwrap();
    let error = set.update_snapshot(release.snapshot.as_bytes(), now()).unwrap_err();
    assert_eq!(error.to_string(), "snapshot is version 1, but timestamp lists version 2");

    let snapshot = Snapshot::new(1, repo.snapshot_expires, bare(3));
    let error = take(&mut repo.fresh_node(), &repo.release_with(snapshot, release.targets));
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "targets is version 1, but snapshot lists version 3");
}

#[test]
fn steps_out_of_order_are_refused() {
    let mut repo = Repository::new();
    let release = repo.release();
    let mut set = repo.fresh_node();
    let error = set.update_snapshot(release.snapshot.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::OutOfOrder { missing: Role::Timestamp }), "{error}");
    let _ = set.update_timestamp(release.timestamp.as_bytes(), now()).unwrap();
    let error = set.update_targets(release.targets.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::OutOfOrder { missing: Role::Snapshot }), "{error}");
    let _ = set.update_snapshot(release.snapshot.as_bytes(), now()).unwrap();
    let error = set.verify_target(PATH, DOCUMENT.as_bytes(), now()).unwrap_err();
    assert!(matches!(error, TrustError::OutOfOrder { missing: Role::Targets }), "{error}");

    let mut set = repo.node();
    repo.advance();
    let _ = set.update_timestamp(repo.release().timestamp.as_bytes(), now()).unwrap();
    let error = set.verify_target(PATH, DOCUMENT.as_bytes(), now()).unwrap_err();
    assert_eq!(error.rule(), "mismatch", "old targets are not used under a newer timestamp");
    let _ = set.update_snapshot(repo.release().snapshot.as_bytes(), now()).unwrap();
    let error = set.verify_target(PATH, DOCUMENT.as_bytes(), now()).unwrap_err();
    assert_eq!(error.rule(), "mismatch", "nor under a newer snapshot");
}

#[test]
fn a_root_rotation_not_signed_by_the_old_keys_is_refused() {
    let repo = Repository::new();
    let mut set = repo.fresh_node();
    let mut usurper = repo.clone();
    usurper.root_version = 2;
    usurper.root = Holding::one(66);
    let error = set.update_root(usurper.root_file().as_bytes()).unwrap_err();
    let words = "root: 0 of 1 required signatures are valid (keys of root version 1)";
    assert_eq!(error.to_string(), words);
}

#[test]
fn a_root_rotation_not_signed_by_the_new_keys_is_refused() {
    let mut repo = Repository::new();
    let mut set = repo.fresh_node();
    repo.root_version = 2;
    repo.root = Holding::one(7);
    let root = sign(&repo.root_metadata(), &[&key(1)]).unwrap();
    let error = set.update_root(root.as_bytes()).unwrap_err();
    let words = "root: 0 of 1 required signatures are valid (keys of root version 2)";
    assert_eq!(error.to_string(), words);
}

#[test]
fn a_root_may_not_skip_a_version_nor_go_back() {
    let mut repo = Repository::new();
    let first = repo.root_file();
    let mut set = repo.fresh_node();
    let second = repo.rotate(|_| {});
    let third = repo.rotate(|_| {});
    let error = set.update_root(third.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "root version 3 does not follow the trusted 1: 2 is missing");
    let _ = set.update_root(second.as_bytes()).unwrap();
    let error = set.update_root(first.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "root version 1 is older than the trusted 2");
    assert_eq!(set.update_root(second.as_bytes()).unwrap(), Step::Unchanged);
}

#[test]
fn a_chain_of_roots_is_followed_key_by_key() {
    let mut repo = Repository::new();
    let mut set = repo.fresh_node();
    let mut chain = vec![repo.root_file()];
    for seed in 20..30 {
        chain.push(repo.rotate(|repo| repo.root = Holding::one(seed)));
    }
    let roots = || chain.iter().map(String::as_bytes);
    assert_eq!(set.update_roots(roots()).unwrap(), Step::Accepted);
    assert_eq!(set.root().version, 11);
    assert_eq!(set.update_roots(roots()).unwrap(), Step::Unchanged);
    take(&mut set, &repo.release()).unwrap();
}

#[test]
fn taking_the_timestamp_key_away_recovers_from_a_fast_forward() {
    let mut repo = Repository::new();
    let mut thief = repo.clone();
    thief.timestamp_version = u64::MAX;
    let mut set = thief.node();
    assert!(take(&mut set, &repo.release()).is_err());
    let root = repo.rotate(|repo| repo.timestamp = Holding::one(7));
    let _ = set.update_root(root.as_bytes()).unwrap();
    assert!(set.timestamp().is_none() && set.snapshot().is_none());
    take(&mut set, &repo.release()).unwrap();
}

#[test]
fn taking_the_snapshot_key_away_recovers_targets_from_a_fast_forward() {
    let mut repo = Repository::new();
    let mut thief = repo.clone();
    thief.snapshot_version = u64::MAX;
    thief.targets_version = u64::MAX;
    let mut set = restart(&thief.node());
    let root = repo.rotate(|repo| repo.snapshot = Holding::one(7));
    let _ = set.update_root(root.as_bytes()).unwrap();
    repo.timestamp_version = 2;
    take(&mut set, &repo.release()).unwrap();
}

#[test]
fn adding_a_key_keeps_the_guard_against_rollback() {
    let mut repo = Repository::new();
    let old = repo.release();
    repo.set_versions(5);
    let mut set = repo.node();
    let root = repo.rotate(|repo| repo.timestamp.keys.push(key(7)));
    let _ = set.update_root(root.as_bytes()).unwrap();
    assert!(matches!(take(&mut set, &old).unwrap_err(), TrustError::Rollback { .. }));
}

#[test]
fn files_that_the_new_root_no_longer_vouches_for_are_dropped() {
    let mut repo = Repository::new();
    let mut set = repo.node();
    let root = repo.rotate(|repo| {
        repo.targets.keys.push(key(9));
        repo.targets.threshold = 2;
    });
    let _ = set.update_root(root.as_bytes()).unwrap();
    assert!(set.targets().is_none());
    assert!(matches!(set.dropped(), [TrustError::Threshold { role: Role::Targets, .. }]));
    assert!(set.to_store().targets.is_none());
}

#[test]
fn persisted_files_are_checked_again_and_dropped_when_they_fail() {
    let repo = Repository::new();
    let mut store = repo.node().to_store();
    store.timestamp = Some("{\"half a file".to_owned());
    let mut set = crate::trust::TrustedSet::new(&store, crate::trust::Limits::DEFAULT).unwrap();
    assert!(set.timestamp().is_none());
    assert!(set.snapshot().is_some(), "what still holds goes on guarding");
    assert!(matches!(set.dropped(), [TrustError::Malformed { role: Role::Timestamp, .. }]));
    take(&mut set, &repo.release()).unwrap();
}
