use super::*;
use crate::init::{InitArgs, make};
use crate::workspace::Overrides;
use skerry_core::trust::{PublicKey, Repositories, Roots};

#[test]
fn only_the_roots_key_stays_and_the_first_root_leads_to_the_new_keys() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = make(&dir, &Overrides::default(), &InitArgs::default()).unwrap();
    let key = |of, role| PublicKey::of(&workspace.key(of, role).unwrap()).id();
    for of in [Repository::Director, Repository::Images] {
        let first = std::fs::read_to_string(workspace.root_path()).unwrap();
        let before = [Role::Root, Role::Targets, Role::Timestamp].map(|role| key(of, role));
        assert_eq!(replace(&workspace, of).unwrap(), 2);
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
    let error = replace(&workspace, Repository::Director).unwrap_err().to_string();
    assert!(error.contains("--offline-keys"), "{error}");
    assert_eq!(key(Repository::Director, Role::Targets), kept, "nothing is lost by trying");
}
