use serde_json::json;
use skerry_core::trust::metadata::Key;

use super::read;

fn key(keytype: &str, scheme: &str, public: &str) -> Key {
    let key = json!({"keytype": keytype, "scheme": scheme, "keyval": {"public": public}});
    serde_json::from_value(key).unwrap()
}

/// The generator of the curve, and so the public half of the secret key 1.
const POINT: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                     4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

#[test]
fn keys_of_other_kinds_are_passed_over() {
    let scheme = "ecdsa-sha2-nistp256";
    assert!(read(&key("ecdsa", scheme, POINT)).is_some());
    assert!(read(&key(scheme, scheme, POINT)).is_some());
    assert!(read(&key("rsa", "rsassa-pss-sha256", POINT)).is_none());
    assert!(read(&key("ecdsa", "ecdsa-sha2-nistp384", POINT)).is_none());
    assert!(read(&key("ecdsa", scheme, &POINT[..60])).is_none());
}

#[test]
fn one_key_in_two_spellings_is_one_key() {
    let scheme = "ecdsa-sha2-nistp256";
    // The y coordinate is odd.
    let short = format!("03{}", &POINT[2..66]);
    let (long, short) = (read(&key("ecdsa", scheme, POINT)), read(&key("ecdsa", scheme, &short)));
    assert_eq!(long.unwrap().value, short.unwrap().value);
}

#[test]
fn a_made_up_signature_is_refused() {
    let key = read(&key("ecdsa", "ecdsa-sha2-nistp256", POINT)).unwrap();
    for signature in [&[][..], &[0; 64], &[0x30, 6, 2, 1, 0, 2, 1, 0]] {
        assert!(!(key.verify)(&key.value, b"message", signature));
    }
}
