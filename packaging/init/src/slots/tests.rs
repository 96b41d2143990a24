use super::*;

fn block(variables: &str) -> Vec<u8> {
    let mut block = format!("{HEAD}{variables}").into_bytes();
    block.resize(SIZE, b'#');
    block
}

#[test]
fn a_damaged_slot_is_given_up_and_all_else_stays() {
    let before = block("ORDER=a b\na_OK=1\na_TRY=0\nb_OK=1\nb_TRY=0\nOTHER=x\n");
    let after = without(&before, "a").unwrap();
    assert_eq!(after, block("ORDER=a b\nb_OK=1\nb_TRY=0\nOTHER=x\na_OK=0\na_TRY=0\n"));
    assert_eq!(without(&after, "a"), None, "once is enough");
    let trial = block("ORDER=b a\na_OK=1\na_TRY=0\nb_OK=0\nb_TRY=2\n");
    assert!(without(&trial, "b").is_some(), "one on trial, at once");
    assert!(without(&trial, "a").is_some(), "the other still has its trial");
}

#[test]
fn the_only_slot_is_not_given_up() {
    let before = block("ORDER=a b\na_OK=1\na_TRY=0\nb_OK=0\nb_TRY=0\n");
    assert_eq!(without(&before, "a"), None);
}

#[test]
fn a_file_that_is_missing_or_damaged_is_made_anew_as_the_loader_takes_it() {
    let expected = block("ORDER=a b\nb_OK=1\nb_TRY=0\na_OK=0\na_TRY=0\n");
    for before in [&b""[..], b"rubbish", &[0xff; SIZE]] {
        assert_eq!(without(before, "a").as_deref(), Some(&expected[..]));
    }
}
