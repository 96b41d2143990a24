//! Whom a node believes: what a thief of keys, a lying broker, a wrong clock or an old backup can make of it.
//!
//! A real Mosquitto, real containers, and the two programs. The thief of these tests has everything that is
//! on line: the director's keys of targets, snapshot and timestamp. What is refused by one document's own
//! faults is in `fleet.rs`; clocks of whole devices are in `devices/clock.rs`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose set-up fails has failed, and must say so at once"
)]

use std::fs;
use std::process::Command;

use serde_json::Value;
use skerry_core::ids::Digest;
use skerry_core::trust::catalogue::ImageNotes;
use skerry_core::trust::metadata::TargetMeta;
use skerry_core::trust::sign::Release;
use skerry_tests::signer::later;
use skerry_tests::site::{
    PATIENCE, agents, connected, lives, refusals, running, sensor, status, topic, until_running,
    version,
};
use skerry_tests::{Node, Signer, Site, until};

const BOX: &str = "box-1";

/// An image that the node has, and nobody but the thief calls genuine.
fn evil(site: &Site, node: &Node) -> String {
    let folder = site.scratch.folder("evil");
    let _ = fs::copy(std::env::var_os("SKERRY_SENSOR_BIN").expect("set"), folder.join("evil"))
        .expect("copying a program");
    let folder = folder.to_string_lossy().into_owned();
    let _ = node.cli(["image", "pack", "--entrypoint", "/evil", "--name", "evil", &folder]).ok();
    let seen = node.cli(["image", "inspect", "evil"]).ok().json();
    seen[0]["digest"].as_str().expect("an image has a digest").to_owned()
}

/// Sends bytes as the node's document, and waits until it has refused them for this reason.
fn refused(site: &Site, node: &Node, bytes: &[u8], why: &str) {
    site.broker.retain(&topic(BOX, "desired"), bytes);
    node.until(&format!("'skerry status' says '{why}'"), PATIENCE, |node| {
        refusals(node).last().is_some_and(|reason| reason.contains(why)).then_some(())
    });
}

