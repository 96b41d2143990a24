use std::os::unix::fs::PermissionsExt;

use super::*;

fn one(key: &str, value: &[u8]) -> BTreeMap<DataKey, Vec<u8>> {
    BTreeMap::from([(key.parse().unwrap(), value.to_vec())])
}

#[test]
fn values_are_kept_for_root_alone_and_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::below(folder.path());
    let name: DataName = "db".parse().unwrap();
    secrets.set(&name, &one("USER", b"me")).unwrap();
    secrets.set(&name, &one("PASSWORD", b"\xff\0hush")).unwrap();
    secrets.set(&name, &one("USER", b"you")).unwrap();
    let key = "PASSWORD".parse().unwrap();
    assert_eq!(secrets.value(&name, &key).unwrap(), b"\xff\0hush");
    assert_eq!(secrets.value(&name, &"USER".parse().unwrap()).unwrap(), b"you");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&secrets.file(&name, &key)), 0o600);
    assert_eq!(mode(&folder.path().join("secrets/db")), 0o700);
    assert_eq!(mode(&folder.path().join("secrets")), 0o700);

    assert!(matches!(secrets.value(&name, &"X".parse().unwrap()), Err(SecretError::NoKey(..))));
    secrets.remove(&name, Some(&key)).unwrap();
    assert_eq!(secrets.list().unwrap()[&name].len(), 1);
    secrets.remove(&name, Some(&"USER".parse().unwrap())).unwrap();
    assert!(secrets.list().unwrap().is_empty(), "the last key takes the secret with it");
    assert!(matches!(secrets.remove(&name, None), Err(SecretError::Unknown(_))));
}

#[test]
fn what_a_power_cut_left_is_no_key_and_in_nobody_s_way() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::below(folder.path());
    let name: DataName = "db".parse().unwrap();
    secrets.set(&name, &one("USER", b"me")).unwrap();
    fs::write(folder.path().join("secrets/db/..new"), b"half").unwrap();
    assert_eq!(secrets.keys(&name).unwrap().len(), 1);
    secrets.set(&name, &one("USER", b"you")).unwrap();
    assert_eq!(secrets.value(&name, &"USER".parse().unwrap()).unwrap(), b"you");
}

#[test]
fn what_is_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = Secrets::below(folder.path());
    let name: DataName = "db".parse().unwrap();
    let large = vec![0; VALUE_MAX + 1];
    assert!(matches!(secrets.set(&name, &one("K", &large)), Err(SecretError::TooLarge(..))));
    assert!(secrets.set(&name, &BTreeMap::new()).is_err());
}
