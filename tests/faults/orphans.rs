//! What has no owner is swept, and nothing else is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::mount::mount_bind;
use skerry_tests::agents::{PATIENCE, lives};
use skerry_tests::{Node, Scratch, until};

/// A folder of a control group in the hierarchy in which processes are followed, made now.
pub fn group(path: &str) -> PathBuf {
    let path = path.trim_start_matches('/');
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let mount = if v2 { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    let folder = Path::new(mount).join(path);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A process in a group.
fn sleeper(group: &Path) -> Child {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(group.join("cgroup.procs"), child.id().to_string()).unwrap();
    child
}

fn has_ended(child: &mut Child) -> Option<()> {
    child.try_wait().unwrap().map(drop)
}

fn two_agents(scratch: &Scratch) -> (Node, u64, u64) {
    let node = Node::setup(scratch, "box").start();
    node.with_sensor(scratch);
    let _ = node.cli(["run", "--name", "steady", "sensor"]).ok();
    let _ = node.cli(["run", "--name", "lost", "sensor"]).ok();
    let pids = (node.pid_of("steady"), node.pid_of("lost"));
    (node, pids.0, pids.1)
}

fn runs_anew(node: &Node, steady: u64, lost: u64, monitor: u64) {
    let _ = node.until_agent("lost", "runs anew", |agent| {
        agent["state"] == "running" && agent["pid"].as_u64() != Some(lost)
    });
    until("its first process and its monitor are gone", PATIENCE, || {
        (!lives(lost) && !lives(monitor)).then_some(())
    });
    assert_eq!(node.pid_of("steady"), steady, "the other one runs on");
    assert!(node.log().contains("it had no owner"), "{}", node.log());
}

#[test]
fn an_agent_whose_run_folder_is_removed_under_the_node_is_ended_and_run_anew() {
    let scratch = Scratch::new();
    let (node, steady, lost) = two_agents(&scratch);
    let monitor = node.inspect("lost")["monitorPid"].as_u64().unwrap();
    fs::remove_dir_all(node.folder().join("run/agents/lost")).unwrap();
    runs_anew(&node, steady, lost, monitor);
}

#[test]
fn an_agent_whose_run_folder_is_gone_at_the_start_is_ended_and_run_anew() {
    let scratch = Scratch::new();
    let (mut node, steady, lost) = two_agents(&scratch);
    let monitor = node.inspect("lost")["monitorPid"].as_u64().unwrap();
    node.kill9();
    fs::remove_dir_all(node.folder().join("run/agents/lost")).unwrap();
    node.restart();
    runs_anew(&node, steady, lost, monitor);
}

#[test]
fn a_run_folder_that_does_not_say_whose_it_is_is_removed_with_what_lives_there() {
    for rubbish in [None, Some("{ not json")] {
        let scratch = Scratch::new();
        let (mut node, steady, lost) = two_agents(&scratch);
        let monitor = node.inspect("lost")["monitorPid"].as_u64().unwrap();
        node.kill9();
        let record = node.folder().join("run/agents/lost/agent.json");
        match rubbish {
            Some(text) => fs::write(&record, text).unwrap(),
            None => fs::remove_file(&record).unwrap(),
        }
        node.restart();
        runs_anew(&node, steady, lost, monitor);
    }
}

#[test]
fn groups_and_mounts_below_the_base_go_and_those_beside_it_stay() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "steady", "sensor"]).ok();
    let steady = node.pid_of("steady");
    node.kill9();

    let base = format!("{}/box", scratch.cgroup());
    let orphan = group(&format!("{base}/agents/orphan/below"));
    let beside = group(&format!("{base}/other"));
    let outside = group(&format!("{}/neighbour/agents/orphan", scratch.cgroup()));
    let (mut killed, mut kept) = (sleeper(&orphan), sleeper(&beside));
    let mut foreign = sleeper(&outside);
    let pod = scratch.folder("box/run/pods/old");
    let volume = scratch.folder("box/state/volumes/data");
    fs::write(pod.join("net"), "").unwrap();
    mount_bind("/proc/self/ns/net", pod.join("net")).unwrap();

    node.restart();
    until("what was in the orphan group has ended", PATIENCE, || has_ended(&mut killed));
    assert!(!orphan.exists() && !orphan.parent().unwrap().exists(), "the group is removed");
    assert!(!pod.exists(), "what a pod shared is removed, mount and all");
    assert!(volume.exists() && beside.exists() && outside.exists());
    assert!(has_ended(&mut kept).is_none() && has_ended(&mut foreign).is_none());
    assert_eq!(node.pid_of("steady"), steady);
    for child in [&mut kept, &mut foreign] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_monitor_whose_run_folder_is_gone_is_ended_and_one_of_another_node_is_not() {
    let scratch = Scratch::new();
    let (mut node, steady, lost) = two_agents(&scratch);
    let other = Node::setup(&scratch, "other").start();
    other.with_sensor(&scratch);
    let _ = other.cli(["run", "--name", "lost", "sensor"]).ok();
    let theirs = (other.pid_of("lost"), other.inspect("lost")["monitorPid"].as_u64().unwrap());
    let monitor = node.inspect("lost")["monitorPid"].as_u64().unwrap();
    node.kill9();
    fs::remove_dir_all(node.folder().join("run/agents")).unwrap();
    node.restart();
    until("everything of this node is run anew", PATIENCE, || {
        (!lives(lost) && !lives(steady) && !lives(monitor)).then_some(())
    });
    let _ = node.until_state("lost", "running");
    let _ = node.until_state("steady", "running");
    assert!(lives(theirs.0) && lives(theirs.1), "the neighbour's live on");
}
