use super::*;

#[test]
fn both_ways_of_hashing_agree_with_the_plain_one() {
    let data: Vec<u8> = (0..3_000_017_u32).map(|i| (i % 251) as u8).collect();
    let expected = Digest::of(&data);
    for mut hash in [Hash::here(), Hash::aside()] {
        for piece in data.chunks(77_777) {
            hash.update(piece).unwrap();
        }
        assert_eq!(hash.finish().unwrap(), expected);
    }
}

#[test]
fn nothing_hashes_to_the_digest_of_nothing() {
    assert_eq!(Hash::aside().finish().unwrap(), Digest::of(b""));
}