#[test]
fn a_thief_of_the_online_keys_chooses_among_genuine_images_and_locks_nobody_out() {
    let site = Site::new();
    let node = site.node(BOX);
    let image = site.pack(&node);
    let evil = evil(&site, &node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let [one] = until_running(&node, ["one"]);

    // The tool itself signs nothing that no node would take.
    let thief = site.fleet.fork(&site.scratch, "thief");
    fs::remove_dir_all(thief.workspace().join("keys/offline")).expect("the thief has no such keys");
    let said = thief.run(["images", "add", "--size", "1", &evil]).refused();
    assert!(said.stderr.contains("images-timestamp.key is not here"), "{said}");

    let mut keys = Signer::of(&site.fleet);
    let both = [sensor("one", &image, "a"), sensor("two", &evil, "a")];
    let bundle = keys.bundle(BOX, 20, &both).to_bytes().expect("a bundle");
    refused(&site, &node, &bundle, "agent 'two' names image sha256:");
    assert!(refusals(&node)[0].contains("the images repository does not vouch"));

    // A list of images of his own, signed with all he has.
    let mut own = keys.bundle(BOX, 21, &both);
    let digest: Digest = evil.parse().expect("a digest");
    let release = Release {
        version: 99,
        timestamp_expires: later(3600),
        snapshot_expires: later(3600),
        targets_expires: later(3600),
        listed: &[TargetMeta::of_image(&digest, 1, &ImageNotes::default())].into(),
        timestamp_keys: &[&keys.timestamp],
        snapshot_keys: &[&keys.snapshot],
        targets_keys: &[&keys.targets],
    };
    own.images.metadata = release.sign().expect("signing").into();
    let why = "images: timestamp: 0 of 1 required signatures are valid";
    refused(&site, &node, &own.to_bytes().expect("a bundle"), why);
    assert_eq!((version(&node), running(&node, ["one"])), (1, Some([one])), "nothing was touched");

    // What he can do: have a genuine image run in another way, with the highest version there is.
    let high = 9_000_000_000_000_000;
    let theirs = keys.bundle(BOX, high, &[sensor("other", &image, "b")]);
    site.broker.retain(&topic(BOX, "desired"), &theirs.to_bytes().expect("a bundle"));
    let _ = until_running(&node, ["other"]);
    assert_eq!(version(&node), high);

    // The owner takes the keys away, and has the node back, whatever was pushed ahead.
    let _ = site.fleet.run(["rotate"]).ok();
    let said = site.fleet.roll_out(BOX, &[sensor("one", &image, "c")]);
    assert!(said.stdout.contains("box-1 accepted document 2"), "{said}");
    let _ = until_running(&node, ["one"]);
    keys.roots = Signer::of(&site.fleet).roots;
    let late = keys.bundle(BOX, high + 1, &[sensor("other", &image, "b")]);
    let why = "director: timestamp: 0 of 1 required signatures are valid (keys of root version 2)";
    refused(&site, &node, &late.to_bytes().expect("a bundle"), why);
}

#[test]
fn agents_of_a_group_run_on_the_nodes_whose_labels_they_name() {
    let site = Site::new();
    let group = |name: &str, place: &str| {
        let labels = format!("labels.{place}");
        let node = site.setup(name).set("groups", vec!["boxes"]).set(&labels, "yes").start();
        site.welcome(&node);
        connected(&node);
        node
    };
    let (north, south) = (group("box-1", "north"), group("box-2", "south"));
    let image = site.pack(&north);
    let placed = |name: &str, place: &str, note: &str| {
        let mut agent = sensor(name, &image, note);
        agent["nodeSelector"] = serde_json::json!({ place: "yes" });
        agent
    };
    let wanted =
        [sensor("all", &image, "a"), placed("cold", "north", "a"), placed("warm", "south", "a")];
    let _ = site.fleet.sign(["--group", "boxes"], &wanted);
    let _ = site.fleet.run(["publish", "--group", "boxes"]).ok();
    let pids = until_running(&north, ["all", "cold"]);
    let _ = until_running(&south, ["all", "warm"]);
    let names =
        |node: &Node| agents(node).iter().map(|a| a["name"].to_string()).collect::<Vec<_>>();
    assert_eq!((names(&north).len(), names(&south).len()), (2, 2), "and nothing else runs there");

    // An agent that is chosen in another way is the same agent.
    let wanted = [placed("all", "north", "a"), placed("cold", "north", "a")];
    let _ = site.fleet.sign(["--group", "boxes"], &wanted);
    let _ = site.fleet.run(["publish", "--group", "boxes"]).ok();
    south.until("nothing is left in the south", PATIENCE, |node| {
        agents(node).is_empty().then_some(())
    });
    north.until("document 2 is in force", PATIENCE, |node| (version(node) == 2).then_some(()));
    assert_eq!(running(&north, ["all", "cold"]), Some(pids));
}

#[test]
fn the_time_is_signed_for_the_node_that_asks_and_lies_about_it_are_not_believed() {
    let site = Site::new();
    let clock = |node: &Node| status(node)["trust"]["time"].clone();
    let node = site.setup(BOX).start();
    site.fleet.know(&node);
    connected(&node);
    assert_eq!(clock(&node)["source"], "clock");
    for lie in [&b"garbage"[..], br#"{"statement":"{}","signatures":[]}"#] {
        site.broker.retain(&topic(BOX, "time"), lie);
    }
    assert_eq!(clock(&node)["freshness"], "proven", "nobody believes them");
    drop(node);

    let server = site.fleet.start("time", ["time", "serve"]);
    until("the time is served", PATIENCE, || {
        server.log().contains("telling the time").then_some(())
    });
    let node = site.setup("box-2").start();
    site.fleet.know(&node);
    let mut node = node;
    node.restart();
    node.until("the time is signed", PATIENCE, |node| {
        (clock(node)["source"] == "signed").then_some(())
    });
    assert!(server.log().contains("box-2 was told the time"), "{}", server.log());
    let floor: jiff::Timestamp =
        clock(&node)["floor"].as_str().and_then(|text| text.parse().ok()).expect("a time");
    assert!(floor > later(-120), "a signed time raises the floor: {floor}");

    drop(server);
    node.restart();
    connected(&node);
    let kept = clock(&node);
    assert_eq!((&kept["source"], &kept["floor"]), (&"clock".into(), &floor.to_string().into()));
}

#[test]
fn a_node_whose_disk_is_put_back_from_a_backup_runs_the_newest_again_and_nothing_older() {
    let site = Site::new();
    let mut node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let old = fs::read(site.fleet.folder().join("new.bundle")).expect("the first bundle");
    let [one] = until_running(&node, ["one"]);
    let state = node.folder().join("state/state");
    let backup = site.scratch.path().join("backup");
    node.kill9();
    copy(&state, &backup);
    node.restart();
    let _ = site.fleet.run(["rotate"]).ok();
    let newer = [sensor("one", &image, "a"), sensor("two", &image, "a")];
    let _ = site.fleet.roll_out(BOX, &newer);
    let _ = until_running(&node, ["one", "two"]);

    node.kill9();
    fs::remove_dir_all(&state).expect("removing the state");
    copy(&backup, &state);
    node.restart();
    node.until("the newest is in force again", PATIENCE, |node| (version(node) == 2).then_some(()));
    let [still, _] = until_running(&node, ["one", "two"]);
    assert!(still == one && lives(one), "what did not change ran through all of it");
    // Its keys were taken away; and that, too, the node has learned anew.
    refused(
        &site,
        &node,
        &old,
        "timestamp: 0 of 1 required signatures are valid (keys of root version 2)",
    );
    assert_eq!(version(&node), 2);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("running cp");
    assert!(copied.success(), "copying {}", from.display());
}

#[test]
fn an_operator_whose_workspace_came_back_from_a_backup_goes_on_from_what_the_nodes_say() {
    let site = Site::new();
    let node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let backup = site.fleet.fork(&site.scratch, "backup");
    for note in ["b", "c"] {
        let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, note)]);
    }
    let row = backup.row(BOX).expect("a row");
    let (release, document) = (&row["trust"]["director"]["timestamp"], &row["document"]);
    assert_eq!((release, document), (&Value::from(3), &Value::from(3)), "{row}");
    let _ = backup.run(["refresh", "--release", "3"]).ok();
    let file = backup.folder().join("agents.json");
    let wanted = serde_json::json!({ "agents": [sensor("one", &image, "d")] });
    fs::write(&file, wanted.to_string()).expect("writing the agents");
    let _ = backup.run(["sign", "-f", "agents.json", "--node", BOX, "--version", "4"]).ok();
    let said = backup.run(["publish", "--node", BOX, "--wait", "30s"]).ok();
    assert!(said.stdout.contains("accepted document 4"), "{said}");
}
