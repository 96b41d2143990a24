use super::*;
use crate::testing::{Node, in_force, refusal, report, spec, status};
use skerry_core::audit::Head;
use skerry_core::report::Presence;

const NOW: i64 = 1_000_000 + 90_000;

fn keys(nodes: &[&Node]) -> Roster {
    let keys = nodes.iter().map(|node| (node.name.clone(), node.public()));
    Roster::of(keys.collect(), Vec::new())
}

fn busy(node: &Node) -> Report {
    let mut report = report(&node.name);
    report.document = in_force(4, Digest::of(b"document"));
    for (name, state) in [("a", State::Running), ("b", State::BackOff)] {
        let spec = spec(name);
        report.agents.insert(spec.name.clone(), status(&spec, state, None));
    }
    report.refused = vec![refusal(b"x", "version 1 is older than version 4", 2)];
    report
}

#[test]
fn a_signed_report_fills_its_row() {
    let node = Node::new("box-1", 1);
    let presence = Presence { node: node.name.clone(), online: true, boot_id: String::new() };
    let online = Said {
        node: node.name.to_string(),
        kind: Kind::Presence,
        payload: node.seal(&presence).into(),
    };
    for said in [[online.clone(), node.says(&busy(&node))], [node.says(&busy(&node)), online]] {
        let rows = rows(&said, &mut keys(&[&node]), NOW);
        assert_eq!(
            text(&rows),
            "NODE   ONLINE  DOCUMENT  AGENTS  REPORT AGE  SIGNATURE  NOTE\n\
             box-1  yes     4         1/2     1m          ok         \
             last refusal (2 times): version 1 is older than version 4"
        );
    }
}

#[test]
fn troubles_are_shown_with_what_to_do_and_only_if_they_are_signed() {
    let (known, forger) = (Node::new("box-1", 1), Node::new("box-1", 2));
    let mut report = report(&known.name);
    let trouble = |kind: &str, what: &str| Trouble {
        kind: kind.to_owned(),
        what: what.to_owned(),
        since_ms: 0,
        next: "make\u{1b}[31m room".to_owned(),
    };
    report.troubles = vec![trouble("blocked", "agent a waits"), trouble("disk-full", "it is full")];
    report.refused = vec![refusal(b"x", "version 1 is older", 1)];
    let seen = rows(&[known.says(&report)], &mut keys(&[&known]), NOW);
    assert_eq!(seen[0].troubles, report.troubles);
    let shown = text(&seen);
    let (table, below) = shown.split_once("\n\n").unwrap();
    assert!(table.ends_with("trouble: blocked, disk-full"), "{table}");
    assert_eq!(
        below,
        "box-1: blocked: agent a waits\n  next: make [31m room\n\n\
         box-1: disk-full: it is full\n  next: make [31m room"
    );
    let seen = rows(&[forger.says(&report)], &mut keys(&[&known]), NOW);
    assert!(seen[0].troubles.is_empty() && !text(&seen).contains("full"));
}

#[test]
fn nothing_of_an_unsigned_report_is_shown() {
    let (known, forger, stranger) =
        (Node::new("box-1", 1), Node::new("box-1", 2), Node::new("box-2", 3));
    let said = [forger.says(&busy(&known)), stranger.says(&busy(&stranger))];
    let rows = rows(&said, &mut keys(&[&known]), NOW);
    let shown: Vec<_> =
        rows.iter().map(|r| (r.signature, r.document, r.running, r.online)).collect();
    assert_eq!(
        shown,
        [(Some(Signature::Bad), None, None, None), (Some(Signature::UnknownKey), None, None, None)]
    );
    assert!(rows.iter().all(|row| row.agents.is_empty() && row.refused.is_empty()));
    let note = rows[1].note.as_deref().unwrap();
    assert!(note.contains("skerry-fleet nodes approve box-2"), "{note}");
}

#[test]
fn a_known_node_that_never_spoke_is_shown_too() {
    let rows = rows(&[], &mut keys(&[&Node::new("box-1", 1)]), NOW);
    assert!(
        text(&rows)
            .ends_with("box-1  -       -         -       -           -          no report yet")
    );
}

#[test]
fn ages_are_told_in_the_unit_that_fits() {
    for (ms, expected) in [
        (-60_000, "in the future"),
        (-2_000, "0s"),
        (59_999, "59s"),
        (60_000, "1m"),
        (7_200_000, "2h"),
        (200_000_000, "2d"),
    ] {
        assert_eq!(age(ms), expected);
    }
}

#[test]
fn of_a_report_that_is_played_again_nothing_is_shown() {
    let node = Node::new("box-1", 1);
    let mut roster = keys(&[&node]);
    let newer = Report { counter: 7, ..busy(&node) };
    let _ = rows(&[node.says(&newer)], &mut roster, NOW);
    let row = rows(&[node.says(&busy(&node))], &mut roster, NOW).remove(0);
    assert_eq!((row.signature, row.running, row.document), (Some(Signature::Replayed), None, None));
    let note = row.note.unwrap();
    assert!(note.contains("played again (counter 1, and 7 was heard before)"), "{note}");
}

#[test]
fn an_audit_log_that_went_back_is_shown_beside_what_else_there_is() {
    let node = Node::new("box-1", 1);
    let mut roster = keys(&[&node]);
    let at = |counter, seq| {
        let audit = Some(Head { seq, digest: Digest::of(b"") });
        node.says(&Report { counter, audit, ..busy(&node) })
    };
    let calm = rows(&[at(1, 500)], &mut roster, NOW).remove(0);
    assert_eq!(calm.audit_break, None);
    for said in [at(2, 3), at(3, 900)] {
        let row = rows(&[said], &mut roster, NOW).remove(0);
        assert_eq!(row.audit_break.map(|it| (it.before.seq, it.then.seq)), Some((500, 3)));
        let note = row.note.unwrap();
        assert!(note.contains("last refusal") && note.contains("and later entry 3"), "{note}");
    }
}
