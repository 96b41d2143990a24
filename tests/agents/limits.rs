//! Limits are in the kernel, and what happens beyond them is told.

use std::fs;
use std::path::Path;
use std::time::Instant;

use skerry_tests::agents::{PATIENCE, lives};
use skerry_tests::{Node, Scratch};

const MEMORY: u64 = 32 << 20;

#[test]
fn limits_are_in_force_in_the_kernel_and_told_as_read_back() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let flags = ["-m", "32Mi", "--cpus", "500m", "--pids-limit", "7"];
    let _ = node.cli([&["run", "--name", "one"], &flags[..], &["sensor"]].concat()).ok();

    let detail = node.inspect("one");
    let told = &detail["limitsInForce"];
    assert_eq!(told["memory"], "32Mi", "{told}");
    assert_eq!(told["cpu"], "500m", "{told}");
    assert_eq!(told["pids"], 7, "{told}");

    let groups: Vec<_> =
        detail["cgroups"].as_array().unwrap().iter().filter_map(|group| group.as_str()).collect();
    let read = |names: &[&str]| {
        let files = groups.iter().flat_map(|g| names.iter().map(|name| Path::new(*g).join(name)));
        let found = files.filter_map(|file| fs::read_to_string(file).ok()).next();
        found.unwrap_or_else(|| panic!("none of {names:?} in {groups:?}")).trim().to_owned()
    };
    assert_eq!(read(&["memory.limit_in_bytes", "memory.max"]), MEMORY.to_string());
    assert_eq!(read(&["pids.max"]), "7");
    let share = read(&["cpu.cfs_quota_us", "cpu.max"]);
    let mut words = share.split_whitespace();
    let quota: u64 = words.next().unwrap().parse().unwrap();
    let period = words.next().map_or_else(|| read(&["cpu.cfs_period_us"]), str::to_owned);
    assert_eq!(quota * 2, period.parse::<u64>().unwrap(), "half a core");

    let pid = node.pid_of("one");
    let inside = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(inside.contains(scratch.cgroup()), "the agent is in its cgroup: {inside}");
}

#[test]
fn one_that_takes_too_much_memory_is_told_so_and_backs_off() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "hog", "-m", "16Mi", "sensor", "--hog-memory", "64M"]);

    let ended = node.until_agent("hog", "was killed", |agent| agent["exit"]["oomKilled"] == true);
    let detail = ended["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("memory"), "the reason is told in words: {ended}");
    let restarted = |count: u64| {
        let enough = move |agent: &serde_json::Value| agent["restarts"].as_u64() >= Some(count);
        let _ = node.until_agent("hog", &format!("was started again {count} times"), enough);
        Instant::now()
    };
    let times = [restarted(1), restarted(2), restarted(3)];
    let gap = |a: usize, b: usize| (times[b] - times[a]).as_millis();
    // The waits double from half a second on; looks at the node take their time.
    assert!(gap(0, 1) >= 800 && gap(1, 2) >= 1700, "{} ms, {} ms", gap(0, 1), gap(1, 2));
}

#[test]
fn no_more_processes_than_allowed() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "few", "--pids-limit", "4", "sensor"]).ok();
    let pid = node.pid_of("few");
    let fork = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait";
    let fork = node.cli(["exec", "few", "/bin/sh", "-c", fork]);
    assert!(fork.stderr.contains("fork"), "the kernel refuses: {fork}");
    assert!(lives(pid), "the agent itself goes on");
}

#[test]
fn a_limit_below_what_an_agent_uses_is_told_or_enforced_and_the_old_one_stays_shown() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let hog = |most: &str| {
        let limits = format!("resources: {{limits: {{memory: {most}}}}}");
        format!("{{name: hog, image: sensor, args: [--hog-memory, 24M], restart: never, {limits}}}")
    };
    node.apply(&hog("64Mi"));
    let _ = node.until_state("hog", "running");
    let groups = node.inspect("hog")["cgroups"].clone();
    let files = groups.as_array().unwrap().iter().filter_map(|group| group.as_str());
    let used = |name: &str| {
        let read = |group: &str| fs::read_to_string(Path::new(group).join(name)).ok();
        files.clone().find_map(read).and_then(|text| text.trim().parse::<u64>().ok())
    };
    node.until("it uses its memory", PATIENCE, |_| {
        let used = used("memory.usage_in_bytes").or_else(|| used("memory.current"));
        (used > Some(20 << 20)).then_some(())
    });
    node.apply(&hog("8Mi"));
    // Version 1 refuses such a limit; version 2 takes it, and kills who is above it.
    if used("memory.usage_in_bytes").is_some() {
        let told = node.until_agent("hog", "says why its limit is not lower", |agent| {
            let detail = agent["detail"].as_str().unwrap_or_default();
            detail.contains("cannot lower (the agent uses more than that now; restart it")
        });
        assert_eq!(told["state"], "running", "{told}");
        assert_eq!(node.inspect("hog")["limitsInForce"]["memory"], "64Mi");
    } else {
        let _ = node.until_agent("hog", "is killed", |agent| agent["exit"]["oomKilled"] == true);
    }
}
