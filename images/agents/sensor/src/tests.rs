use super::*;

#[test]
fn sizes_and_times_are_read() {
    assert_eq!(size("64M"), Some(64 << 20));
    assert_eq!(size("1KiB"), Some(1024));
    assert_eq!(size("12"), Some(12));
    assert_eq!(size("12Q"), None);
    assert_eq!(size("99999999999G"), None);
    assert_eq!(interval("500ms"), Some(Duration::from_millis(500)));
    assert_eq!(interval("2s"), Some(Duration::from_secs(2)));
    assert_eq!(interval("0s"), None);
    assert_eq!(interval("2"), None);
}

#[test]
fn unknown_flags_are_refused() {
    assert!(parse(["--bogus".to_owned()].into_iter()).is_err());
    assert!(parse(["--exit".to_owned()].into_iter()).is_err());
    assert!(parse(["--exit".to_owned(), "300".to_owned()].into_iter()).is_err());
}

#[test]
fn quotes_and_controls_are_escaped() {
    let line = json::Object::new().text("a", "\"\\\n").finish();
    assert_eq!(line, r#"{"a":"\"\\\u000a"}"#);
}

#[test]
fn a_reading_has_numbers_and_not_null() {
    let line = kernel::reading("x", 7);
    assert!(line.contains("\"seq\":7"), "{line}");
    assert!(!line.contains("\"uptime_s\":null"), "{line}");
    assert!(!line.contains("\"memory_bytes\":null"), "{line}");
}
