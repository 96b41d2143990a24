use super::*;
use crate::testing::{Node, in_force, refusal, report, spec, status};
use skerry_core::bundle::Address;
use skerry_core::document::ApiVersion;

const BUNDLE: &[u8] = b"bundle";

fn wanted(node: &Node, agents: &[&str]) -> Wanted {
    let document = Document {
        api_version: ApiVersion::V1,
        version: 4,
        audience: Address::Node(node.name.clone()),
        configs: Default::default(),
        agents: agents.iter().map(|name| spec(name)).collect(),
    };
    let digest = Digest::of(&document.to_bytes());
    Wanted { document, digest, bundle: Digest::of(BUNDLE), heard: 0 }
}

fn told(node: &Node, counter: u64, change: impl FnOnce(&mut Report)) -> Said {
    let mut report = Report { counter, ..report(&node.name) };
    change(&mut report);
    node.says(&report)
}

fn runs(report: &mut Report, name: &str, state: State) {
    let spec = spec(name);
    report.agents.insert(spec.name.clone(), status(&spec, state, Some(7)));
}

#[test]
fn accepted_is_not_settled_before_every_agent_is_what_it_must_be() {
    let node = Node::new("box-1", 1);
    let wanted = wanted(&node, &["a"]);
    let force = |report: &mut Report| report.document = in_force(4, wanted.digest);
    let mut watcher = Watcher::new(&node.name, node.public(), &wanted);
    assert!(watcher.pending());
    let mut take = |counter, change: &dyn Fn(&mut Report)| {
        watcher.after(&told(&node, counter, |report| change(report)));
        watcher.pending()
    };
    assert!(take(1, &|_| {}), "no document is in force");
    assert!(take(2, &|r| force(r)), "the agent was not begun");
    assert!(take(3, &|r| {
        force(r);
        runs(r, "a", State::Starting);
    }));
    assert!(
        take(4, &|r| {
            force(r);
            runs(r, "a", State::Running);
            runs(r, "b", State::Stopping);
        }),
        "an agent of the document before is still there"
    );
    assert!(
        take(5, &|r| {
            force(r);
            runs(r, "a", State::Running);
            r.agents.values_mut().for_each(|status| status.current = false);
        }),
        "it runs as the document before wanted it"
    );
    assert!(!take(6, &|r| {
        force(r);
        runs(r, "a", State::Running);
    }));
    assert!(matches!(watcher.fate(), Fate::Accepted(report, Settled::Yes) if report.counter == 6));
}

#[test]
fn a_refusal_counts_only_if_it_is_new_and_of_this_bundle() {
    let node = Node::new("box-1", 1);
    let wanted = wanted(&node, &[]);
    let mut watcher = Watcher::new(&node.name, node.public(), &wanted);
    watcher.before(&told(&node, 1, |r| r.refused = vec![refusal(BUNDLE, "expired", 1)]));
    watcher.after(&told(&node, 2, |r| {
        r.refused = vec![refusal(BUNDLE, "expired", 1), refusal(b"other", "older", 1)];
    }));
    assert!(watcher.pending(), "the old refusal, and one of another bundle");
    watcher.after(&told(&node, 3, |r| r.refused = vec![refusal(BUNDLE, "expired", 2)]));
    assert_eq!(watcher.fate(), Fate::Refused("expired".to_owned()));
}

#[test]
fn reports_that_are_forged_or_played_again_decide_nothing() {
    let (node, forger) = (Node::new("box-1", 1), Node::new("box-1", 2));
    let wanted = wanted(&node, &[]);
    let force = |report: &mut Report| report.document = in_force(4, wanted.digest);
    let mut watcher = Watcher::new(&node.name, node.public(), &wanted);
    watcher.after(&told(&node, 9, |_| {}));
    watcher.after(&told(&forger, 10, force));
    watcher.after(&told(&node, 8, force));
    assert!(watcher.pending());
    watcher.after(&told(&node, 10, force));
    assert!(!watcher.pending());
}

#[test]
fn what_is_in_force_already_needs_no_new_report() {
    let node = Node::new("box-1", 1);
    let wanted = wanted(&node, &[]);
    let mut watcher = Watcher::new(&node.name, node.public(), &wanted);
    watcher.before(&told(&node, 1, |r| r.document = in_force(4, wanted.digest)));
    assert!(!watcher.pending());
}
