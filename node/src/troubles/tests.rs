use super::*;

#[test]
fn a_trouble_lasts_from_its_beginning_until_it_is_cleared() {
    let troubles = Troubles::default();
    let mut seen = troubles.watch();
    troubles.raise(Kind::DiskFull, "", "full", "make room");
    assert!(seen.has_changed().unwrap());
    seen.mark_unchanged();
    let since = troubles.list()[0].since_ms;
    troubles.raise(Kind::DiskFull, "", "full", "make room");
    assert!(!seen.has_changed().unwrap(), "the same again wakes nobody");
    troubles.raise(Kind::DiskFull, "", "fuller", "make room");
    assert_eq!(troubles.list()[0].since_ms, since);
    assert_eq!(troubles.list()[0].what, "fuller");
    troubles.clear(Kind::DiskFull, "");
    assert!(troubles.list().is_empty());
}

#[test]
fn no_more_are_told_than_a_report_holds() {
    let troubles = Troubles::default();
    for number in 0..TROUBLES_MAX + 5 {
        troubles.raise(Kind::Blocked, &format!("a{number}"), "no image", "import it");
    }
    troubles.raise(Kind::DiskFull, "", "full", "make room");
    let told = troubles.list();
    assert_eq!(told.len(), TROUBLES_MAX);
    assert_eq!(told[0].kind, "disk-full", "the node's own come first");
}
