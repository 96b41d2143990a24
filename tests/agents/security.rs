//! What an agent may do to the machine, as it is found from inside.

use std::fs;

use serde_json::json;
use skerry_tests::{Node, Scratch};

fn status(node: &Node, name: &str, field: &str) -> String {
    let pid = node.pid_of(name);
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{field}:"))).unwrap();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn users_groups_and_capabilities_are_those_of_the_spec() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let wish = json!({"agents": [
        {"name": "plain", "image": "sensor"},
        {"name": "one", "image": "sensor", "security": {
            "runAsUser": 1000, "runAsGroup": 100, "supplementalGroups": [20, 21],
            "capabilities": {"add": ["NET_RAW", "CAP_CHOWN", "KILL"], "drop": ["KILL"]}}},
    ]});
    node.apply(&wish.to_string());
    let _ = (node.until_state("plain", "running"), node.until_state("one", "running"));
    assert_eq!(status(&node, "plain", "CapBnd"), "0000000000000000");
    assert_eq!(status(&node, "one", "Uid"), "1000 1000 1000 1000");
    assert_eq!(status(&node, "one", "Gid"), "100 100 100 100");
    assert_eq!(status(&node, "one", "Groups"), "20 21");
    // CHOWN is 0, NET_RAW is 13.
    assert_eq!(status(&node, "one", "CapEff"), "0000000000002001");
}

#[test]
fn root_privileges_and_filters_are_as_they_are_asked_for() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18}]});
    let wish = json!({"agents": [
        {"name": "plain", "image": "sensor"},
        {"name": "loose", "image": "sensor", "security": {"seccomp": "unconfined",
            "noNewPrivileges": false, "readOnlyRootFilesystem": false}},
        {"name": "own", "image": "sensor", "security": {"seccomp": profile}},
    ]});
    node.apply(&wish.to_string());
    for name in ["plain", "loose", "own"] {
        let _ = node.until_state(name, "running");
    }
    assert_eq!(
        (status(&node, "plain", "NoNewPrivs"), status(&node, "plain", "Seccomp")),
        ("1".into(), "2".into())
    );
    assert_eq!(
        (status(&node, "loose", "NoNewPrivs"), status(&node, "loose", "Seccomp")),
        ("0".into(), "0".into())
    );
    let write = "echo x > /file 2>/dev/null && echo written || echo refused";
    assert_eq!(node.inside("plain", write), "refused");
    assert_eq!(node.inside("loose", write), "written");
    let make = "busybox mkdir /tmp/folder 2>&1 || true";
    assert_eq!(node.inside("plain", make), "");
    assert!(
        node.inside("own", make).contains("Invalid cross-device link"),
        "errno 18 of the profile"
    );
}

#[test]
fn limits_of_processes_parameters_and_paths_are_set() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let wish = json!({"name": "one", "image": "sensor", "security": {
        "rlimits": {"nofile": {"soft": 77, "hard": 99}, "core": {"soft": 0, "hard": 0}},
        "sysctls": {"net.ipv4.ip_unprivileged_port_start": "80", "kernel.msgmax": "4096"},
        "maskedPaths": ["/proc/version"], "readonlyPaths": ["/proc/sys"]}});
    node.apply(&wish.to_string());
    let _ = node.until_state("one", "running");
    let pid = node.pid_of("one");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let open = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = open.split_whitespace().collect();
    assert_eq!(&words[3..5], ["77", "99"], "{open}");
    let read = |path: &str| node.inside("one", &format!("cat {path}"));
    assert_eq!(read("/proc/sys/net/ipv4/ip_unprivileged_port_start"), "80");
    assert_eq!(read("/proc/sys/kernel/msgmax"), "4096");
    assert_eq!(read("/proc/version"), "", "it is masked");
}

#[test]
fn a_device_is_there_with_the_rights_that_were_given() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    // The terminal of a virtual console: root may open it without any capability.
    for (name, allowed) in [("reads", "r"), ("writes", "w")] {
        let device = format!("/dev/tty63:/dev/console-of-mine:{allowed}");
        let _ = node.cli(["run", "--name", name, "--device", &device, "sensor"]).ok();
    }
    let can = |name: &str, what: &str| {
        node.inside(name, &format!("({what}) 2>/dev/null && echo yes || echo no"))
    };
    let (reads, writes) = (": < /dev/console-of-mine", ": > /dev/console-of-mine");
    assert_eq!((can("reads", reads), can("reads", writes)), ("yes".into(), "no".into()));
    assert_eq!((can("writes", reads), can("writes", writes)), ("no".into(), "yes".into()));
    node.apply("{name: none, image: sensor, security: {devices: [{path: /dev/no-such}]}}");
    let _ = node.until_agent("none", "lacks its device", |agent| {
        agent["detail"].as_str().is_some_and(|detail| detail.contains("security.devices[0].path"))
    });
}

#[test]
fn in_a_user_namespace_root_is_nobody_on_the_host() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    for name in ["a", "b"] {
        let words = ["run", "--name", name, "--userns", "auto", "-v", "shared:/data", "sensor"];
        let _ = node.cli(words).ok();
    }
    assert_eq!(node.inside("a", "id -u"), "0");
    let uid =
        |name: &str| status(&node, name, "Uid").split(' ').next().unwrap().parse::<u32>().unwrap();
    let (a, b) = (uid("a"), uid("b"));
    assert!(a >= 0x1000_0000 && b >= 0x1000_0000 && a.abs_diff(b) >= 65_536, "{a} {b}");
    assert_eq!(node.inside("a", "echo x > /data/file && echo written"), "written");
    assert_eq!(node.inside("b", "busybox stat -c '%u' /data/file"), "0", "each sees its own root");
    let _ = node.cli(["restart", "a"]).ok();
    assert_eq!(uid("a"), a, "it keeps its range");
}

#[test]
fn who_may_be_as_strong_as_root_is_the_node_s_policy() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let refused = node.cli(["run", "--name", "root", "--privileged", "sensor"]).refused();
    assert!(refused.stderr.contains("policy.privileged"), "{refused}");
    let mut node = node.reconfigured("policy.privileged", true);
    node.restart();
    let _ = node.cli(["run", "--name", "root", "--privileged", "sensor"]).ok();
    let all = status(&node, "root", "CapEff");
    assert!(u64::from_str_radix(&all, 16).unwrap().count_ones() > 30, "{all}");
    assert_eq!(status(&node, "root", "Seccomp"), "0");
    assert_eq!(status(&node, "root", "NoNewPrivs"), "1", "as for everybody, unless it is said");
    node.apply("{name: free, image: sensor, security: {privileged: true, noNewPrivileges: false}}");
    let _ = node.until_state("free", "running");
    assert_eq!(status(&node, "free", "NoNewPrivs"), "0");
}

#[test]
fn the_network_is_its_own_or_the_host_s() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "own", "sensor"]).ok();
    let _ = node.cli(["run", "--name", "host", "--network", "host", "sensor"]).ok();
    let space = |pid: u64| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let ours = space(u64::from(std::process::id()));
    assert_eq!(space(node.pid_of("host")), ours);
    assert_ne!(space(node.pid_of("own")), ours);
    assert_eq!(node.inside("own", "ls /sys/class/net"), "lo");
    let bridge = node.cli(["run", "--network", "bridge", "sensor"]).refused();
    assert!(bridge.stderr.contains("does not exist yet"), "{bridge}");
}
