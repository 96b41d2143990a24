use super::*;
use skerry_core::ids::Digest;

fn head(seq: u64, word: &str) -> Head {
    Head { seq, digest: Digest::of(word.as_bytes()) }
}

fn told(heads: &[Head]) -> Told {
    heads.iter().fold(Told::default(), |told, head| told.next(Some(*head), 7))
}

#[test]
fn heads_are_kept_more_of_the_new_ones_than_of_the_old() {
    let all: Vec<_> = (1..=10_000).map(|seq| head(seq, "a")).collect();
    let told = told(&all);
    let kept: Vec<_> = told.heads().map(|head| head.seq).collect();
    assert_eq!(kept.len(), HEADS_MAX);
    assert_eq!((kept[0], kept[HEADS_MAX - 1]), (1, 10_000));
    assert!(kept.is_sorted());
    for far in [10, 100, 1_000, 9_000] {
        let within = kept.iter().filter(|seq| (10_000 - far..10_000).contains(*seq)).count();
        assert!(within > 1, "none of the last {far} but the newest: {kept:?}");
    }
    assert_eq!(told.broken(), None);
}

#[test]
fn a_log_that_goes_back_or_another_way_is_marked_for_good() {
    for (then, word) in [(head(1, "b"), "and later entry 1"), (head(9, "b"), "with two hashes")] {
        let told = told(&[head(5, "a"), head(9, "a"), then, head(20, "b")]);
        let broken = told.broken().unwrap();
        assert_eq!((broken.before, broken.then, broken.at_ms), (head(9, "a"), then, 7));
        assert!(broken.to_string().contains(word), "{broken}");
        assert!(told.heads().eq([then, head(20, "b")]), "old heads are another log's");
        let later = told.next(Some(head(2, "c")), 8);
        assert_eq!(later.broken(), Some(broken), "the first is the one that counts");
    }
}

#[test]
fn the_same_head_again_and_none_at_all_change_nothing() {
    let one = told(&[head(5, "a")]);
    assert_eq!(one.next(Some(head(5, "a")), 8), one);
    assert_eq!(one.next(None, 8), one);
}
