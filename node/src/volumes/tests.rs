use super::*;

const OWNER: Owner = Owner { uid: 0, gid: 0, mode: 0o750 };

#[test]
fn a_volume_is_made_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let volumes = Volumes::below(folder.path());
    let name = "data".parse().unwrap();
    let path = volumes.at_hand(&name, OWNER).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o750);
    fs::write(path.join("file"), vec![1; 10_000]).unwrap();
    let again = volumes.at_hand(&name, Owner { mode: 0o700, ..OWNER }).unwrap();
    assert_eq!(fs::metadata(again).unwrap().permissions().mode() & 0o7777, 0o750);
    assert!(volumes.bytes(&name).unwrap() >= 10_000);
    assert_eq!(volumes.names().unwrap(), vec![name.clone()]);
    assert!(volumes.remove(&name).unwrap());
    assert!(!volumes.remove(&name).unwrap());
    assert!(volumes.names().unwrap().is_empty());
}

#[test]
fn half_a_removal_is_ended_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let half = folder.path().join("volumes/.gone-data");
    fs::create_dir_all(half.join("below")).unwrap();
    let volumes = Volumes::below(folder.path());
    assert!(!half.exists() && volumes.names().unwrap().is_empty());
}
