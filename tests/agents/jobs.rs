//! Jobs: when they run, how often they are tried, and what is remembered of it.

use std::time::Duration;

use serde_json::Value;
use skerry_tests::agents::PATIENCE;
use skerry_tests::{Node, Scratch};

/// The runs of a job that have ended, newest first, once there are so many.
fn ended(node: &Node, job: &str, count: usize) -> Vec<Value> {
    node.until(&format!("{count} ended runs of {job}"), PATIENCE, |node| {
        let job = node.cli(["jobs", job, "--format", "json"]);
        let job: Value = serde_json::from_str(&job.stdout).ok()?;
        let history = job["history"].as_array()?.clone();
        (history.len() >= count).then_some(history)
    })
}

#[test]
fn an_interval_runs_it_again_and_again_each_under_an_id_of_its_own() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: tick, image: sensor, command: [/bin/sh, -c, 'echo $SKERRY_EXECUTION_ID'], \
          job: {schedule: '@every 1s', history: 3}}",
    );
    let runs = ended(&node, "tick", 3);
    assert_eq!(runs.len(), 3, "no more are remembered than the job says");
    let id = |run: &Value| run["execution"].as_str().unwrap().to_owned();
    assert!(runs.iter().all(|run| run["outcome"] == "succeeded"), "{runs:?}");
    assert!(id(&runs[0]) != id(&runs[1]) && id(&runs[0]).starts_with("tick-"), "{runs:?}");
    let _ = node.until_line("tick", |line| line == id(&runs[0]));
    let listed = node.cli(["jobs"]).ok().stdout;
    assert!(listed.contains("@every 1s") && listed.contains("succeeded"), "{listed}");
    assert!(node.cli(["jobs", "none"]).refused().stderr.contains("no job"));
}

#[test]
fn a_run_that_fails_is_tried_again_under_the_same_id() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: flaky, image: sensor, restartBackoff: {initial: 10ms}, \
          command: [/bin/sh, -c, 'echo try $SKERRY_EXECUTION_ID; exit 7'], job: {retries: 2}}",
    );
    let run = ended(&node, "flaky", 1).remove(0);
    assert_eq!((&run["outcome"], &run["attempts"]), (&"failed".into(), &3.into()), "{run}");
    assert_eq!(run["exit"]["code"], 7);
    let lines = node.lines_of("flaky");
    let expected = format!("try {}", run["execution"].as_str().unwrap());
    assert_eq!(lines, [&expected, &expected, &expected].map(String::clone));
    assert_eq!(node.agent("flaky").unwrap()["state"], "gave-up");
    let history = node.inspect("flaky")["history"].clone();
    assert_eq!(history.as_array().unwrap().len(), 3, "{history}");
    assert_eq!(history[0]["execution"], run["execution"]);
}

#[test]
fn a_run_that_cannot_start_says_why() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply("{name: odd, image: sensor, job: {}, security: {devices: [{path: /dev/nope}]}}");
    let run = ended(&node, "odd", 1).remove(0);
    assert_eq!(run["outcome"], "failed", "{run}");
    assert!(run["message"].as_str().unwrap().contains("/dev/nope"), "{run}");
    let table = node.cli(["jobs", "odd"]).ok().stdout;
    assert!(table.contains("/dev/nope"), "{table}");
    let told = node.until_state("odd", "gave-up");
    assert!(told["detail"].as_str().unwrap().contains("'/dev/nope' is not"), "{told}");
}

#[test]
fn one_that_runs_once_does_not_run_again_by_itself_and_does_when_asked() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply("{name: setup, image: sensor, command: [/bin/echo, done], job: {}}");
    let first = ended(&node, "setup", 1);
    let _ = node.until_state("setup", "completed");
    node.restart();
    let _ = node.until_state("setup", "completed");
    node.apply("{name: other, image: sensor, command: [/bin/echo, done], job: {}}");
    let _ = ended(&node, "other", 1);
    assert_eq!(ended(&node, "setup", 1), first, "while another one ran, it did not");
    let _ = node.cli(["start", "setup"]).ok();
    let both = ended(&node, "setup", 2);
    assert_eq!(both[1], first[0]);
    assert_eq!(node.lines_of("setup"), ["done", "done"]);
}

const SLOW: &str = "command: [/bin/sh, -c, 'trap \"exit 0\" TERM; while :; do usleep 50000; done']";

#[test]
fn a_run_that_is_due_while_one_is_under_way_is_left_out() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(&format!("{{name: one, image: sensor, {SLOW}, job: {{schedule: '@every 1s'}}}}"));
    let first = node.until_state("one", "running")["pid"].as_u64();
    let skipped = ended(&node, "one", 1).remove(0);
    assert_eq!(skipped["outcome"], "skipped", "{skipped}");
    assert_eq!(node.agent("one").unwrap()["pid"].as_u64(), first);
}

#[test]
fn or_it_takes_its_place() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let job = "job: {schedule: '@every 2s', concurrency: replace}";
    node.apply(&format!("{{name: one, image: sensor, {SLOW}, {job}}}"));
    let first = node.until_state("one", "running");
    let ended = ended(&node, "one", 1).remove(0);
    assert_eq!(ended["outcome"], "superseded", "{ended}");
    assert_eq!(ended["execution"], first["execution"]);
    let _ = node.until_agent("one", "is another run", |agent| {
        agent["state"] == "running" && agent["execution"] != first["execution"]
    });
}

#[test]
fn or_they_run_side_by_side() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let job = "job: {schedule: '@every 1s', concurrency: allow}";
    node.apply(&format!("{{name: one, image: sensor, {SLOW}, {job}}}"));
    let first = node.until_state("one-0", "running");
    let second = node.until_state("one-1", "running");
    assert_eq!(node.agent("one-0").unwrap()["pid"], first["pid"]);
    assert_ne!(first["execution"], second["execution"]);
    let _ = node.cli(["rm", "-f", "one"]).ok();
    node.until("all its runs are gone", PATIENCE, |node| {
        (node.agent("one-0").is_none() && node.agent("one-1").is_none()).then_some(())
    });
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(&format!("{{name: one, image: sensor, {SLOW}, job: {{deadline: 1s, retries: 5}}}}"));
    let run = ended(&node, "one", 1).remove(0);
    assert_eq!((&run["outcome"], &run["attempts"]), (&"deadline".into(), &1.into()), "{run}");
    let history = node.inspect("one")["history"].clone();
    assert_eq!(history[0]["reason"], "deadline", "{history}");
}

#[test]
fn the_next_run_is_told_and_one_can_be_asked_for_before() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: nightly, image: sensor, command: [/bin/echo, done], \
          job: {schedule: '30 3 * * *'}}",
    );
    let waiting = node.until_state("nightly", "scheduled");
    assert!(waiting["nextRunMs"].as_i64().is_some(), "{waiting}");
    let table = node.cli(["ps"]).ok().stdout;
    assert!(table.contains("next in"), "{table}");
    let _ = node.cli(["start", "nightly"]).ok();
    let run = ended(&node, "nightly", 1).remove(0);
    assert_eq!(run["outcome"], "succeeded", "{run}");
    let after = node.until("it waits again", Duration::from_secs(10), |node| {
        node.agent("nightly").filter(|agent| agent["state"] == "scheduled")
    });
    assert_eq!(after["nextRunMs"], waiting["nextRunMs"], "its schedule is as before");
}
