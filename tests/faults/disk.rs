//! The disk of the state is full, read-only, or fails.

use std::fs;

use serde_json::Value;
use skerry_tests::agents::{PATIENCE as SOON, lives, sequence};
use skerry_tests::site::{agents, sensor, status, topic, until_running, version};
use skerry_tests::{Disk, Node, Scratch, Signer, Site};

use super::{PATIENCE, trouble, until_trouble, until_well};

const FULL: &str = "No space left on device";

/// A node that follows a signer's documents, on a small disk.
struct Fleet {
    signer: Signer,
    node: Node,
    disk: Disk,
    image: String,
    site: Site,
}

impl Fleet {
    fn new() -> Self {
        let site = Site::new();
        let disk = Disk::mount(&site.scratch, "box/state", 24);
        let node = site.setup("box").start();
        let image = site.pack(&node);
        skerry_tests::site::connected(&node);
        let signer = Signer::of(&site.fleet);
        Self { signer, node, disk, image, site }
    }

    fn publish(&self, version: u64, names: &[&str]) {
        let agents: Vec<_> = names.iter().map(|name| sensor(name, &self.image, "a")).collect();
        let bundle = self.signer.bundle("box", version, &agents);
        let bundle = serde_json::to_vec(&bundle).unwrap();
        self.site.broker.retain(&topic("box", "desired"), &bundle);
    }
}

#[test]
fn a_full_disk_takes_nothing_from_agents_and_heals_without_a_restart() {
    let mut fleet = Fleet::new();
    fleet.publish(1, &["one", "two"]);
    let pids = until_running(&fleet.node, ["one", "two"]);
    let process = fleet.node.pid();

    fleet.disk.fill();
    let node = &fleet.node;
    let told = until_trouble(node, "disk-full");
    assert!(told["next"].as_str().unwrap().contains("make room"), "{told}");
    // The reserve carries the document even now.
    fleet.publish(2, &["one", "two", "three"]);
    node.until("the document is taken from the reserve", PATIENCE, |node| {
        (version(node) == 2).then_some(())
    });
    let [one, two, three] = until_running(node, ["one", "two", "three"]);
    assert_eq!([one, two], pids);

    // Until that is gone too.
    fleet.disk.fill();
    let mut number = 0;
    let said = node.until("a wish is refused", PATIENCE, |node| {
        fleet.disk.fill();
        number += 1;
        let said = node.cli(["run", "--name", &format!("more-{number}"), "sensor"]);
        (!said.status.success()).then_some(said)
    });
    assert!(said.stderr.contains(FULL) && said.stderr.contains("free at"), "{said}");
    assert!(said.stderr.len() < 400, "one sentence: {said}");
    let refused = format!("more-{number}");
    fleet.publish(3, &["one", "two"]);
    node.until("the log says that it is not kept", PATIENCE, |node| {
        node.log().contains("could not be kept").then_some(())
    });
    assert_eq!(version(node), 2, "what cannot be kept is not in force");
    assert!(lives(one) && lives(two) && lives(three), "agents go on");

    fleet.disk.empty();
    node.until("the document comes again by itself", PATIENCE, |node| {
        (version(node) == 3).then_some(())
    });
    until_well(node);
    assert_eq!(node.pid(), process, "no restart");
    assert!(fleet.disk.path().join("state/reserve").exists(), "the reserve is held again");
    assert!(!agents(node).iter().any(|agent| agent["name"] == *refused), "refused is refused");
    let _ = node.cli(["run", "--name", "after", "sensor"]).ok();
    assert_eq!([node.pid_of("one"), node.pid_of("two")], pids);

    let seen = sequence(&node.lines_of("one")).last().copied();
    node.until("its output is kept again", SOON, |node| {
        (sequence(&node.lines_of("one")).last().copied() > seen).then_some(())
    });
    fleet.node.restart();
    assert_eq!(version(&fleet.node), 3);
    assert_eq!(status(&fleet.node)["storeNotice"], serde_json::Value::Null, "nothing was lost");
    assert!(!agents(&fleet.node).iter().any(|agent| agent["name"] == *refused));
    assert_eq!([fleet.node.pid_of("one"), fleet.node.pid_of("two")], pids);
}

/// The counter and the kinds of trouble of the report that the broker keeps.
fn told(fleet: &Fleet) -> Option<(u64, Vec<String>)> {
    let sealed: Value = serde_json::from_str(&fleet.site.retained("box", "report")?).ok()?;
    let report: Value = serde_json::from_str(sealed["payload"].as_str()?).ok()?;
    let troubles = report["troubles"].as_array().cloned().unwrap_or_default();
    let kinds = troubles.iter().filter_map(|trouble| trouble["kind"].as_str().map(str::to_owned));
    Some((report["counter"].as_u64()?, kinds.collect()))
}

