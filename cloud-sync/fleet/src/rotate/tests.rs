use super::*;
use crate::init::{InitArgs, make};
use crate::workspace::Overrides;
use skerry_core::trust::{PublicKey, Repositories, Roots};

const DAILY: [Role; 3] = [Role::Targets, Role::Snapshot, Role::Timestamp];

#[test]
fn only_the_roots_key_stays_and_the_first_root_leads_to_the_new_keys() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
    let key = |of, role| PublicKey::of(&workspace.key(of, role).unwrap()).id();
    for of in [Repository::Director, Repository::Images] {
        let first = std::fs::read_to_string(workspace.root_path()).unwrap();
        let before = [Role::Root, Role::Targets, Role::Timestamp].map(|role| key(of, role));
        assert_eq!(replace(&workspace, of, &DAILY).unwrap(), 2);
        let after = [Role::Root, Role::Targets, Role::Timestamp].map(|role| key(of, role));
        assert_eq!(before[0], after[0]);
        assert!(before[1] != after[1] && before[2] != after[2]);
        let trust: Repositories = Roots::parse(&first).unwrap().into();
        let mut set = trust.open(of).unwrap();
        let newest = workspace.roots(of).unwrap();
        let _ = set.update_roots(newest.iter().map(String::as_bytes)).unwrap();
        assert!(set.root().version == 2 && set.keys_were_taken());
    }
    let stick = folder.path().join("stick");
    std::fs::rename(dir.join("keys/offline"), stick).unwrap();
    let kept = key(Repository::Director, Role::Targets);
    let error = replace(&workspace, Repository::Director, &DAILY).unwrap_err().to_string();
    assert!(error.contains("--offline-keys"), "{error}");
    assert_eq!(key(Repository::Director, Role::Targets), kept, "nothing is lost by trying");
}

#[test]
fn a_new_root_key_is_vouched_for_by_the_old_one_and_leaves_the_rest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
    let of = Repository::Director;
    let key = |role| PublicKey::of(&workspace.key(of, role).unwrap()).id();
    let (before, targets) = (key(Role::Root), key(Role::Targets));
    assert_eq!(replace(&workspace, of, &[Role::Root]).unwrap(), 2);
    assert!(key(Role::Root) != before && key(Role::Targets) == targets);
    // The old one has no say any more, and the new one has.
    assert_eq!(replace(&workspace, of, &[Role::Timestamp]).unwrap(), 3);
    let (root, _) = roots::newest(&workspace, of).unwrap();
    assert_eq!(root.roles.root.keyids, [key(Role::Root)]);
    assert_eq!(root.roles.timestamp.keyids, [key(Role::Timestamp)]);
}
