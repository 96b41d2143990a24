use super::*;

#[test]
fn times_are_written_as_rfc_3339() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (4_102_444_799, "2099-12-31T23:59:59Z"),
    ] {
        assert_eq!(layout::rfc3339(seconds), text);
    }
}

#[test]
fn options_that_make_no_sense_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    for entry in ["NAME", "=value", ""] {
        let options = PackOptions { env: vec![entry.to_owned()], ..PackOptions::default() };
        let error = pack(folder.path(), &options, Output::OciDir(target.clone())).unwrap_err();
        assert!(error.to_string().contains("NAME=VALUE"), "{error}");
    }
    let options = PackOptions { reference: Some("No Name".to_owned()), ..PackOptions::default() };
    assert!(pack(folder.path(), &options, Output::OciDir(target.clone())).is_err());
    assert!(!target.exists());
}

#[test]
fn a_folder_that_is_there_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let error =
        pack(folder.path(), &PackOptions::default(), Output::OciDir("/etc".into())).unwrap_err();
    assert!(matches!(error, PackError::Exists { .. }), "{error}");
}
