//! Agents that misbehave: they log without end, fork without end, will not end, or end at once.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use skerry_tests::agents::{PATIENCE, lives};
use skerry_tests::{Node, Scratch, until};

fn node(scratch: &Scratch) -> Node {
    let node = Node::setup(scratch, "box").env("SKERRY_LOG", "info").start();
    node.with_sensor(scratch);
    node
}

/// Processor time of a process so far, in milliseconds.
fn cpu_ms(pid: u64) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<u64>().unwrap();
    (ticks(11) + ticks(12)) * 10
}

fn private_kib(pid: u64) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let of = |key: &str| {
        let line = rollup.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    of("Private_Clean:") + of("Private_Dirty:")
}

#[test]
fn one_that_logs_without_end_fills_neither_disk_nor_memory() {
    let scratch = Scratch::new();
    let node = node(&scratch);
    let line = "0123456789".repeat(10);
    node.apply(&format!(
        "{{name: loud, image: sensor, command: [/bin/busybox, yes, '{line}'], \
           resources: {{limits: {{memory: 16Mi}}}}}}"
    ));
    let _ = node.until_state("loud", "running");
    let pid = node.pid_of("loud");
    let monitor = node.inspect("loud")["monitorPid"].as_u64().unwrap();
    let logs = node.folder().join("state/logs/loud");
    let written = |monitor: u64| {
        let io = fs::read_to_string(format!("/proc/{monitor}/io")).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let (begun, node_before, cpu_before) =
        (Instant::now(), cpu_ms(node.pid().into()), cpu_ms(monitor));
    let before = written(monitor);
    until("a hundred megabytes are logged, or dropped by a limit", Duration::from_secs(60), || {
        let size: u64 = fs::read_dir(&logs)
            .unwrap()
            .flatten()
            .filter_map(|e| Some(e.metadata().ok()?.len()))
            .sum();
        assert!(size <= (3 << 20) + (256 << 10), "rotation holds: {size} bytes");
        (written(monitor) - before > 100 << 20 || begun.elapsed() > Duration::from_secs(20))
            .then_some(())
    });
    let (time, kib) = (begun.elapsed(), private_kib(monitor));
    let (node_cpu, monitor_cpu) =
        (cpu_ms(node.pid().into()) - node_before, cpu_ms(monitor) - cpu_before);
    let mib = (written(monitor) - before) >> 20;
    println!(
        "{mib} MiB in {} ms; monitor {monitor_cpu} ms of processor, {kib} KiB private; node {node_cpu} ms",
        time.as_millis()
    );
    assert!(kib < 4096, "the monitor's memory is bounded: {kib} KiB");
    assert!(
        u128::from(node_cpu) < time.as_millis() / 4 + 100,
        "the node has no part in it: {node_cpu} ms"
    );
    assert_eq!(node.pid_of("loud"), pid);
    let _ = node.cli(["stop", "loud"]).ok();
    assert!(!lives(pid));
}

#[test]
fn one_that_forks_without_end_meets_its_limit_and_all_of_it_is_stopped() {
    let scratch = Scratch::new();
    let node = node(&scratch);
    let _ = node.cli(["run", "--name", "calm", "sensor"]).ok();
    let calm = node.pid_of("calm");
    node.apply(
        "{name: bomb, image: sensor, resources: {limits: {pids: 64}}, stop: {grace: 1s}, \
          command: [/bin/sh, -c, 'b() { while :; do sleep 1000 & done; }; \
                    while :; do (b) 2>/dev/null; (b) 2>/dev/null & done & \
                    while :; do sleep 1000; done']}",
    );
    node.until("it is at its limit", PATIENCE, |node| {
        let _ = node.agent("bomb")?;
        (scratch.contained().len() >= 60).then_some(())
    });
    assert_eq!(node.pid_of("calm"), calm);
    let _ = node.cli(["stop", "bomb"]).ok();
    let left: Vec<u64> = scratch.contained().into_iter().map(u64::from).collect();
    assert_eq!(left, [calm], "nothing of it is left");
}

#[test]
fn one_that_ignores_sigterm_is_killed_after_its_grace_and_not_before() {
    let scratch = Scratch::new();
    let node = node(&scratch);
    node.apply(
        "{name: deaf, image: sensor, stop: {grace: 2s}, \
          command: [/bin/sh, -c, 'trap \"\" TERM; echo ready; while :; do sleep 1; done']}",
    );
    let _ = node.until_state("deaf", "running");
    node.until("it is deaf", PATIENCE, |node| {
        node.lines_of("deaf").contains(&"ready".to_owned()).then_some(())
    });
    let pid = node.pid_of("deaf");
    let begun = Instant::now();
    let _ = node.cli(["stop", "deaf"]).ok();
    let took = begun.elapsed();
    assert!(!lives(pid));
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn two_hundred_that_end_at_once_each_leave_their_exit_code() {
    let scratch = Scratch::new();
    let node = node(&scratch);
    for round in 0..10 {
        let mut agents = String::from("agents:\n");
        for at in 0..20 {
            let code = round * 20 + at;
            writeln!(
                agents,
                "  - {{name: brief-{at}, image: sensor, restart: never, \
                   command: [/bin/sh, -c, 'exit {code}']}}"
            )
            .unwrap();
        }
        node.apply(&agents);
        node.until("each has left its code", Duration::from_secs(60), |node| {
            let list = node.cli(["ps", "-a", "--format", "json"]).ok().json();
            let done = list.as_array()?.iter().filter(|agent| {
                let at: i64 = agent["name"].as_str().unwrap()[6..].parse().unwrap();
                agent["exit"]["code"].as_i64() == Some(round * 20 + at)
            });
            (done.count() == 20).then_some(())
        });
    }
}
