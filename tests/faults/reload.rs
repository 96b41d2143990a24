//! The configuration is read again while agents run, and the service manager hears of it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;
use skerry_tests::site::status;
use skerry_tests::{Node, Scratch};

use super::{PATIENCE, trouble, until_trouble, until_well};

/// What the node tells its service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn new(scratch: &Scratch) -> (Self, std::path::PathBuf) {
        let path = scratch.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        (Self(socket), path)
    }

    fn hears(&self) -> String {
        let mut word = [0; 200];
        let size = self.0.recv(&mut word).expect("a word from the node");
        String::from_utf8_lossy(&word[..size]).into_owned()
    }

    fn hears_reload(&self) {
        let word = self.hears();
        let (first, second) = word.split_once('\n').expect("two lines");
        assert_eq!(first, "RELOADING=1");
        let usec = second.strip_prefix("MONOTONIC_USEC=").and_then(|n| n.parse::<u64>().ok());
        assert!(usec.is_some_and(|usec| usec > 0), "{word}");
        assert_eq!(self.hears(), "READY=1");
    }
}

#[test]
fn what_can_change_does_what_cannot_waits_and_what_is_wrong_is_refused() {
    let scratch = Scratch::new();
    let (manager, path) = Manager::new(&scratch);
    let mut node =
        Node::setup(&scratch, "box").env("NOTIFY_SOCKET", path).env("SKERRY_LOG", "").start();
    assert_eq!(manager.hears(), "READY=1");
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let pid = node.pid_of("one");

    node.reload("local.wishes", false);
    manager.hears_reload();
    assert_eq!(status(&node)["localWishes"], false);
    let said = node.cli(["run", "--name", "two", "sensor"]).refused();
    assert!(said.stderr.contains("switched off"), "{said}");
    node.reload("local.wishes", true);
    manager.hears_reload();
    node.reload("budget.memory", "64Mi");
    manager.hears_reload();
    let greedy = "{name: greedy, image: sensor, resources: {requests: {memory: 1Gi}}}";
    let said = node.cli_with_input(["apply", "-f", "-"], greedy.as_bytes()).refused();
    assert!(said.stderr.contains("64Mi"), "{said}");
    node.reload("log_level", "debug");
    manager.hears_reload();
    let _ = node.cli(["run", "--name", "two", "sensor"]).ok();
    node.until("lines of the new level", PATIENCE, |node| {
        node.log().contains(" DEBUG ").then_some(())
    });
    until_well(&node);

    // Not in a running node: said, and the old stays.
    node.reload("groups", vec!["poles"]);
    manager.hears_reload();
    let told = until_trouble(&node, "config");
    assert!(told["what"].as_str().unwrap().contains("groups"), "{told}");
    assert!(told["next"].as_str().unwrap().contains("restart"), "{told}");

    // Wrong: refused with the reason.
    let good = fs::read_to_string(node.config_file()).unwrap();
    fs::write(node.config_file(), format!("lgo_level = 'x'\n{good}")).unwrap();
    node.signal(Signal::HUP);
    manager.hears_reload();
    let told = node.until("the mistake is told", PATIENCE, |node| {
        trouble(node, "config").filter(|t| t["what"].as_str().unwrap().contains("lgo_level"))
    });
    assert!(told["what"].as_str().unwrap().contains("stays in force"), "{told}");
    let check = node.cli(["check", "--config", "/nonexistent", "node"]);
    assert!(check.stdout.contains("lgo_level"), "{check}");

    node.reload("groups", Vec::<String>::new());
    manager.hears_reload();
    until_well(&node);
    assert_eq!(node.pid_of("one"), pid, "agents notice nothing of it");
    assert!(node.stop().success());
    assert_eq!(manager.hears(), "STOPPING=1");
    assert!(skerry_tests::agents::lives(pid), "and a stop leaves them running");
}

#[test]
fn the_watchdog_is_fed_and_a_node_alone_reloads_as_well() {
    let scratch = Scratch::new();
    let (manager, path) = Manager::new(&scratch);
    let setup = Node::setup(&scratch, "box").env("NOTIFY_SOCKET", path);
    let node = setup.env("WATCHDOG_USEC", "400000").start();
    assert_eq!(manager.hears(), "READY=1");
    for _ in 0..3 {
        assert_eq!(manager.hears(), "WATCHDOG=1");
    }
    drop(node);
    let mut alone = Node::setup(&scratch, "alone").start();
    alone.reload("local.wishes", false);
    alone.until("it is read again", Duration::from_secs(20), |node| {
        (status(node)["localWishes"] == false).then_some(())
    });
}
