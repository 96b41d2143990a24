use super::*;
use crate::testing::{Node, in_force, refusal, report, spec, status};
use skerry_core::ids::Digest;
use skerry_core::plan::State;

fn told(change: impl FnOnce(&mut Report)) -> Report {
    let mut report = report(&Node::new("box-1", 1).name);
    change(&mut report);
    report
}

fn agent(report: &mut Report, state: State, pid: Option<u32>) {
    let spec = spec("sensor");
    report.agents.insert(spec.name.clone(), status(&spec, state, pid));
}

#[test]
fn only_what_differs_is_told() {
    let first = told(|r| agent(r, State::Starting, None));
    let second = told(|r| agent(r, State::Running, Some(123)));
    assert_eq!(tell(Some(&first), &first), Vec::<String>::new());
    assert_eq!(tell(Some(&first), &second), ["agent sensor on box-1: starting -> running pid 123"]);
    let third = told(|r| agent(r, State::Running, Some(124)));
    assert_eq!(tell(Some(&second), &third), ["agent sensor on box-1: still running pid 124"]);
    assert_eq!(tell(Some(&third), &told(|_| {})), ["agent sensor on box-1: gone"]);
}

#[test]
fn documents_and_refusals_are_told_once() {
    let digest = Digest::of(b"document");
    let first = told(|r| r.refused = vec![refusal(b"x", "expired", 1)]);
    let second = told(|r| {
        r.document = in_force(4, digest);
        r.refused = vec![refusal(b"x", "expired", 1), refusal(b"y", "older", 1)];
    });
    let y = Digest::of(b"y").short();
    assert_eq!(
        tell(Some(&first), &second),
        [
            format!("document 4 is in force on box-1 ({digest})"),
            format!("box-1 refused a document (bundle {y}): older"),
        ]
    );
    assert_eq!(tell(None, &first).len(), 1);
}

#[test]
fn troubles_are_told_when_they_come_and_when_they_are_over() {
    let trouble = Trouble {
        kind: "disk-full".to_owned(),
        what: "the disk is full".to_owned(),
        since_ms: 1,
        next: "make room".to_owned(),
    };
    let well = told(|_| {});
    let ill = told(|r| r.troubles = vec![trouble.clone()]);
    let same = told(|r| r.troubles = vec![Trouble { since_ms: 2, ..trouble.clone() }]);
    assert_eq!(
        tell(Some(&well), &ill),
        ["trouble on box-1: disk-full: the disk is full; next: make room"]
    );
    assert_eq!(tell(Some(&ill), &same), Vec::<String>::new());
    assert_eq!(tell(Some(&ill), &well), ["over on box-1: disk-full: the disk is full"]);
}
