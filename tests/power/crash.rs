//! One process dies: the node, or a monitor.

use rustix::process::{Pid, Signal, kill_process};
use skerry_tests::agents::{PATIENCE, lives, sequence};
use skerry_tests::{Node, Scratch, until};

fn kill(pid: u64) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn agents_outlive_a_killed_node() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "fast", "-e", "INTERVAL=5ms", "sensor"]).ok();
    node.apply(
        "{name: brief, image: sensor, restart: never, \
         command: [/bin/sh, -c, 'sleep 2; echo last words; exit 7']}",
    );
    let _ = node.until_state("brief", "running");
    let (fast, brief) = (node.pid_of("fast"), node.pid_of("brief"));

    node.kill9();
    until("brief ends while no node runs", PATIENCE, || (!lives(brief)).then_some(()));
    assert!(lives(fast));
    node.restart();

    assert_eq!(node.pid_of("fast"), fast, "adopted, not started anew");
    let ended = node.until_state("brief", "failed");
    assert_eq!(ended["exit"]["code"], 7, "{ended}");
    assert_eq!(node.lines_of("brief"), ["last words"]);
    let before = sequence(&node.lines_of("fast")).len();
    let seen = node.until("more lines", PATIENCE, |node| {
        let seen = sequence(&node.lines_of("fast"));
        (seen.len() > before + 20).then_some(seen)
    });
    let whole: Vec<u64> = (0..u64::try_from(seen.len()).unwrap()).collect();
    assert_eq!(seen, whole, "no line is missing, none is there twice");

    let _ = node.cli(["exec", "fast", "/bin/true"]).ok();
    let _ = node.cli(["stop", "fast"]).ok();
    assert!(!lives(fast), "what was adopted can be stopped");
}

#[test]
fn agents_outlive_a_node_that_is_stopped() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let _ = node.cli(["run", "--name", "two", "sensor"]).ok();
    let _ = node.cli(["stop", "two"]).ok();
    let pid = node.pid_of("one");
    assert!(node.stop().success());
    assert!(lives(pid));
    node.restart();
    assert_eq!(node.pid_of("one"), pid);
    assert_eq!(node.agent("two").unwrap()["state"], "stopped", "stopped stays stopped");
}

#[test]
fn an_agent_whose_monitor_dies_is_run_anew_and_leaves_no_orphan() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let first = node.pid_of("one");
    orphaned(&node, first);
    let second = node.pid_of("one");
    assert!(!lives(first), "the orphan does not stay");
    let only = scratch.contained();
    assert_eq!(only.iter().map(|pid| u64::from(*pid)).collect::<Vec<_>>(), [second]);
}

#[test]
fn an_agent_whose_monitor_died_with_the_node_is_run_anew() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let first = node.pid_of("one");
    let monitor = node.inspect("one")["monitorPid"].as_u64().unwrap();
    node.kill9();
    kill(monitor);
    node.restart();
    runs_anew(&node, first);
    assert_eq!(scratch.contained().len(), 1);
}

fn orphaned(node: &Node, first: u64) {
    kill(node.inspect("one")["monitorPid"].as_u64().unwrap());
    runs_anew(node, first);
}

fn runs_anew(node: &Node, first: u64) {
    let anew = move |agent: &serde_json::Value| {
        agent["state"] == "running" && agent["pid"].as_u64() != Some(first)
    };
    let _ = node.until_agent("one", "runs anew", anew);
    assert!(!lives(first));
}
