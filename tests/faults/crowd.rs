//! Five hundred agents on one node.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use skerry_tests::site::status;
use skerry_tests::{Node, Scratch};

const CROWD: usize = 500;
/// On two busy cores, with programs that are not optimised.
const LONG: Duration = Duration::from_secs(400);

fn pss_kib(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

fn running(node: &Node) -> u64 {
    status(node)["agents"]["running"].as_u64().unwrap_or(0)
}

#[test]
fn five_hundred_agents_start_are_told_of_outlive_the_node_and_stop() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").env("SKERRY_LOG", "info").start();
    node.with_sensor(&scratch);
    let alone = pss_kib(node.pid());
    let mut agents = String::from("agents:\n");
    for at in 0..CROWD {
        writeln!(agents, "  - {{name: a{at}, image: sensor, command: [/bin/sleep, '100000']}}")
            .unwrap();
    }
    let file = scratch.file("crowd.yaml", agents).to_string_lossy().into_owned();
    let begun = Instant::now();
    let _asking = node.cli_start("apply", ["apply", "-f", &file]);
    node.until("all run", LONG, |node| (running(node) == CROWD as u64).then_some(()));
    let started = begun.elapsed();

    let begun = Instant::now();
    let list = node.cli(["ps", "-a", "--format", "json"]).ok().json();
    let told = begun.elapsed();
    assert_eq!(list.as_array().unwrap().len(), CROWD);
    let begun = Instant::now();
    let seen = status(&node);
    let asked = begun.elapsed();
    assert!(seen["troubles"].is_null(), "{seen}");
    assert!(
        told < Duration::from_secs(10) && asked < Duration::from_secs(10),
        "{told:?} {asked:?}"
    );
    let crowded = pss_kib(node.pid());
    let open = fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap().count();
    let pids = |node: &Node| {
        let list = node.cli(["ps", "-a", "--format", "json"]).ok().json();
        let pid = |agent: &serde_json::Value| agent["pid"].as_u64();
        list.as_array().unwrap().iter().map(pid).collect::<Option<Vec<_>>>()
    };
    let before = pids(&node).expect("each has a process");

    let begun = Instant::now();
    node.restart();
    node.until("all are adopted", LONG, |node| (running(node) == CROWD as u64).then_some(()));
    let adopted = begun.elapsed();
    assert_eq!(pids(&node).as_ref(), Some(&before), "the same processes");
    let limit = fs::read_to_string(format!("/proc/{}/limits", before[0])).unwrap();
    let limit = limit.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();

    let begun = Instant::now();
    let _asking = node.cli_start("down", ["down"]);
    node.until("all have ended", LONG, |_| scratch.contained().is_empty().then_some(()));
    let stopped = begun.elapsed();
    println!(
        "{CROWD} agents: started in {started:?}, ps {told:?}, status {asked:?}, adopted in {adopted:?}, \
         stopped in {stopped:?}; node PSS {alone} KiB alone, {crowded} KiB with them; {open} descriptors; \
         an agent has: {limit}"
    );
    assert!(crowded < 96 * 1024, "the node's memory is bounded: {crowded} KiB");
    assert!(open < 4 * CROWD, "and its descriptors: {open}");
}
