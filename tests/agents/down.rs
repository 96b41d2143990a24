//! The stop of everything, in order, and how it ends.

use std::path::Path;

use skerry_tests::agents::PATIENCE;
use skerry_tests::{Node, Scratch, until};

/// Each says when it ends; the first two take their time.
const CHAIN: &str = r#"
agents:
  - { name: app, image: sensor, dependsOn: { web: started }, command: [/bin/sh, -c, "PROGRAM"] }
  - { name: web, image: sensor, dependsOn: { base: started }, command: [/bin/sh, -c, "PROGRAM"] }
  - { name: base, image: sensor, command: [/bin/sh, -c, "PROGRAM"] }
"#;
const PROGRAM: &str =
    "trap 'usleep 300000; echo ended; exit 0' TERM; echo up; while :; do usleep 50000; done";

fn chain(node: &Node) {
    node.apply(&CHAIN.replace("PROGRAM", PROGRAM));
    for name in ["base", "web", "app"] {
        let _ = node.until_line(name, |line| line == "up");
    }
}

fn ends(node: &Node) -> [i64; 3] {
    ["app", "web", "base"].map(|name| {
        let history = node.inspect(name)["history"].clone();
        assert_eq!(history[0]["why"], "down", "{name}: {history}");
        history[0]["finishedAtMs"].as_i64().unwrap()
    })
}

#[test]
fn under_a_service_manager_everything_stops_in_order_and_stays_so() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").env("SKERRY_SUPERVISED", "1").start();
    node.with_sensor(&scratch);
    chain(&node);
    let said = node.cli(["down"]).ok().stdout;
    assert!(said.contains("skerry up"), "{said}");
    assert_eq!(scratch.contained(), Vec::<u32>::new());
    let [app, web, base] = ends(&node);
    assert!(app + 250 <= web && web + 250 <= base, "dependents end first: {app} {web} {base}");
    assert_eq!(node.cli(["status", "--format", "json"]).ok().json()["down"], true);

    node.restart();
    let again = node.cli(["down"]).ok().stdout;
    assert!(again.contains("stopped"), "to ask twice does no harm: {again}");
    let _ = node.until_state("app", "stopped");
    let _ = node.cli(["up"]).ok();
    for name in ["base", "web", "app"] {
        let _ = node.until_state(name, "running");
    }
}

#[test]
fn alone_the_node_ends_and_its_next_start_brings_everything_back() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    chain(&node);
    let said = node.cli(["down"]).ok().stdout;
    assert!(said.contains("the node has ended"), "{said}");
    assert_eq!(scratch.contained(), Vec::<u32>::new());
    let status = until("the node's process ends", PATIENCE, || node.ended());
    assert!(status.success(), "{status}");
    let gone = node.cli(["ps"]).refused();
    assert!(gone.stderr.contains("the node is not running"), "{gone}");
    node.restart();
    let _ = node.until_state("app", "running");
}

#[test]
fn who_takes_too_long_is_named_and_the_node_goes_on_with_it() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").env("SKERRY_SUPERVISED", "1").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: deaf, image: sensor, stop: {grace: 3s}, command: [/bin/sh, -c, \
          'trap \"\" TERM; echo up; while :; do usleep 50000; done']}",
    );
    let _ = node.until_line("deaf", |line| line == "up");
    let late = node.cli(["down", "--timeout", "500ms"]).refused();
    assert!(late.stderr.contains("not everything has stopped within 500ms"), "{late}");
    let _ = node.until_state("deaf", "stopped");
}

const POD: &str = r#"
agents:
  - { name: one, image: sensor, pod: web }
  - { name: two, image: sensor, pod: web, dependsOn: { one: started } }
"#;

/// What is mounted below the node's folder.
fn mounted(node: &Node) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| Path::new(point).starts_with(node.folder())).map(str::to_owned).collect()
}

#[test]
fn pods_are_taken_down_with_their_agents_and_the_log_says_what_became_of_them() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(POD);
    let _ = node.until_state("two", "running");
    assert!(!mounted(&node).is_empty(), "a pod is pinned to files");
    let _ = node.cli(["down"]).ok();
    assert_eq!(mounted(&node), Vec::<String>::new(), "at the answer, not at the next start");
    assert_eq!(std::fs::read_dir(node.folder().join("run/pods")).unwrap().count(), 0);
    let _ = until("the node's process ends", PATIENCE, || node.ended());
    let log = node.log();
    assert!(log.contains("everything is stopped"), "{log}");
    assert!(!log.contains("agents go on"), "{log}");

    node.restart();
    let one = node.until_state("one", "running");
    let _ = node.until_state("two", "running");
    assert_eq!(node.inside("two", "hostname"), "web", "{one}");
    let _ = node.stop();
    assert!(node.log().contains("agents go on"), "they do, after anything but a down");
}
