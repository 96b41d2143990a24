use super::*;

fn key(of: u8) -> SigningKey {
    SigningKey::from_bytes(&[of; 32])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn name(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn token(terms: Terms) -> Token {
    Token::parse(&issue(&key(1), [9; 32], terms).unwrap().1).unwrap()
}

fn any() -> Terms {
    Terms { node: None, uses: 1, expires: at(100) }
}

fn judge(enrolment: &Enrolment, node: &str, of: u8, now: i64) -> Result<Terms, String> {
    let (fleet, key) = (PublicKey::of(&key(1)), PublicKey::of(&key(of)));
    let checked = check(enrolment, &fleet, &name(node), &key, at(now));
    checked.map(|(_, terms)| terms).map_err(|why| why.to_string())
}

#[test]
fn a_good_token_vouches_for_one_name_and_key() {
    let word = token(any()).vouch(&name("box-1"), &PublicKey::of(&key(5)));
    assert_eq!(judge(&word, "box-1", 5, 50), Ok(any()));
    // Whoever overhears it can use it for nobody else.
    assert!(judge(&word, "box-1", 6, 50).unwrap_err().contains("does not vouch"));
    assert!(judge(&word, "box-2", 5, 50).unwrap_err().contains("does not vouch"));
}

#[test]
fn a_token_that_ended_or_is_for_another_is_refused() {
    let word = token(any()).vouch(&name("box-1"), &PublicKey::of(&key(5)));
    assert!(judge(&word, "box-1", 5, 100).unwrap_err().contains("the token ended at"));
    let named = Terms { node: Some(name("box-1")), ..any() };
    let word = token(named).vouch(&name("box-2"), &PublicKey::of(&key(5)));
    let why = judge(&word, "box-2", 5, 50).unwrap_err();
    assert_eq!(why, "the token is for node 'box-1', not for node 'box-2'");
}

#[test]
fn a_forged_token_is_refused() {
    let (_, text) = issue(&key(2), [9; 32], any()).unwrap();
    let word = Token::parse(&text).unwrap().vouch(&name("box-1"), &PublicKey::of(&key(5)));
    assert!(judge(&word, "box-1", 5, 50).unwrap_err().contains("the token is forged"));
    let mut word = token(any()).vouch(&name("box-1"), &PublicKey::of(&key(5)));
    word.certificate = word.certificate.replace(":1,", ":9,");
    assert!(judge(&word, "box-1", 5, 50).unwrap_err().contains("forged"));
    // A report that the fleet's key were to sign is no token.
    let sealed = seal(&key(1), "{}").unwrap();
    word.certificate = String::from_utf8(sealed).unwrap();
    assert!(judge(&word, "box-1", 5, 50).unwrap_err().contains("of another kind"));
}

#[test]
fn what_is_no_token_is_refused_and_never_shown() {
    for text in ["", "skerry-token-1", "skerry-token-1.zz.aa", "hello.a.b", &"x".repeat(4000)] {
        assert!(matches!(Token::parse(text), Err(EnrolmentError::Form)), "{text}");
    }
    assert_eq!(format!("{:?}", token(any())), "Token { .. }");
}
