//! The system gives no more processes: starts fail, are tried again, and leak nothing.

use std::fs;
use std::path::PathBuf;

use skerry_tests::{Node, Scratch};

use super::{PATIENCE, until_trouble, until_well};
use crate::orphans::group;

const AGENTS: &str = "
agents:
  - { name: one, image: sensor }
  - { name: two, image: sensor, restartBackoff: { initial: 100ms, max: 500ms } }
";

fn descriptors(node: &Node) -> usize {
    fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap().count()
}

fn zombies_of(parent: u32) -> usize {
    let stats = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let text = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        Some((fields.next()? == "Z", fields.next()?.parse::<u32>().ok()?))
    });
    stats.filter(|(zombie, of)| *zombie && *of == parent).count()
}

/// Has the kernel give the node no process more.
fn exhaust(scratch: &Scratch, node: &Node) -> PathBuf {
    let folder = group(&format!("{}/short", scratch.cgroup()));
    fs::write(folder.join("cgroup.procs"), node.pid().to_string()).unwrap();
    fs::write(folder.join("pids.max"), "1").unwrap();
    folder
}

#[test]
fn without_processes_starts_back_off_tell_why_leak_nothing_and_heal() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let pid = node.pid_of("one");
    let folder = exhaust(&scratch, &node);
    let before = descriptors(&node);

    let _asking =
        node.cli_start("apply", ["apply", "-f", &scratch.file("a.yaml", AGENTS).to_string_lossy()]);
    let told = until_trouble(&node, "processes");
    assert!(told["what"].as_str().unwrap().contains("two"), "{told}");
    assert!(told["next"].as_str().unwrap().contains("TasksMax"), "{told}");
    let _ = node.until_agent("two", "has been tried some times", |agent| {
        agent["restarts"].as_u64().unwrap_or(0) >= 3
    });
    assert_eq!(node.pid_of("one"), pid);
    assert!(descriptors(&node) <= before + 4, "{} then {}", before, descriptors(&node));
    assert_eq!(zombies_of(node.pid()), 0);
    let check = node.cli(["check", "--config", "/nonexistent", "node"]);
    assert!(check.stdout.contains("TasksMax"), "{check}");

    fs::write(folder.join("pids.max"), "max").unwrap();
    let _ = node.until_state("two", "running");
    until_well(&node);
    assert_eq!(node.pid_of("one"), pid);
    node.until("nothing is left open", PATIENCE, |node| {
        (descriptors(node) <= before + 6 && zombies_of(node.pid()) == 0).then_some(())
    });
}
