use super::*;
use crate::trust::detached;
use crate::trust::tests::repository::*;

const NONCE: &str = "000102030405060708090a0b0c0d0e0f";

fn at() -> Timestamp {
    time("2026-06-02T00:00:00Z")
}

#[test]
fn the_answer_to_the_open_question_is_believed_and_no_other() {
    let repo = Repository::new();
    let (node, signed) = (repo.fresh_node(), answer(NONCE, at(), &repo.timestamp.refs()).unwrap());
    assert_eq!(open(&node, &signed, Some(NONCE)).unwrap(), at());
    for asked in [None, Some(""), Some("ffffffffffffffffffffffffffffffff")] {
        let error = open(&node, &signed, asked).unwrap_err();
        assert!(matches!(error, TimeError::OtherQuestion), "{error}");
    }
}

#[test]
fn only_enough_keys_of_the_timestamp_role_speak_of_time() {
    let mut repo = Repository::new();
    for other in [&repo.root, &repo.snapshot, &repo.targets] {
        let signed = answer(NONCE, at(), &other.refs()).unwrap();
        let error = open(&repo.fresh_node(), &signed, Some(NONCE)).unwrap_err();
        assert!(matches!(error, TimeError::Trust(TrustError::Threshold { .. })), "{error}");
    }
    repo.timestamp = Holding { keys: vec![key(21), key(22)], threshold: 2 };
    let one = answer(NONCE, at(), &[&key(21), &key(21)]).unwrap();
    assert!(open(&repo.fresh_node(), &one, Some(NONCE)).is_err(), "one key twice is one key");
    let both = answer(NONCE, at(), &repo.timestamp.refs()).unwrap();
    assert!(open(&repo.fresh_node(), &both, Some(NONCE)).is_ok());
}

#[test]
fn nobody_speaks_of_a_time_when_the_root_that_lets_him_has_ended() {
    let repo = Repository::new();
    let signed = answer(NONCE, time("2040-01-01T00:00:00Z"), &repo.timestamp.refs()).unwrap();
    let error = open(&repo.fresh_node(), &signed, Some(NONCE)).unwrap_err();
    assert!(matches!(error, TimeError::BeyondRoot { .. }), "{error}");
}

#[test]
fn what_is_altered_or_signed_as_something_else_is_refused() {
    let repo = Repository::new();
    let (node, key) = (repo.fresh_node(), &repo.timestamp.keys[0]);
    let signed = String::from_utf8(answer(NONCE, at(), &[key]).unwrap()).unwrap();
    let later = signed.replace("2026-06-02", "2026-06-03");
    assert!(open(&node, later.as_bytes(), Some(NONCE)).is_err());
    let statement = format!(r#"{{"nonce":"{NONCE}","time":"2026-06-02T00:00:00Z"}}"#);
    let sealed = detached::seal(key, &statement).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
    let disguised = serde_json::json!({ "statement": statement,
        "signatures": [{ "keyid": report["keyid"], "sig": report["sig"] }] });
    let error = open(&node, disguised.to_string().as_bytes(), Some(NONCE)).unwrap_err();
    assert!(matches!(error, TimeError::Trust(TrustError::Threshold { .. })), "{error}");
    assert!(matches!(open(&node, b"[", None), Err(TimeError::Malformed { .. })));
    assert!(matches!(open(&node, &vec![0; TIME_MAX + 1], None), Err(TimeError::TooLarge { .. })));
}
