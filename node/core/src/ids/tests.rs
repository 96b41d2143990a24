use super::*;

#[test]
fn names_are_dns_labels() {
    for good in ["a", "sensor", "box-17", "0", &"x".repeat(63)] {
        assert!(good.parse::<AgentName>().is_ok(), "{good}");
    }
    for bad in ["", "-a", "a-", "A", "a.b", "a/b", "a+", "ü", &"x".repeat(64)] {
        assert!(bad.parse::<NodeName>().is_err(), "{bad}");
    }
}

#[test]
fn a_digest_survives_its_text_form() {
    let digest = Digest::of(b"skerry");
    assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
    let upper = digest.to_string().to_uppercase().replace("SHA256", "sha256");
    assert!(upper.parse::<Digest>().is_err(), "two spellings of one digest would be two names");
    assert!("sha256:abc".parse::<Digest>().is_err());
    assert!("sha512:00".parse::<Digest>().is_err());
}
