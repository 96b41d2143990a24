use super::*;

fn tree() -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree::open(folder.path(), 16).unwrap();
    (folder, tree)
}

#[test]
fn without_openat2_a_link_on_the_way_is_refused() {
    let (folder, mut tree) = tree();
    std::os::unix::fs::symlink("/etc", folder.path().join("out")).unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    tree.has_openat2 = false;
    assert!(tree.existing(b"out").is_err());
    assert!(tree.existing(b"in").is_ok());
    assert!(tree.folder(b"in/a/b").is_ok());
}

#[test]
fn an_absolute_link_leads_to_the_layers_own_root() {
    let (folder, mut tree) = tree();
    std::os::unix::fs::symlink("/etc", folder.path().join("out")).unwrap();
    assert!(tree.existing(b"out").is_err(), "the layer has no etc");
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    std::fs::write(folder.path().join("etc/mine"), "").unwrap();
    let etc = tree.existing(b"out").unwrap();
    assert!(fs::statat(&*etc, "mine", AtFlags::empty()).is_ok());
}
