//! The log on disk: it goes on where it was, whatever the last process left, and stays within its bounds.

use std::fs;
use std::io::Write as _;

use skerry_core::audit::{self, Checked};

use super::*;

struct Place {
    folder: tempfile::TempDir,
    identity: Arc<Identity>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = Arc::new(Identity::load(folder.path()).unwrap());
        Self { folder, identity }
    }

    fn open(&self) -> Audit {
        Audit::open(self.folder.path(), self.identity.clone(), "box-1".parse().unwrap())
    }

    fn check(&self, audit: &Audit) -> Checked {
        audit::verify(&audit.export().unwrap(), &self.identity.public()).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path().join("audit")).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn event(number: usize) -> Event {
    Event::new(Kind::Started, format!("agent-{number}"))
}

fn kinds(checked: &Checked) -> Vec<Kind> {
    checked.entries.iter().map(|entry| entry.event.kind).collect()
}

#[test]
fn the_chain_goes_on_over_restarts() {
    let place = Place::new();
    place.open().note(event(1));
    let audit = place.open();
    audit.note(event(2));
    let checked = place.check(&audit);
    assert_eq!(kinds(&checked), [Kind::Began, Kind::Started, Kind::Began, Kind::Started]);
    assert_eq!(audit.head(), Some(checked.head));
}

#[test]
fn a_torn_last_line_is_cut_off_and_said() {
    let place = Place::new();
    place.open().note(event(1));
    let path = place.folder.path().join("audit/1.log");
    for torn in [&b"{\"seq\":3,\"pre"[..], &[0; 700], b"\n", b"{}\n{}\n"] {
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(torn).unwrap();
        let audit = place.open();
        audit.note(event(2));
        let checked = place.check(&audit);
        let last = &checked.entries[checked.entries.len() - 3..];
        assert_eq!(last[0].event.kind, Kind::Cut);
        let said = format!("{} bytes", torn.len());
        assert!(last[0].event.detail.as_deref().unwrap().starts_with(&said));
        assert_eq!(last[2].event.kind, Kind::Started);
    }
}

#[test]
fn a_file_that_was_just_begun_is_no_obstacle() {
    let place = Place::new();
    place.open().note(event(1));
    fs::write(place.folder.path().join("audit/3.log"), b"{\"se").unwrap();
    let checked = place.check(&place.open());
    assert_eq!(kinds(&checked), [Kind::Began, Kind::Started, Kind::Cut, Kind::Began]);
}

#[test]
fn the_oldest_entries_make_room_and_what_is_missing_is_signed() {
    let place = Place::new();
    let audit = place.open();
    let words = "x".repeat(900);
    for number in 0..2000 {
        audit.note(event(number).detail(&words));
    }
    let checked = place.check(&audit);
    assert!(checked.begin.seq > 500, "{}", checked.begin.seq);
    assert_eq!(checked.entries[0].seq, checked.begin.seq + 1);
    let bytes: u64 = place
        .files()
        .iter()
        .map(|name| fs::metadata(place.folder.path().join("audit").join(name)).unwrap().len())
        .sum();
    assert!(bytes <= (1 << 20) + 4096, "{bytes}");
    assert_eq!(place.check(&place.open()).begin, checked.begin);
    // Without the word the loss would not be vouched for.
    fs::remove_file(place.folder.path().join("audit/begin")).unwrap();
    let export = place.open().export().unwrap();
    let why = audit::verify(&export, &place.identity.public()).unwrap_err().to_string();
    assert!(why.contains("signed no word that they made room"), "{why}");
}

#[test]
fn a_power_cut_between_the_word_and_the_removal_leaves_a_whole_log() {
    let place = Place::new();
    let audit = place.open();
    let words = "x".repeat(900);
    for number in 0..800 {
        audit.note(event(number).detail(&words));
    }
    let mut log = audit.lock().unwrap();
    let segments = log.segments.as_mut().unwrap();
    segments.sync().unwrap();
    let oldest = segments.last_of_oldest().unwrap().unwrap();
    let word = beginning(place.identity.key(), &log.node, 0, oldest).unwrap();
    fs::write(place.folder.path().join("audit/begin"), word).unwrap();
    drop(log);
    let checked = place.check(&place.open());
    assert_eq!(checked.begin.seq, oldest.seq);
}

#[test]
fn nothing_is_written_when_nothing_happens() {
    let place = Place::new();
    let audit = place.open();
    audit.settle();
    let path = place.folder.path().join("audit/1.log");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    audit.settle();
    let _ = audit.head();
    drop(audit.export().unwrap());
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
}

#[test]
fn what_could_not_be_written_is_told_by_the_next_entry() {
    let place = Place::new();
    let audit = place.open();
    if let Some(mut log) = audit.lock() {
        // As after two failed writes.
        log.missed = 2;
    }
    audit.note(event(1));
    let checked = place.check(&audit);
    assert_eq!(kinds(&checked), [Kind::Began, Kind::Missed, Kind::Started]);
    assert_eq!(checked.entries[1].event.detail.as_deref(), Some("2 entries could not be written"));
}

#[test]
fn a_node_whose_log_cannot_be_opened_runs_without_it_and_goes_on_when_it_can() {
    let place = Place::new();
    let path = place.folder.path().join("audit");
    fs::write(&path, b"").unwrap();
    let audit = place.open();
    audit.note(event(1));
    assert_eq!(audit.head(), None);
    assert!(audit.export().is_err());
    fs::remove_file(&path).unwrap();
    audit.note(event(2));
    let checked = place.check(&audit);
    assert_eq!(kinds(&checked), [Kind::Missed, Kind::Began, Kind::Started]);
}

#[test]
fn a_damaged_entry_in_the_middle_is_left_for_whoever_verifies() {
    let place = Place::new();
    let audit = place.open();
    audit.note(event(1));
    audit.note(event(2));
    drop(audit);
    let path = place.folder.path().join("audit/1.log");
    let damaged = fs::read_to_string(&path).unwrap().replacen("\"seq\":2", "\"seq\";2", 1);
    fs::write(&path, damaged).unwrap();
    let export = place.open().export().unwrap();
    let why = audit::verify(&export, &place.identity.public()).unwrap_err().to_string();
    assert!(why.contains("where entry 2 belongs, is no entry"), "{why}");
}
