//! The store cannot be used: it is kept from the node, or something else is in its place.

use std::fs;
use std::path::Path;
use std::process::Command;

use skerry_tests::process::{need_tool, run};
use skerry_tests::site::status;
use skerry_tests::{Disk, Node, Scratch};

use super::{until_trouble, until_well};

/// Forbids even root to change a file, or allows it again.
fn lock(path: &Path, locked: bool) {
    need_tool("chattr", "e2fsprogs");
    let _ = run(Command::new("chattr").arg(if locked { "+i" } else { "-i" }).arg(path)).ok();
}

#[test]
fn a_database_that_is_kept_from_the_node_is_no_damage_and_heals() {
    let scratch = Scratch::new();
    let disk = Disk::mount(&scratch, "box/state", 24);
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let _ = node.cli(["run", "--name", "off", "sensor"]).ok();
    let _ = node.cli(["stop", "off"]).ok();
    let pid = node.pid_of("one");
    node.kill9();
    let database = disk.path().join("state/sled/db");
    lock(&database, true);
    node.restart();
    let told = until_trouble(&node, "store");
    assert!(told["what"].as_str().unwrap().contains("not permitted"), "{told}");
    assert_eq!(node.pid_of("one"), pid);
    assert_eq!(node.agent("off").unwrap()["state"], "stopped", "what is desired is known");
    assert!(!disk.path().join("state/sled.bad").exists());
    let said = node.cli(["run", "--name", "two", "sensor"]).refused();
    assert!(said.stderr.contains("not permitted"), "{said}");
    let check = node.cli(["check", "--config", "/nonexistent", "node"]);
    assert!(check.stdout.contains("not permitted"), "{check}");
    lock(&database, false);
    until_well(&node);
    let _ = node.cli(["run", "--name", "two", "sensor"]).ok();
    assert_eq!(node.pid_of("one"), pid);
}

#[test]
fn something_else_in_the_place_of_the_database_is_moved_aside() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let pid = node.pid_of("one");
    node.kill9();
    let state = node.folder().join("state/state");
    fs::remove_dir_all(state.join("sled")).unwrap();
    fs::write(state.join("sled"), "no folder at all").unwrap();
    node.restart();
    assert_eq!(node.pid_of("one"), pid);
    let notice = status(&node)["storeNotice"].as_str().unwrap_or_default().to_owned();
    assert!(notice.contains("sled.bad") && notice.contains("export"), "{notice}");
    assert_eq!(fs::read(state.join("sled.bad")).unwrap(), b"no folder at all");
    let _ = node.cli(["run", "--name", "two", "sensor"]).ok();
    node.restart();
    let _ = node.until_state("two", "running");
    assert_eq!(node.pid_of("one"), pid);
}

#[test]
fn a_state_folder_of_which_nothing_is_known_is_no_reason_to_end_agents() {
    let scratch = Scratch::new();
    let disk = Disk::mount(&scratch, "box/state", 24);
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let pid = node.pid_of("one");
    node.kill9();
    // No database and no export can be read: to begin empty would end what runs.
    let database = disk.path().join("state/sled/db");
    lock(&database, true);
    for name in ["export-a.json", "export-b.json"] {
        let _ = fs::rename(disk.path().join("state").join(name), disk.path().join(name));
    }
    let log = node.fails_to_start();
    assert!(log.contains("not permitted"), "{log}");
    assert!(skerry_tests::agents::lives(pid));
    lock(&database, false);
    node.restart();
    assert_eq!(node.pid_of("one"), pid);
}
