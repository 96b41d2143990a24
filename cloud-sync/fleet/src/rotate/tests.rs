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

fn place() -> (tempfile::TempDir, std::path::PathBuf, Workspace) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
    (folder, dir, workspace)
}

#[test]
fn a_root_that_cannot_be_kept_costs_no_key() {
    let (_folder, dir, workspace) = place();
    for of in [Repository::Director, Repository::Images] {
        let key = |role| workspace.key(of, role).unwrap().to_bytes();
        let before = [Role::Root, Role::Targets, Role::Timestamp].map(key);
        // It cannot be created, as on a disk that is full or read-only.
        let way = dir.join(format!("{of}/roots/2.root.json.new/in the way"));
        std::fs::create_dir_all(&way).unwrap();
        for roles in [&[Role::Root][..], &DAILY] {
            let error = format!("{:#}", replace(&workspace, of, roles).unwrap_err());
            assert!(error.contains("no key is replaced or lost"), "{error}");
            assert!(finish(&workspace).unwrap().is_empty());
            assert_eq!([Role::Root, Role::Targets, Role::Timestamp].map(key), before);
        }
        std::fs::remove_dir_all(way.parent().unwrap()).unwrap();
        assert_eq!(replace(&workspace, of, &[Role::Root]).unwrap(), 2);
        assert_eq!(replace(&workspace, of, &DAILY).unwrap(), 3);
        assert!(key(Role::Root) != before[0] && key(Role::Targets) != before[1]);
    }
    assert!(workspace.next_keys().is_empty(), "nothing is left lying about");
}

#[test]
fn a_replacement_that_ends_after_its_root_is_finished_when_the_workspace_is_opened() {
    let (_folder, dir, workspace) = place();
    let of = Repository::Director;
    let old = workspace.key(of, Role::Root).unwrap();
    // The root is kept, and what new nodes are given is not: as if power had gone in between.
    let given = std::fs::read_to_string(workspace.root_path()).unwrap();
    let way = dir.join("root.json.new/in the way");
    std::fs::create_dir_all(&way).unwrap();
    let _ = replace(&workspace, of, &[Role::Root]).unwrap_err();
    std::fs::remove_dir_all(way.parent().unwrap()).unwrap();
    assert_eq!(workspace.roots(of).unwrap().len(), 2);
    assert_eq!(workspace.key(of, Role::Root).unwrap().to_bytes(), old.to_bytes());

    let lines = finish(&workspace).unwrap();
    assert!(lines.len() == 1 && lines[0].contains("the root key of director"), "{lines:?}");
    let (root, _) = roots::newest(&workspace, of).unwrap();
    let key = workspace.key(of, Role::Root).unwrap();
    assert_eq!(root.roles.root.keyids, [PublicKey::of(&key).id()]);
    assert_ne!(std::fs::read_to_string(workspace.root_path()).unwrap(), given);
    assert!(finish(&workspace).unwrap().is_empty() && workspace.next_keys().is_empty());
    assert_eq!(replace(&workspace, of, &[Role::Root]).unwrap(), 3, "and it goes on from there");
}
