use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn create(dir: &Path) -> Workspace {
    Workspace::create(dir, &Overrides::default(), Expiry::default()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_workspace_keeps_its_keys_from_others_and_is_never_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = create(&dir);
    assert_eq!(mode(&dir.join("keys")), 0o700);
    let keys: Vec<_> = ROLES.map(|role| workspace.key(role).unwrap().to_bytes()).to_vec();
    for (i, role) in ROLES.iter().enumerate() {
        assert_eq!(mode(&dir.join(format!("keys/{role}.key"))), 0o600);
        assert!(!keys[..i].contains(&keys[i]), "each role has a key of its own");
    }
    let again = Workspace::create(&dir, &Overrides::default(), Expiry::default());
    assert!(matches!(again, Err(WorkspaceError::Exists(_))));
    fs::remove_file(dir.join("fleet.toml")).unwrap();
    let again = Workspace::create(&dir, &Overrides::default(), Expiry::default());
    assert!(matches!(again, Err(WorkspaceError::Exists(_))), "keys alone are reason enough");
    assert_eq!(workspace.key(Role::Root).unwrap().to_bytes(), keys[0]);
}

#[test]
fn settings_come_from_the_file_and_the_command_line_wins() {
    let folder = tempfile::tempdir().unwrap();
    let given = Overrides { broker: Some("mqtt://a:1".to_owned()), tenant: Some("t".to_owned()) };
    Workspace::create(folder.path(), &given, Expiry::default()).unwrap();
    let open = |overrides: &Overrides| Workspace::open(folder.path(), overrides).unwrap();
    let workspace = open(&Overrides::default());
    assert_eq!((&*workspace.broker().url, &*workspace.broker().tenant), ("mqtt://a:1", "t"));
    assert_eq!(workspace.expiry().root, Span::from_secs(365 * DAY));
    let over = Overrides { broker: Some("mqtt://b:2".to_owned()), tenant: None };
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
