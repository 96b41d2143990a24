use super::*;

#[test]
fn a_saved_time_is_believed_within_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clock");
    let built = 1_790_000_000;
    assert_eq!(saved(&path, built), None);
    save(&path).unwrap();
    assert!(read(&path).unwrap() > 1_700_000_000);
    for (text, expected) in [
        ("1790000100\n", Some(1_790_000_100)),
        ("2208988800\n", None),
        ("yesterday\n", None),
        ("", None),
    ] {
        fs::write(&path, text).unwrap();
        assert_eq!(saved(&path, built), expected, "{text}");
    }
}
