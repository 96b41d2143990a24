use super::*;
use crate::trust::sign::{SigningKey, sign_bytes};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

#[test]
fn a_sealed_text_opens_with_its_key_only() {
    let sealed = seal(&key(1), "{\"node\":\"box-17\"}").unwrap();
    let opened = open(&sealed, &PublicKey::of(&key(1))).unwrap();
    assert_eq!(opened.payload(), "{\"node\":\"box-17\"}");
    assert_eq!(*opened.signed_by(), PublicKey::of(&key(1)).id());
    let other = open(&sealed, &PublicKey::of(&key(2)));
    assert!(matches!(other, Err(DetachedError::OtherKey { .. })));
}

#[test]
fn a_changed_text_does_not_open() {
    let sealed = String::from_utf8(seal(&key(1), "all is well").unwrap()).unwrap();
    let changed = sealed.replace("well", "lost");
    let opened = open(changed.as_bytes(), &PublicKey::of(&key(1)));
    assert!(matches!(opened, Err(DetachedError::Signature { .. })));
}

#[test]
fn a_signature_over_the_bare_text_is_none() {
    let bare = sign_bytes(&key(1), b"{}");
    let envelope = serde_json::json!({"payload": "{}", "keyid": bare.keyid, "sig": bare.sig});
    let opened = open(envelope.to_string().as_bytes(), &PublicKey::of(&key(1)));
    assert!(matches!(opened, Err(DetachedError::Signature { .. })));
}

#[test]
fn an_introduction_opens_with_the_key_it_names_if_that_key_signed_it() {
    let named = |seed| move |_: &str| Some(PublicKey::of(&key(seed)));
    let sealed = seal(&key(1), "I am box-17").unwrap();
    let (text, public) = open_introduction(&sealed, named(1)).unwrap();
    assert_eq!((text.payload(), public), ("I am box-17", PublicKey::of(&key(1))));
    let borrowed = open_introduction(&sealed, named(2));
    assert!(matches!(borrowed, Err(DetachedError::OtherKey { .. })));
    let nameless = open_introduction(&sealed, |_| None);
    assert!(matches!(nameless, Err(DetachedError::Nameless)));
}

#[test]
fn too_much_is_neither_sealed_nor_opened() {
    let sealed = seal(&key(1), &"x".repeat(ENVELOPE_MAX));
    assert!(matches!(sealed, Err(DetachedError::TooLarge { .. })));
    let opened = open(&vec![b' '; ENVELOPE_MAX + 1], &PublicKey::of(&key(1)));
    assert!(matches!(opened, Err(DetachedError::TooLarge { .. })));
}
