//! The node's process is killed again and again while a job runs by a schedule: no run is started
//! twice beyond its retries, whatever step was cut.

use std::collections::BTreeMap;
use std::time::Duration;

use skerry_tests::dice::Dice;
use skerry_tests::{Node, Scratch};

const KILLS: u32 = 25;

/// How often each run was started, by what the runs have printed.
fn starts(node: &Node) -> BTreeMap<String, u32> {
    let mut starts = BTreeMap::new();
    let lines = node.lines_of("tick");
    for id in lines.iter().filter_map(|line| line.strip_prefix("run ")) {
        *starts.entry(id.to_owned()).or_default() += 1;
    }
    starts
}

/// Kills the node at random moments while a job of that kind runs each second, and returns how often
/// each of its runs was started.
fn under_fire(retries: u32, code: u32) -> BTreeMap<String, u32> {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(&format!(
        "{{name: tick, image: sensor, \
           job: {{schedule: '@every 1s', retries: {retries}}}, \
           restartBackoff: {{initial: 50ms, max: 100ms}}, \
           command: [/bin/sh, -c, 'echo run $SKERRY_EXECUTION_ID; exit {code}']}}"
    ));
    let seed = skerry_tests::dice::seed();
    let mut dice = Dice::new(seed, 0);
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(dice.below(1200)));
        node.restart();
    }
    let before = starts(&node).len();
    node.until("the schedule goes on", Duration::from_secs(30), |node| {
        (starts(node).len() >= before + 3).then_some(())
    });
    let starts = starts(&node);
    println!("{} runs, {} starts, {KILLS} kills", starts.len(), starts.values().sum::<u32>());
    starts
}

#[test]
fn a_run_that_succeeds_is_started_once() {
    let starts = under_fire(0, 0);
    assert!(starts.len() > 5, "{starts:?}");
    assert!(starts.values().all(|times| *times == 1), "{starts:?}");
}

#[test]
fn a_run_that_fails_is_started_no_more_often_than_its_retries_allow() {
    let starts = under_fire(2, 1);
    assert!(starts.len() > 3, "{starts:?}");
    assert!(starts.values().all(|times| *times <= 3), "{starts:?}");
    assert!(starts.values().any(|times| *times > 1), "retries happen: {starts:?}");
}
