use super::{Entry, Goal, Outcome, goal, goals, write};
use crate::inside::Inside;
use crate::machine::Machine;
use crate::planning::Planning;
use crate::race::Times;

fn entry(name: &'static str, start: f64) -> Entry {
    let times = || Times { start: vec![start; 3], whole: vec![start + 1.0; 3] };
    Entry {
        name,
        how: "a command".into(),
        inside: Inside::default(),
        back_to_back: times(),
        rested: times(),
    }
}

fn outcome(entries: Vec<Entry>) -> Outcome {
    Outcome {
        machine: Machine {
            processor: "a processor".into(),
            memory_mib: 1,
            system: "a system".into(),
            cgroups: "v2",
            date: "a day".into(),
            load: "0.00".into(),
        },
        command: "the command".into(),
        versions: vec!["runc version 1".into()],
        entries,
        node: None,
        crowd: None,
        planning: Planning { first: None, settled: None, merge: None },
        binary: Some(5 << 20),
        left_out: vec!["youki: no".into()],
        judged: true,
    }
}

fn goal_of(outcome: &Outcome, part: &str) -> Goal {
    goals(outcome).into_iter().find(|goal| goal.wanted.contains(part)).expect("the goal")
}

#[test]
fn a_goal_is_met_at_its_bound_and_missed_above_it() {
    assert!(goal("x".into(), Some(2.0), 2.0, "ms").met);
    assert!(!goal("x".into(), Some(2.01), 2.0, "ms").met);
}

#[test]
fn what_was_not_measured_is_not_met() {
    let outcome = outcome(vec![entry("floor", 2.0), entry("runc run", 30.0)]);
    let goal = goal_of(&outcome, "× `floor`");
    assert_eq!((goal.measured, goal.met), (None, false));
    assert!(write(&outcome).contains("| not measured |"));
}

#[test]
fn our_start_is_compared_with_runc_and_the_floor() {
    let met =
        outcome(vec![entry("floor", 2.0), entry("runc run", 30.0), entry("skerry monitor", 4.0)]);
    assert!(goal_of(&met, "× `floor`").met && goal_of(&met, "× `runc run`").met);
    let missed =
        outcome(vec![entry("floor", 2.0), entry("runc run", 6.0), entry("skerry monitor", 4.5)]);
    assert!(!goal_of(&missed, "× `floor`").met && !goal_of(&missed, "× `runc run`").met);
}

#[test]
fn the_report_says_where_when_and_how() {
    let text = write(&outcome(vec![entry("floor", 2.0), entry("runc run", 8.0)]));
    for part in ["a day", "a processor", "a system", "the command", "runc version 1", "youki: no"] {
        assert!(text.contains(part), "{part} is missing from {text}");
    }
    assert!(text.contains("| runc run | 8.00 | 8.00 | 8.00 | 4.00 | 1.00 | 9.00 | 3 |"), "{text}");
}

#[test]
fn mounts_that_the_floor_does_not_have_are_named() {
    let mut other = entry("runc run", 8.0);
    other.inside.mounts.insert("/more tmpfs rw".into());
    let text = write(&outcome(vec![entry("floor", 2.0), other]));
    assert!(text.contains("runc run: more: /more tmpfs rw"), "{text}");
}
