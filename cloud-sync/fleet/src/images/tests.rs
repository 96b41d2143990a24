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

#[test]
fn a_spec_names_images_by_digest_or_by_a_name_that_one_image_has() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("fleet");
    let workspace = make(&dir, &Overrides::default(), &InitArgs::plain()).unwrap();
    let named = |name: &str| ImageNotes { name: Some(name.to_owned()), ..ImageNotes::default() };
    genuine(&workspace, &[manifest(1)], &named("sensor")).unwrap();
    genuine(&workspace, &[manifest(2), manifest(3)], &named("camera")).unwrap();
    let names = Names::of(&workspace).unwrap();
    assert_eq!(names.find("sensor"), Ok(manifest(1).digest));
    // Whether it is genuine is judged later, and with the agent's name.
    assert_eq!(names.find(&manifest(9).digest.to_string()), Ok(manifest(9).digest));
    let told = names.find("sensr").unwrap_err();
    assert!(
        told.contains("'sensr' is not a digest") && told.contains("did you mean 'sensor'?"),
        "{told}"
    );
    let told = names.find("camera").unwrap_err();
    assert!(
        told.starts_with("2 genuine images") && told.contains(&manifest(3).digest.to_string()),
        "{told}"
    );
}
