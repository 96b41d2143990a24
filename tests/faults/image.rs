//! An image or a layer of it vanishes under a running agent.

use std::fs;

use skerry_tests::agents::lives;
use skerry_tests::{Node, Scratch};

use super::{PATIENCE, until_trouble, until_well};

fn vanishes(what: impl Fn(&Node)) {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let pid = node.pid_of("one");
    what(&node);
    assert_eq!(node.pid_of("one"), pid);
    assert!(lives(pid), "what runs runs on");

    // Not asked to restart, which a node refuses itself while there is nothing to start: it crashes.
    let raw = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(raw, rustix::process::Signal::KILL).unwrap();
    let blocked = node.until_state("one", "blocked");
    let detail = blocked["detail"].as_str().unwrap();
    assert!(detail.contains("import"), "{detail}");
    let told = until_trouble(&node, "blocked");
    assert!(told["what"].as_str().unwrap().contains("one"), "{told}");
    assert!(!lives(pid));

    // Imported again, it goes on by itself.
    node.with_sensor(&scratch);
    let _ = node.until_state("one", "running");
    until_well(&node);
}

#[test]
fn the_layers_of_a_running_agent_vanish() {
    vanishes(|node| {
        let layers = fs::read_dir(node.folder().join("state/layers")).unwrap();
        layers.flatten().for_each(|layer| fs::remove_dir_all(layer.path()).unwrap());
    });
}

#[test]
fn the_layers_of_a_running_agent_are_emptied_and_their_folders_left() {
    vanishes(|node| {
        let layers = node.folder().join("state/layers");
        let find =
            std::process::Command::new("find").arg(layers).args(["-type", "f", "-delete"]).status();
        assert!(find.unwrap().success());
    });
}

#[test]
fn the_image_of_a_running_agent_vanishes() {
    vanishes(|node| {
        let records = fs::read_dir(node.folder().join("state/images")).unwrap();
        records.flatten().for_each(|record| fs::remove_file(record.path()).unwrap());
        node.until("the node has seen it", PATIENCE, |node| {
            let list = node.cli(["image", "ls", "--format", "json"]).ok().json();
            list.as_array().unwrap().is_empty().then_some(())
        });
    });
}
