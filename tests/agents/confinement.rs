//! What an agent can't do and can't see, asked of the kernel from both sides.

use std::fs;

use serde_json::Value;
use skerry_tests::agents::PATIENCE;
use skerry_tests::{Node, Scratch};

const EPERM: u64 = 1;

#[test]
fn forbidden_calls_are_refused_by_the_kernel() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let run = ["run", "--name", "bold", "--restart", "never", "sensor", "--touch-forbidden"];
    let _ = node.cli(run).ok();
    let line = node.until("its report", PATIENCE, |node| node.lines_of("bold").pop());
    let report: Value = serde_json::from_str(&line).unwrap();
    // As in docker, ptrace among its own processes is allowed.
    for call in ["mount", "unshare"] {
        assert_eq!(report[format!("{call}_errno")], EPERM, "{call}: {report}");
    }
    assert_eq!(report["seccomp_mode"], 2, "a filter is in force: {report}");
    assert_eq!(report["no_new_privs"], 1, "{report}");
}

#[test]
fn an_agent_has_no_power_and_a_world_of_its_own() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "alone", "sensor"]).ok();
    let _ = node.cli(["run", "--name", "other", "sensor"]).ok();
    let pid = node.pid_of("alone");

    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let inside = node.cli(["exec", "alone", "/bin/cat", "/proc/self/status"]).ok().stdout;
    for (whose, status) in [("the agent", &status), ("a command in it", &inside)] {
        let field = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_default().trim().to_owned()
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{whose}: {set}");
        }
        assert_eq!(field("NoNewPrivs:"), "1", "{whose}");
        assert_eq!(field("Seccomp:"), "2", "{whose}");
    }
    let other = node.pid_of("other");
    for kind in ["pid", "mnt", "uts", "ipc", "net", "cgroup"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_ne!(of(&pid.to_string()), of("self"), "{kind} namespace");
        assert_ne!(of(&pid.to_string()), of(&other.to_string()), "{kind} namespace");
    }
    the_world_inside_is_small(&node);
}

fn the_world_inside_is_small(node: &Node) {
    let sh = |line: &str| node.cli(["exec", "alone", "/bin/sh", "-c", line]);
    let refused = sh("touch /anything").refused();
    assert!(refused.stderr.contains("Read-only"), "{refused}");
    let _ = sh("touch /bin/anything").refused();
    let _ = sh("touch /tmp/mine && touch /run/mine").ok();
    assert_eq!(sh("hostname").ok().stdout.trim(), "alone");
    let _ = sh("kill -0 1").ok();
    let processes = sh("ls -d /proc/[0-9]*").ok().stdout;
    assert!(processes.lines().count() <= 4, "only its own processes: {processes}");
    let devices = sh("cat /proc/net/dev").ok().stdout;
    let names: Vec<_> = devices.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert_eq!(names.iter().map(|name| name.trim()).collect::<Vec<_>>(), ["lo"]);
    let flags = sh("cat /sys/class/net/lo/flags").ok().stdout;
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap();
    assert_eq!(flags & 1, 1, "lo is up");
    let _ = sh("echo 1 > /proc/sys/kernel/hostname").refused();
    let _ = sh("echo b > /proc/sysrq-trigger").refused();
    let _ = sh("cat /proc/kcore > /dev/null && test -s /proc/kcore").refused();
}
