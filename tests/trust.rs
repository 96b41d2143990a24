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
use std::path::Path;
use std::process::Command;

use jiff::{Timestamp, ToSpan};
use serde_json::Value;
use skerry_core::ids::Digest;
use skerry_core::trust::catalogue::ImageNotes;
use skerry_core::trust::metadata::TargetMeta;
use skerry_core::trust::sign::Release;
use skerry_core::trust::signed_time;
use skerry_tests::signer::{key, later};
use skerry_tests::site::{
    PATIENCE, agents, connected, lives, refusals, running, sensor, status, topic, until_running,
    version,
};
use skerry_tests::{Fleet, Node, Signer, Site, until};

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
    let mut node = site.node(BOX);
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

    // And push its clock, until the root ends.
    let ends = push_clock(&site, &mut node, &keys);
    let told = clock(&node)["floor"].as_str().and_then(|text| text.parse().ok());
    assert!(told.is_some_and(|floor: Timestamp| floor > ends - 60.seconds()), "{told:?}");

    // The owner takes the keys away, and has the node back, whatever was pushed ahead.
    let _ = site.fleet.run(["rotate"]).ok();
    let said = site.fleet.roll_out(BOX, &[sensor("one", &image, "c")]);
    assert!(said.stdout.contains("box-1 accepted document 2"), "{said}");
    let _ = until_running(&node, ["one"]);
    let time = clock(&node);
    assert_eq!((&time["source"], &time["freshness"]), (&"clock".into(), &"proven".into()));
    keys.roots = Signer::of(&site.fleet).roots;
    let late = keys.bundle(BOX, high + 1, &[sensor("other", &image, "b")]);
    let why = "director: timestamp: 0 of 1 required signatures are valid (keys of root version 2)";
    refused(&site, &node, &late.to_bytes().expect("a bundle"), why);
}

/// What `skerry status` says of the time.
fn clock(node: &Node) -> Value {
    status(node)["trust"]["time"].clone()
}

/// Answers the node's next question for the time with the latest that the timestamp key can say, and
/// returns when the root ends.
fn push_clock(site: &Site, node: &mut Node, keys: &Signer) -> Timestamp {
    let root: Value = serde_json::from_str(keys.roots.last().expect("a root")).expect("JSON");
    let ends = root["signed"]["expires"].as_str().and_then(|text| text.parse().ok());
    let ends: Timestamp = ends.expect("a root ends");
    let heard = site.broker.listen(&topic(BOX, "clock"), &site.scratch.path().join("clock.log"));
    node.restart();
    let nonce = node.until("the node asks for the time", PATIENCE, |_| {
        let log = heard.log();
        let (_, rest) = log.rsplit_once("nonce")?;
        let nonce = rest.trim_start_matches(|c: char| !c.is_ascii_hexdigit()).get(..32)?;
        Some(nonce.to_owned())
    });
    let lie = signed_time::answer(&nonce, ends - 1.seconds(), &[&keys.timestamp]).expect("signing");
    site.broker.publish(&topic(BOX, "time"), &lie);
    node.until("the thief is believed", PATIENCE, |node| {
        (clock(node)["source"] == "signed").then_some(())
    });
    ends
}

