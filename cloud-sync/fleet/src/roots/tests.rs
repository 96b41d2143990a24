use super::*;
use skerry_core::trust::sign::{Authorities, Holders, SigningKey};

fn key(of: u8) -> PublicKey {
    PublicKey::of(&SigningKey::from_bytes(&[of; 32]))
}

fn present() -> Root {
    let holder = |of| Holders::one(key(of));
    let holders = Authorities {
        root: Holders { keys: vec![key(1), key(2), key(3)], threshold: 2 },
        timestamp: holder(4),
        snapshot: holder(5),
        targets: holder(6),
    };
    Root::new(7, Timestamp::UNIX_EPOCH, &holders)
}

#[test]
fn only_what_was_asked_for_changes() {
    let root = next(&present(), &[Grant::one(Role::Targets, key(9))], Timestamp::MAX).unwrap();
    assert_eq!((root.version, &root.roles.root), (8, &present().roles.root));
    assert_eq!(root.roles.targets.keyids, [key(9).id()]);
    assert!(root.keys.contains_key(&key(9).id()) && !root.keys.contains_key(&key(6).id()));
    assert!(root.keys.contains_key(&key(3).id()), "a threshold of several is not lost");
}

#[test]
fn a_key_of_two_roles_stays_while_one_of_them_has_it() {
    let both = Grant::one(Role::Snapshot, key(6));
    let root = next(&present(), &[both], Timestamp::MAX).unwrap();
    let root = next(&root, &[Grant::one(Role::Targets, key(9))], Timestamp::MAX).unwrap();
    assert!(root.keys.contains_key(&key(6).id()));
}

#[test]
fn a_threshold_that_nobody_can_reach_is_refused() {
    for threshold in [0, 4] {
        let grant = Grant { role: Role::Root, keys: Vec::new(), threshold: Some(threshold) };
        assert!(matches!(
            next(&present(), &[grant], Timestamp::MAX),
            Err(RootError::Threshold { .. })
        ));
    }
    let fewer = Grant { role: Role::Root, keys: vec![key(1)], threshold: None };
    assert!(next(&present(), &[fewer], Timestamp::MAX).is_err(), "two must sign, and one is left");
}
