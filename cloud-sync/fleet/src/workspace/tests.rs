use super::*;
use crate::passphrase::Passphrases;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn create(dir: &Path) -> Workspace {
    Workspace::create(
        dir,
        &Overrides::default(),
        Expiry::default(),
        Protection::None,
        Passphrases::default(),
    )
    .unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_workspace_keeps_its_keys_from_others_and_is_never_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = create(&dir);
    let mut keys = Vec::new();
    for of in REPOSITORIES {
        for role in ROLES {
            let path = workspace.key_path(of, role);
            assert_eq!(mode(&path), 0o600);
            assert_eq!(mode(path.parent().unwrap()), 0o700);
            let key = workspace.key(of, role).unwrap().to_bytes();
            assert!(!keys.contains(&key), "each role has a key of its own");
            keys.push(key);
        }
    }
    assert_eq!(fs::read_dir(dir.join("keys/online")).unwrap().count(), 3);
    assert_eq!(fs::read_dir(dir.join("keys/offline")).unwrap().count(), 5);
    let again = || {
        let (overrides, words) = (Overrides::default(), Passphrases::default());
        Workspace::create(&dir, &overrides, Expiry::default(), Protection::None, words)
    };
    assert!(matches!(again(), Err(WorkspaceError::Exists(_))));
    fs::remove_file(dir.join("fleet.toml")).unwrap();
    assert!(matches!(again(), Err(WorkspaceError::Exists(_))), "keys alone are reason enough");
    let root = workspace.key(Repository::Director, Role::Root).unwrap();
    assert_eq!(root.to_bytes(), keys[0]);
}

#[test]
fn settings_come_from_the_file_and_the_command_line_wins() {
    let folder = tempfile::tempdir().unwrap();
    let given = Overrides {
        broker: Some("mqtt://a:1".to_owned()),
        tenant: Some("t".to_owned()),
        offline_keys: None,
    };
    Workspace::create(
        folder.path(),
        &given,
        Expiry::default(),
        Protection::None,
        Passphrases::default(),
    )
    .unwrap();
    let open = |overrides: &Overrides| Workspace::open(folder.path(), overrides).unwrap();
    let workspace = open(&Overrides::default());
    assert_eq!((&*workspace.broker().url, &*workspace.broker().tenant), ("mqtt://a:1", "t"));
    assert_eq!(workspace.expiry().root, skerry_sync::config::Span::from_secs(365 * 24 * 3600));
    let over =
        Overrides { broker: Some("mqtt://b:2".to_owned()), tenant: None, offline_keys: None };
    assert_eq!((&*open(&over).broker().url, &*open(&over).broker().tenant), ("mqtt://b:2", "t"));
}

#[test]
fn files_in_the_settings_are_looked_for_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    create(folder.path());
    let text = "[broker]\nurl = 'mqtts://a'\nca_file = 'ca.pem'\npassword_file = '/abs'\n";
    fs::write(folder.path().join("fleet.toml"), text).unwrap();
    let workspace = Workspace::open(folder.path(), &Overrides::default()).unwrap();
    assert_eq!(workspace.broker().ca_file, Some(folder.path().join("ca.pem")));
    assert_eq!(workspace.broker().password_file, Some("/abs".into()));
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Workspace::open(folder.path(), &Overrides::default()).unwrap_err().to_string();
    assert!(missing.contains("skerry-fleet init"), "{missing}");
    let workspace = create(folder.path());
    fs::write(folder.path().join("nodes/box-1.pub"), "abc").unwrap();
    let error = workspace.nodes().unwrap_err().to_string();
    assert!(error.contains("box-1.pub") && error.contains("64 hexadecimal digits"), "{error}");
    fs::write(folder.path().join("fleet.toml"), "[broker]\nurl = 'mqtt://a'\nusr = 'x'\n").unwrap();
    let error = Workspace::open(folder.path(), &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("fleet.toml") && error.contains("usr"), "{error}");
}

#[test]
fn documents_are_kept_by_audience() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = create(folder.path());
    let node = Address::Node("group-a".parse().unwrap());
    let group = Address::Group("a".parse().unwrap());
    workspace.put_document(&node, "1").unwrap();
    workspace.put_document(&group, "2").unwrap();
    workspace.put_document(&group, "3").unwrap();
    let documents = workspace.documents().unwrap();
    assert_eq!(documents, BTreeMap::from([(node, "1".to_owned()), (group, "3".to_owned())]));
}

#[test]
fn offline_keys_may_be_elsewhere_and_are_asked_for_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, stick) = (folder.path().join("fleet"), folder.path().join("stick"));
    create(&dir);
    fs::rename(dir.join("keys/offline"), &stick).unwrap();
    let open = |offline_keys: Option<PathBuf>| {
        let overrides = Overrides { offline_keys, ..Overrides::default() };
        Workspace::open(&dir, &overrides).unwrap()
    };
    let here = open(None);
    assert!(here.key(Repository::Director, Role::Targets).is_ok(), "what signs documents is here");
    for (of, role) in [(Repository::Director, Role::Root), (Repository::Images, Role::Targets)] {
        let error = here.key(of, role).unwrap_err().to_string();
        assert!(error.contains(&format!("{of}-{role}.key is not here")), "{error}");
        assert!(error.contains("--offline-keys"), "{error}");
        assert!(open(Some(stick.clone())).key(of, role).is_ok());
    }
}
