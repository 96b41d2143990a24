use super::*;

#[test]
fn versions_only_grow() {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    assert!(newer(3, a, 4, b).is_ok());
    let older = newer(3, a, 2, b).unwrap_err().to_string();
    assert!(older.contains("version 2 is older than version 3"), "{older}");
    let same = newer(3, a, 3, b).unwrap_err().to_string();
    assert!(same.contains("another document with the same version"), "{same}");
}

#[test]
fn a_ledger_that_was_altered_is_not_read() {
    let document = r#"{"apiVersion":"skerry/v1","version":1,"audience":{"node":"a"},"agents":[]}"#;
    let good = Ledger {
        document: document.to_owned(),
        digest: Digest::of(document.as_bytes()),
        signed_by: Vec::new(),
    };
    assert_eq!(good.read().unwrap().get().version, 1);
    let bad = Ledger { document: document.replace(":1,", ":2,"), ..good };
    assert!(bad.read().is_err());
}
