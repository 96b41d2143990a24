use super::*;
use crate::init::{InitArgs, make};
use crate::workspace::Overrides;

fn manifest(byte: u8) -> Manifest {
    Manifest { digest: Digest::from_bytes([byte; 32]), size: 7 }
}

#[test]
fn the_list_is_signed_when_it_changes_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
    let version = || release::version(&workspace, Repository::Images).unwrap();
    let is_genuine = |byte| {
        let catalogue = release::catalogue(&workspace, Timestamp::now()).unwrap();
        catalogue.check(&manifest(byte).digest).is_ok()
    };
    let nothing = ImageNotes::default();
    assert_eq!((version(), is_genuine(1)), (1, false));
    genuine(&workspace, &[manifest(1), manifest(2)], &nothing).unwrap();
    assert!(is_genuine(1) && is_genuine(2) && !is_genuine(3));
    genuine(&workspace, &[manifest(1)], &nothing).unwrap();
    assert_eq!(version(), 2, "what is genuine already is not signed again");
    let named = ImageNotes { name: Some("sensor".to_owned()), ..ImageNotes::default() };
    genuine(&workspace, &[manifest(1)], &named).unwrap();
    assert_eq!(version(), 3);
    remove(&workspace, &manifest(1).digest).unwrap();
    assert!(!is_genuine(1) && is_genuine(2));
    let error = remove(&workspace, &manifest(1).digest).unwrap_err().to_string();
    assert!(error.contains("skerry-fleet images ls"), "{error}");
    assert!(list(&workspace).is_ok());
}