#[test]
fn a_file_of_roots_put_on_the_device_wins_it_back_from_a_thief_of_the_root_key() {
    let site = Site::new();
    let node = site.node(BOX);
    let image = site.pack(&node);
    let one = sensor("one", &image, "a");
    let _ = site.fleet.roll_out(BOX, std::slice::from_ref(&one));
    let [pid] = until_running(&node, ["one"]);
    let keys = Signer::of(&site.fleet);
    let mut thief = Signer {
        root: key(71),
        targets: key(72),
        snapshot: key(73),
        timestamp: key(74),
        ..keys.clone()
    };
    thief.roots.push(keys.next_root(&thief));
    let theirs = [one.clone(), sensor("theirs", &image, "a")];
    let theirs = thief.bundle(BOX, 9_000_000, &theirs).to_bytes().expect("a bundle");
    site.broker.retain(&topic(BOX, "desired"), &theirs);
    let _ = until_running(&node, ["one", "theirs"]);

    // No message helps the owner, and a visit does: all keys are new, and versions begin with 1.
    let owner = Fleet::init(&site.scratch, "owner", &site.broker);
    let mut node = node.reconfigured("trust.root", owner.root().to_string_lossy().into_owned());
    node.restart();
    connected(&node);
    assert!(node.log().contains("trust.root is another file than before"), "{}", node.log());
    assert_eq!(version(&node), 9_000_000, "what runs goes on until there is another document");
    let audit = node.cli(["audit", "--format", "json"]).ok().json();
    let placed = |entry: &Value| {
        let detail = entry["event"]["detail"].as_str().unwrap_or_default();
        (entry["event"]["kind"] == "root" && detail.contains("trust.root"))
            .then(|| entry["event"]["subject"].clone())
    };
    let placed: Vec<_> = audit.as_array().into_iter().flatten().filter_map(placed).collect();
    assert_eq!(placed, ["director", "images"]);
    owner.know(&node);
    let said = owner.roll_out(BOX, &[one]);
    assert!(said.stdout.contains("box-1 accepted document 1"), "{said}");
    assert_eq!(until_running(&node, ["one"]), [pid], "what did not change ran through all of it");
    refused(&site, &node, &theirs, "0 of 1 required signatures");
    node.restart();
    connected(&node);
    assert_eq!((version(&node), status(&node)["trust"]["director"]["root"].as_u64()), (1, Some(1)));
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
    let floor: Timestamp =
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

fn copy(from: &Path, to: &Path) {
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

#[test]
fn a_stick_brings_images_and_documents_to_a_node_with_no_broker_by_the_same_rules() {
    let site = Site::new();
    let elsewhere = site.node("box-2");
    let image = site.pack(&elsewhere);
    let stick = site.scratch.folder("stick");
    let folder = site.scratch.path().join("image");
    let [tar, folder] = [stick.join("sensor.tar"), folder].map(|path| path.display().to_string());
    let pack = ["image", "pack", "--entrypoint", "/sensor", "-o", &tar, &folder];
    let _ = elsewhere.cli(pack).ok();
    let theirs = site.fleet.sign(["--node", "box-2"], &[sensor("theirs", &image, "a")]);
    let ours = site.fleet.sign(["--node", BOX], &[sensor("one", &image, "a")]);
    fs::write(stick.join("box-1.bundle"), &ours).expect("writing the stick");

    // Flashed devices allow no local wishes; what is signed is none.
    let node = Node::setup(&site.scratch, BOX).root(&site.fleet.root()).set("local.wishes", false);
    let node = node.start();
    let stick = stick.to_string_lossy().into_owned();
    let said = node.cli(["import", &stick]).ok().stdout;
    assert!(said.contains("box-1.bundle: document 1 is in force"), "{said}");
    let [one] = until_running(&node, ["one"]);
    let said = node.cli(["import", &stick]).ok().stdout;
    assert!(said.contains("is in force already"), "{said}");

    // Another's document beside ours, and one that was changed by a byte.
    let stick = Path::new(&stick);
    fs::write(stick.join("box-2.bundle"), &theirs).expect("writing the stick");
    let mut bent = String::from_utf8(ours).expect("a bundle is text");
    let at = bent.rfind("box-1").expect("it names its node");
    bent.replace_range(at..at + 5, "box-3");
    fs::write(stick.join("bent.bundle"), bent).expect("writing the stick");
    let said = node.cli([Path::new("import"), stick]).refused();
    assert!(said.stderr.contains("box-2.bundle: refused: "), "{said}");
    assert!(said.stderr.contains("bent.bundle: refused: "), "{said}");
    assert!(said.stderr.contains("2 of 4 failed"), "{said}");
    assert_eq!(running(&node, ["one"]), Some([one]), "what runs goes on");
    assert_eq!(version(&node), 1);
}
