//! A service with a strict umask unpacks images that their users can still enter.
//!
//! Alone in its file: the umask belongs to the whole process.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use skerry_images::{ImportOptions, Output, PackOptions, Source, Store, pack};

#[test]
fn folders_keep_their_modes_under_a_strict_umask() {
    assert!(rustix::process::geteuid().is_root(), "run as root: sudo -E cargo nextest run");
    let folder = tempfile::tempdir().unwrap();
    let (root, layout) = (folder.path().join("root"), folder.path().join("layout"));
    fs::create_dir_all(root.join("inner")).unwrap();
    fs::write(root.join("inner/file"), "").unwrap();
    for (path, mode) in [("inner", 0o2775), ("inner/file", 0o664)] {
        fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    pack(&root, &PackOptions::default(), Output::OciDir(layout.clone())).unwrap();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let store = Store::open(&folder.path().join("store")).unwrap();
    let all = store.import(Source::Path(layout), &ImportOptions::default()).unwrap();
    let layer = store.image(&all[0].digest).unwrap().layers.remove(0);
    for (path, mode) in [("", 0o755), ("inner", 0o2775), ("inner/file", 0o664)] {
        let found = fs::metadata(layer.join(path)).unwrap().permissions().mode();
        assert_eq!(found & 0o7777, mode, "{path}");
    }
}
