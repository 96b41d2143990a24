//! What has expired, and what a clock can prove.

use super::repository::*;
use crate::trust::{Clock, Freshness, Role, TrustError};

const PAST: &str = "2026-05-31T00:00:00Z";

fn refused_as_expired(repo: &Repository, role: Role) {
    let mut set = repo.fresh_node();
    let error = take(&mut set, &repo.release()).unwrap_err();
    let words = format!("{role} expired {PAST} (judged at 2026-06-01T12:00:00Z)");
    assert_eq!(error.to_string(), words);
    assert_eq!(error.rule(), "expired");
    let kept = [set.timestamp().is_some(), set.snapshot().is_some(), set.targets().is_some()];
    let before = [Role::Timestamp, Role::Snapshot, Role::Targets].map(|kept| kept < role);
    let before = if role == Role::Root { [false; 3] } else { before };
    assert_eq!(kept, before, "what expired is not kept, and nothing after it");
}

#[test]
fn an_expired_root_stops_everything_after_it() {
    let mut repo = Repository::new();
    repo.root_expires = time(PAST);
    refused_as_expired(&repo, Role::Root);
}

#[test]
fn an_expired_timestamp_is_refused() {
    let mut repo = Repository::new();
    repo.timestamp_expires = time(PAST);
    refused_as_expired(&repo, Role::Timestamp);
}

#[test]
fn an_expired_snapshot_is_refused() {
    let mut repo = Repository::new();
    repo.snapshot_expires = time(PAST);
    refused_as_expired(&repo, Role::Snapshot);
}

#[test]
fn expired_targets_are_refused() {
    let mut repo = Repository::new();
    repo.targets_expires = time(PAST);
    refused_as_expired(&repo, Role::Targets);
}

#[test]
fn a_frozen_repository_is_noticed_when_its_timestamp_ends() {
    let mut repo = Repository::new();
    repo.timestamp_expires = time("2026-06-02T00:00:00Z");
    let mut set = repo.node();
    let later = Clock { now: time("2026-06-02T00:00:00Z"), ..now() };
    let again = set.update_timestamp(repo.release().timestamp.as_bytes(), later).unwrap_err();
    assert!(matches!(again, TrustError::Expired { role: Role::Timestamp, .. }), "{again}");
    let error = set.verify_target(PATH, DOCUMENT.as_bytes(), later).unwrap_err();
    assert!(matches!(error, TrustError::Expired { role: Role::Timestamp, .. }), "{error}");
}

#[test]
fn an_expired_root_on_the_way_is_no_obstacle_and_is_kept() {
    let mut repo = Repository::new();
    let mut set = repo.fresh_node();
    let expired = repo.rotate(|repo| repo.root_expires = time(PAST));
    let _ = set.update_root(expired.as_bytes()).unwrap();
    assert_eq!(set.to_store().root, expired);
    assert!(take(&mut set, &repo.release()).is_err());
    let renewed = repo.rotate(|repo| repo.root_expires = time("2027-01-01T00:00:00Z"));
    let _ = set.update_root(renewed.as_bytes()).unwrap();
    take(&mut set, &repo.release()).unwrap();
}

#[test]
fn a_clock_behind_the_floor_proves_nothing_but_the_floor_does() {
    let repo = Repository::new();
    let set = repo.node();
    let behind = Clock { now: time("1970-01-01T00:10:00Z"), floor: time("2026-06-01T00:00:00Z") };
    let document = set.verify_target(PATH, DOCUMENT.as_bytes(), behind).unwrap();
    assert_eq!(document.proof().freshness, Freshness::Unproven);
    let document = set.verify_target(PATH, DOCUMENT.as_bytes(), now()).unwrap();
    assert_eq!(document.proof().freshness, Freshness::Proven);

    let certain = Clock { now: time("1970-01-01T00:10:00Z"), floor: time("2027-01-01T00:00:00Z") };
    let error = set.verify_target(PATH, DOCUMENT.as_bytes(), certain).unwrap_err();
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");
}

#[test]
fn a_file_ends_at_the_moment_it_names() {
    let repo = Repository::new();
    let mut set = repo.node();
    let at = Clock { now: repo.timestamp_expires, ..now() };
    assert!(set.update_timestamp(repo.release().timestamp.as_bytes(), at).is_err());
}
