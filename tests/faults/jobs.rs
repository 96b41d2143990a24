//! The node's process is killed again and again while a job runs by a schedule: no run is started
//! twice beyond its retries, whatever step was cut.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use skerry_tests::dice::Dice;
use skerry_tests::{Node, Scratch};

const KILLS: u32 = 25;

fn starts(folder: &std::path::Path) -> BTreeMap<String, u32> {
    let text = fs::read_to_string(folder.join("runs")).unwrap_or_default();
    let mut starts = BTreeMap::new();
    for id in text.lines().filter(|line| !line.is_empty()) {
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
    let folder = scratch.folder("out");
    node.apply(&format!(
        "{{name: tick, image: sensor, \
           job: {{schedule: '@every 1s', retries: {retries}}}, \
           restartBackoff: {{initial: 50ms, max: 100ms}}, \
           volumes: [{{type: bind, source: {}, target: /out}}], \
           command: [/bin/sh, -c, 'echo $SKERRY_EXECUTION_ID >> /out/runs; exit {code}']}}",
        folder.display()
    ));
    let seed = skerry_tests::dice::seed();
    let mut dice = Dice::new(seed, 0);
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(dice.below(1200)));
        node.restart();
    }
    let before = starts(&folder).len();
    node.until("the schedule goes on", Duration::from_secs(30), |_| {
        (starts(&folder).len() >= before + 3).then_some(())
    });
    let _ = node.cli(["rm", "-f", "tick"]).ok();
    let starts = starts(&folder);
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
