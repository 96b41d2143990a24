//! Somebody moves an agent out of its control group, or removes the group.

use std::fs;
use std::path::{Path, PathBuf};

use skerry_tests::agents::lives;
use skerry_tests::{Node, Scratch};

use super::{PATIENCE, trouble, until_trouble, until_well};

fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// An agent with limits, and its folder with the memory limit.
fn limited(scratch: &Scratch) -> (Node, u64, PathBuf) {
    let node = Node::setup(scratch, "box").start();
    node.with_sensor(scratch);
    let _ = node.cli(["run", "--name", "one", "-m", "32Mi", "--cpus", "500m", "sensor"]).ok();
    let pid = node.pid_of("one");
    let seen = node.inspect("one");
    let folders = seen["cgroups"].as_array().unwrap().iter();
    let mut folders = folders.map(|folder| PathBuf::from(folder.as_str().unwrap()));
    let memory = folders.find(|folder| is_v2() || folder.starts_with("/sys/fs/cgroup/memory"));
    (node, pid, memory.unwrap())
}

/// Moves all that is in a group to the root of its hierarchy.
fn move_out(folder: &Path) {
    let root = if is_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
    let root =
        if folder.starts_with("/sys/fs/cgroup/devices") { "/sys/fs/cgroup/devices" } else { root };
    for pid in pids(folder) {
        fs::write(Path::new(root).join("cgroup.procs"), pid.to_string()).unwrap();
    }
    assert!(pids(folder).is_empty());
}

fn pids(folder: &Path) -> Vec<u64> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn limit(folder: &Path) -> String {
    let file = if is_v2() { "memory.max" } else { "memory.limit_in_bytes" };
    fs::read_to_string(folder.join(file)).unwrap_or_default().trim().to_owned()
}

#[test]
fn an_agent_that_was_moved_out_of_its_group_is_put_back() {
    let scratch = Scratch::new();
    let (node, pid, folder) = limited(&scratch);
    move_out(&folder);
    let told = until_trouble(&node, "cgroup");
    assert!(told["what"].as_str().unwrap().contains("put back"), "{told}");
    assert!(pids(&folder).contains(&pid));
    until_well(&node);
    assert_eq!(node.pid_of("one"), pid, "no restart for that");
    assert_eq!(limit(&folder), (32 << 20).to_string());
}

#[test]
fn a_group_that_was_removed_is_made_again_and_no_limit_is_lost() {
    let scratch = Scratch::new();
    let (node, pid, folder) = limited(&scratch);
    move_out(&folder);
    fs::remove_dir(&folder).unwrap();
    // The removal itself wakes the node: nobody has to ask.
    node.until("the limit holds again", PATIENCE, |_| {
        (!pids(&folder).is_empty() && limit(&folder) == (32 << 20).to_string()).then_some(())
    });
    node.until("it runs", PATIENCE, |node| {
        let agent = node.agent("one")?;
        (agent["state"] == "running").then_some(())
    });
    if is_v2() {
        // With the group its rules for devices went as well.
        assert_ne!(node.pid_of("one"), pid);
    } else {
        assert_eq!(node.pid_of("one"), pid);
    }
    until_well(&node);
}

#[test]
fn an_agent_whose_rules_for_devices_were_removed_is_run_anew() {
    if is_v2() {
        // There is one group, and the test above removes it.
        return;
    }
    let scratch = Scratch::new();
    let (node, pid, folder) = limited(&scratch);
    let devices = Path::new("/sys/fs/cgroup/devices")
        .join(folder.strip_prefix("/sys/fs/cgroup/memory").unwrap());
    move_out(&devices);
    fs::remove_dir(&devices).unwrap();
    let _ = node.until_agent("one", "runs anew", |agent| {
        agent["state"] == "running" && agent["pid"].as_u64() != Some(pid)
    });
    assert!(!lives(pid));
    assert!(node.log().contains("was removed"), "{}", node.log());
    node.until("it is over", PATIENCE, |node| trouble(node, "cgroup").is_none().then_some(()));
}
