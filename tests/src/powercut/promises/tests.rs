use super::*;

fn found(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn heard(lines: &[&str]) -> Promises {
    let mut promises = Promises::default();
    lines.iter().for_each(|line| promises.hear(line));
    promises
}

#[test]
fn what_was_acknowledged_must_be_there_or_what_was_on_its_way_since() {
    let lines = ["try a 1", "ack a 1", "try a 2", "try a 3"];
    for value in ["1", "2", "3"] {
        assert_eq!(heard(&lines).judge(&found(&[("a", value)])), Vec::<String>::new());
    }
    assert_eq!(heard(&lines).judge(&found(&[("a", "0")])).len(), 1);
    assert_eq!(heard(&lines).judge(&found(&[])).len(), 1, "it is gone");
}

#[test]
fn what_was_removed_must_stay_away() {
    let lines = ["ack a 1", "try a gone", "ack a gone"];
    assert_eq!(heard(&lines).judge(&found(&[])), Vec::<String>::new());
    assert_eq!(heard(&lines).judge(&found(&[("a", "1")])).len(), 1);
    assert_eq!(heard(&lines[..2]).judge(&found(&[("a", "1")])), Vec::<String>::new());
}

#[test]
fn what_is_found_is_what_must_be_kept_from_then_on() {
    let mut promises = heard(&["ack a 1", "try a 2", "half a line", "try b"]);
    assert_eq!(promises.judge(&found(&[("a", "2")])), Vec::<String>::new());
    assert_eq!(promises.judge(&found(&[("a", "1")])).len(), 1);
    assert_eq!(promises.judge(&found(&[("a", "1"), ("c", "1")])).len(), 1, "c came from nowhere");
}