#[test]
fn reports_outlast_a_full_disk_and_a_restart_on_it_and_tell_when_it_is_over() {
    let mut fleet = Fleet::new();
    // Something to report, many times a minute, for as long as the disk is full.
    fleet.node.apply(
        "{name: fails, image: sensor, args: [--nonsense], \
          restartBackoff: {initial: 100ms, max: 100ms}}",
    );
    let (first, _) = fleet.node.until("a report of it", PATIENCE, |_| told(&fleet));
    fs::remove_file(fleet.disk.path().join("state/reserve")).unwrap();
    fleet.disk.fill();
    let _ = until_trouble(&fleet.node, "disk-full");
    let (last, kinds) = fleet.node.until("reports go on for long", PATIENCE * 3, |_| {
        fleet.disk.fill();
        told(&fleet).filter(|(now, _)| *now > first + 100)
    });
    assert!(kinds.contains(&"disk-full".to_owned()), "the fleet is told why: {kinds:?}");
    assert!(!fleet.node.log().contains("report not handed over"));

    // With next to no room a new process gets numbers, which it must not have from its memory.
    fleet.disk.spare(3 << 20);
    fleet.node.restart();
    let (now, kinds) = fleet.node.until("a report of the new process", PATIENCE, |_| {
        told(&fleet).filter(|(now, _)| *now > last + 100)
    });
    assert!(kinds.contains(&"disk-full".to_owned()), "{kinds:?}");

    // Without any it cannot, and goes on by itself when there is.
    fleet.disk.fill();
    fleet.node.restart();
    let _ = until_trouble(&fleet.node, "disk-full");
    fleet.disk.empty();
    fleet.node.until("a report that all is well", PATIENCE, |_| {
        told(&fleet).filter(|(next, kinds)| *next > now && kinds.is_empty())
    });
    until_well(&fleet.node);
}

#[test]
fn a_node_that_starts_on_a_full_disk_runs_its_agents_and_says_so() {
    let scratch = Scratch::new();
    let disk = Disk::mount(&scratch, "box/state", 24);
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let pid = node.pid_of("one");
    node.kill9();
    fs::remove_file(disk.path().join("state/reserve")).unwrap();
    disk.fill();
    node.restart();
    let _ = until_trouble(&node, "disk-full");
    assert_eq!(node.pid_of("one"), pid);
    assert!(!disk.path().join("state/sled.bad").exists(), "a full disk is no corruption");
    let said = node.cli(["stop", "one"]).refused();
    assert!(said.stderr.contains(FULL), "{said}");
    let check = node.cli(["check", "--format", "json"]);
    assert!(check.stdout.contains("make room") || check.stdout.contains("prune"), "{check}");
    disk.empty();
    until_well(&node);
    let _ = node.cli(["stop", "one"]).ok();
    assert!(!lives(pid));
}

#[test]
fn a_disk_that_turns_read_only_takes_nothing_from_agents() {
    let scratch = Scratch::new();
    let disk = Disk::mount(&scratch, "box/state", 24);
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let pid = node.pid_of("one");
    disk.break_down();
    let said = node.cli(["run", "--name", "two", "sensor"]).refused();
    assert!(said.stderr.contains("state"), "{said}");
    let told = until_trouble(&node, "disk-read-only");
    assert!(told["what"].as_str().unwrap().contains("read-only"), "{told}");
    assert_eq!(node.pid_of("one"), pid);
    assert!(trouble(&node, "disk-full").is_none());
}

#[test]
fn a_node_that_starts_on_a_read_only_disk_runs_its_agents_and_heals() {
    let scratch = Scratch::new();
    let disk = Disk::mount(&scratch, "box/state", 24);
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let _ = node.cli(["stop", "one"]).ok();
    let _ = node.cli(["start", "one"]).ok();
    let first = node.pid_of("one");
    node.kill9();
    // As after a reboot: nothing runs.
    scratch.end_contained();
    node.until("everything has ended", SOON, |_| (!lives(first)).then_some(()));
    node.until("the disk is let go", SOON, |_| disk.try_unmount().then_some(()));
    disk.mount_again();
    disk.remount("ro");
    node.restart();
    let _ = node.until_state("one", "running");
    let pid = node.pid_of("one");
    let _ = until_trouble(&node, "disk-read-only");
    let said = node.cli(["run", "--name", "two", "sensor"]).refused();
    assert!(said.stderr.to_lowercase().contains("read-only"), "{said}");
    disk.remount("rw");
    until_well(&node);
    let _ = node.cli(["run", "--name", "two", "sensor"]).ok();
    assert_eq!(node.pid_of("one"), pid);
}
