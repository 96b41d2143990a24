//! The fleet end to end: what an operator signs is what nodes run, and nothing else is.
//!
//! A real Mosquitto, real containers, and the two programs as an operator uses them. What happens
//! when the broker or the node goes away is in `broker.rs`. Start at [`Site`].
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose set-up fails has failed, and must say so at once"
)]

use std::fs;

use serde_json::{Value, json};
use skerry_core::ids::Digest;
use skerry_core::trust::Roots;
use skerry_core::trust::detached::seal;
use skerry_tests::signer::{key, later};
use skerry_tests::site::{
    PATIENCE, agents, connected, lives, refusals, row_when, running, sensor, status, topic,
    until_running, version,
};
use skerry_tests::{Node, Signer, Site, until};

const BOX: &str = "box-1";

#[test]
fn the_operator_who_publishes_what_is_refused_is_told_why_each_time() {
    let site = Site::new();
    let (node, image, pids) = at_work(&site);
    let first = site.fleet.folder().join("new.bundle");
    fs::rename(&first, site.fleet.folder().join("first.bundle")).expect("keeping the first bundle");
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a"), sensor("two", &image, "a")]);
    let why = "timestamp version 1 is older than";
    for time in ["first", "second"] {
        let said = site.fleet.run(["publish", "first.bundle", "--wait", "5s"]).refused();
        assert!(said.stderr.contains(why), "the {time} time: {said}");
    }
    assert_eq!(running(&node, ["one", "two"]), Some(pids));
}

/// A site with a node that runs `one` and `two` of document 1, and their pids.
fn at_work(site: &Site) -> (Node, String, [u64; 2]) {
    let node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a"), sensor("two", &image, "a")]);
    let pids = until_running(&node, ["one", "two"]);
    (node, image, pids)
}

fn contains(value: &Value, part: &str) -> bool {
    value.as_str().is_some_and(|text| text.contains(part))
}

#[test]
fn documents_become_agents_change_only_what_differs_and_end_them() {
    let site = Site::new();
    let node = site.node(BOX);
    let image = site.pack(&node);

    let said = site.fleet.roll_out(BOX, &[sensor("one", &image, "a"), sensor("two", &image, "a")]);
    assert!(said.stdout.contains("box-1 accepted document 1"), "{said}");
    let [one, two] = until_running(&node, ["one", "two"]);
    assert!(said.stdout.contains(&format!("one: running, pid {one}")), "{said}");

    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a"), sensor("two", &image, "b")]);
    let [still, changed] = until_running(&node, ["one", "two"]);
    assert_eq!(still, one, "an agent whose spec did not change keeps its process");
    assert_ne!(changed, two, "an agent whose spec changed is run anew");
    assert!(lives(one) && !lives(two), "the old process of the changed agent is gone");
    assert_eq!(version(&node), 2);

    let row = row_when(&site, BOX, "both agents", |row| row["running"] == 2);
    assert_eq!((&row["signature"], &row["document"]), (&json!("ok"), &json!(2)), "{row}");
    assert_eq!((&row["online"], &row["total"]), (&json!(true), &json!(2)), "{row}");

    let _ = site.fleet.roll_out(BOX, &[]);
    node.until("no agent is left", PATIENCE, |node| agents(node).is_empty().then_some(()));
    assert!(!lives(still) && !lives(changed), "the empty document ends every agent");
    let row = row_when(&site, BOX, "the empty document", |row| row["document"] == 3);
    assert_eq!(row["total"], 0, "{row}");
}

/// Publishes what must be refused, and looks at what node and operator are told, and at the agents.
fn must_be_refused(site: &Site, node: &Node, pids: [u64; 2], what: &str, bytes: &[u8], why: &str) {
    let in_force = version(node);
    site.broker.retain(&topic(BOX, "desired"), bytes);
    node.until(&format!("{what}: 'skerry status' says '{why}'"), PATIENCE, |node| {
        refusals(node).last().is_some_and(|reason| reason.contains(why)).then_some(())
    });
    let digest = Digest::of(bytes).to_string();
    let row = row_when(site, BOX, &format!("{what}: {why}"), |row| {
        let last = row["refused"].as_array().and_then(|list| list.last());
        last.is_some_and(|last| last["digest"] == digest && contains(&last["reason"], why))
    });
    assert_eq!(row["signature"], "ok", "{what}: the refusal is told in a signed report: {row}");
    assert!(contains(&row["note"], why), "{what}: the operator's table says why: {row}");
    assert_eq!(version(node), in_force, "{what}: the version in force did not change");
    assert_eq!(running(node, ["one", "two"]), Some(pids), "{what}: no agent was touched");
}

/// Changes one of the texts within a bundle.
fn altered(bundle: &[u8], pointer: &str, change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let mut bundle: Value = serde_json::from_slice(bundle).expect("a bundle is JSON");
    let text = bundle.pointer_mut(pointer).expect("the part to change is there");
    *text = Value::from(change(text.as_str().expect("parts are texts")));
    bundle.to_string().into_bytes()
}

/// The same metadata with another first signature.
fn other_signature(text: &str) -> String {
    let mut file: Value = serde_json::from_str(text).expect("metadata is JSON");
    let signature = file.pointer_mut("/signatures/0/sig").expect("it is signed");
    let flipped = match signature.as_str().and_then(|hex| hex.strip_prefix('0')) {
        Some(rest) => format!("1{rest}"),
        None => format!("0{}", signature.as_str().unwrap_or_default().get(1..).unwrap_or_default()),
    };
    *signature = Value::from(flipped);
    file.to_string()
}

#[test]
fn what_is_not_signed_by_the_fleet_is_refused_with_its_reason() {
    let site = Site::new();
    let (node, image, pids) = at_work(&site);
    let other = [sensor("intruder", &image, "x")];
    let refused = |what: &str, bytes: &[u8], why: &str| {
        must_be_refused(&site, &node, pids, what, bytes, why);
    };
    let good = site.fleet.sign(["--node", BOX], &other);
    let threshold = "0 of 1 required signatures are valid";

    for role in ["timestamp", "snapshot", "targets"] {
        let pointer = format!("/director/metadata/{role}");
        let forged = altered(&good, &pointer, other_signature);
        // A file that is listed by its hash does not even get as far as its signature.
        let why = if role == "timestamp" { threshold } else { "lists" };
        refused(&format!("a forged signature of the {role}"), &forged, why);
    }
    let mut stranger = Signer::of(&site.fleet);
    stranger.timestamp = key(1);
    stranger.snapshot = key(2);
    stranger.targets = key(3);
    let foreign = stranger.bundle(BOX, 9, &other).to_bytes().expect("a bundle");
    refused("a document signed with other keys", &foreign, threshold);

    stranger.root = key(4);
    let own_root = stranger.next_root(&stranger);
    stranger.roots.push(own_root);
    let foreign = stranger.bundle(BOX, 9, &other).to_bytes().expect("a bundle");
    refused("a root that the present root key did not sign", &foreign, threshold);

    let tampered = altered(&good, "/director/targets/nodes~1box-1~1desired.json", |document| {
        document.replace("intruder", "burglar0")
    });
    refused("a tampered document", &tampered, "nodes/box-1/desired.json has the sha");

    refused("garbage", b"\x00\xffno document at all", "not a readable bundle");
    let format = altered(&good, "/format", |_| "skerry-bundle/9".to_owned());
    refused("another format", &format, "'skerry-bundle/2' is understood");
    let mut oversized = good.clone();
    oversized.resize((8 << 20) + 1, b' ');
    refused("one byte too many", &oversized, "more than the 8388608 allowed");

    // So much that the broker may not even pass it on; the next document must come all the same.
    oversized.resize(9 << 20, b' ');
    site.broker.retain(&topic(BOX, "desired"), &oversized);

    let report = site.retained(BOX, "report").expect("a report is kept");
    assert!(report.len() < 64 * 1024, "many refusals keep a report small: {}", report.len());
    let said = site.fleet.run(["publish", "--node", BOX, "--wait", "30s"]).ok();
    assert!(said.stdout.contains("accepted document 2"), "the true one is still taken: {said}");
    let _ = until_running(&node, ["intruder"]);
}

#[test]
fn what_is_old_or_for_somebody_else_is_refused_with_its_reason() {
    let site = Site::new();
    let (node, image, pids) = at_work(&site);
    let first = fs::read(site.fleet.folder().join("new.bundle")).expect("the first bundle");
    let before = site.fleet.fork(&site.scratch, "before");
    let same = [sensor("one", &image, "a"), sensor("two", &image, "a")];
    let other = [sensor("intruder", &image, "x")];
    let _ = site.fleet.roll_out(BOX, &same);
    let refused = |what: &str, bytes: &[u8], why: &str| {
        must_be_refused(&site, &node, pids, what, bytes, why);
    };

    refused("the first bundle, played again", &first, "timestamp version 1 is older than");

    // The same keys in two hands: whoever has an older workspace signs on from there.
    let _ = before.run(["refresh"]).ok();
    let _ = before.run(["refresh"]).ok();
    let _ = before.run(["publish", "--node", BOX]).ok();
    let reissued = site.broker.retained(&topic(BOX, "desired")).expect("it is kept");
    refused(
        "an older version in newer metadata",
        reissued.trim_end().as_bytes(),
        "version 1 is older than version 2, which is in force",
    );

    let _ = before.sign(["--node", BOX], &other);
    let twin = before.sign(["--node", "box-2"], &other);
    let _ = before.run(["publish", "--node", BOX]).ok();
    let same_version = site.broker.retained(&topic(BOX, "desired")).expect("it is kept");
    refused(
        "the same version with other content",
        same_version.trim_end().as_bytes(),
        "another document with the same version has digest",
    );

    refused("another node's document", &twin, "is for node 'box-2', not for node 'box-1'");
    let renamed = String::from_utf8(twin.clone()).expect("bundles are text");
    let path = |node: &str| format!("\"nodes/{node}/desired.json\":");
    let renamed = renamed.replacen(&path("box-2"), &path(BOX), 1);
    assert_ne!(renamed.as_bytes(), twin, "the path was found and changed");
    refused(
        "another node's document under this node's name",
        renamed.as_bytes(),
        "nodes/box-1/desired.json has",
    );
    let group = before.sign(["--group", "cameras"], &other);
    refused("a group's document, the node not being in it", &group, "is for group 'cameras'");

    let expired = Signer::of(&before).bundle_until(BOX, 40, &other, later(-60));
    let expired = expired.to_bytes().expect("a bundle");
    refused("expired metadata", &expired, "timestamp expired");
}

#[test]
fn a_refusal_is_acknowledged_and_told_once_however_often_the_document_comes() {
    let mut site = Site::new();
    let bad = site.fleet.sign(["--node", "box-2"], &[]);
    site.broker.retain(&topic(BOX, "desired"), &bad);
    // Only the bad document is kept by the broker from here on: each of its crashes takes the
    // session, so that the document comes again each time.
    site.broker.save();
    let node = site.node(BOX);
    let why = "is for node 'box-2'";
    let row = row_when(&site, BOX, why, |row| contains(&row["note"], why));
    assert_eq!(row["refused"].as_array().map(Vec::len), Some(1), "{row}");
    until("the refused document is acknowledged", PATIENCE, || {
        deliveries(&site).is_empty().then_some(())
    });

    let log = site.scratch.path().join("reports.log");
    let mut listener = site.broker.listen(&topic(BOX, "report"), &log);
    let heard = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    until("the kept report is heard", PATIENCE, || (heard() == 1).then_some(()));
    for _ in 0..20 {
        site.broker.retain(&topic(BOX, "desired"), &bad);
    }
    until("all are acknowledged", PATIENCE, || deliveries(&site).is_empty().then_some(()));
    // Had the same refusal been told again, it would have been before this other one.
    site.broker.retain(&topic(BOX, "desired"), b"another");
    until("the other refusal is told", PATIENCE, || (heard() >= 2).then_some(()));
    assert_eq!(heard(), 2, "the same refusal is not told again\n{}", listener.log());
    listener.kill9();
    let counts: Vec<_> =
        status(&node)["refused"].as_array().into_iter().flatten().cloned().collect();
    assert_eq!(counts[0]["count"], 21, "each time is counted, though: {counts:?}");

    for _ in 0..3 {
        site.broker.restart();
        connected(&node);
        until("it came again and was acknowledged", PATIENCE, || {
            let log = fs::read_to_string(site.broker.log_file()).unwrap_or_default();
            let last = log.rsplit_once(" starting").map_or("", |(_, last)| last);
            (last.contains("Received PUBACK") && unacknowledged(last).is_empty()).then_some(())
        });
    }
    let log = fs::read_to_string(site.broker.log_file()).expect("the broker's log");
    let told = log.lines().filter(|line| {
        line.contains("Received PUBLISH from skerry:default:box-1") && line.contains("/report'")
    });
    let told = told.count();
    assert!(told <= 10, "{told} reports for two refusals and three reconnects");
    let mine = refusals(&node);
    let mine = mine.iter().filter(|reason| reason.contains(why));
    assert_eq!(mine.count(), 1, "one document, one line");
}

/// Deliveries of documents that the node has not acknowledged, by the broker's log.
fn deliveries(site: &Site) -> Vec<String> {
    unacknowledged(&fs::read_to_string(site.broker.log_file()).unwrap_or_default())
}

fn unacknowledged(log: &str) -> Vec<String> {
    let mut open = Vec::new();
    for line in log.lines() {
        if line.contains("Sending PUBLISH to skerry:default:box-1") {
            open.extend(
                line.split(", ").find_map(|part| part.strip_prefix('m')).map(str::to_owned),
            );
        } else if line.contains("Received PUBACK from skerry:default:box-1") {
            let id = line.split("Mid: ").nth(1).and_then(|rest| rest.split(',').next());
            open.retain(|open| Some(open.as_str()) != id);
        }
    }
    open
}

#[test]
fn a_new_root_signed_by_the_old_one_travels_with_a_document_and_is_followed() {
    let site = Site::new();
    let (node, image, pids) = at_work(&site);
    let old = Signer::of(&site.fleet);
    let stale = site.fleet.fork(&site.scratch, "stale");

    let mut new = old.clone();
    (new.root, new.targets) = (key(11), key(12));
    new.roots.push(old.next_root(&new));
    new.install(&site.fleet);
    let one = sensor("one", &image, "a");
    let _ = site.fleet.roll_out(BOX, &[one.clone(), sensor("two", &image, "b")]);
    let [kept, _] = until_running(&node, ["one", "two"]);
    assert_eq!(kept, pids[0], "a new root touches no agent");

    // The old keys have lost their say, also over a root of their own.
    let pids = until_running(&node, ["one", "two"]);
    for _ in 0..4 {
        let _ = stale.run(["refresh"]).ok();
    }
    let _ = stale.sign(["--node", BOX], std::slice::from_ref(&one));
    let bundle = fs::read(stale.folder().join("new.bundle")).expect("the stale bundle");
    let why = "targets: 0 of 1 required signatures are valid (keys of root version 2)";
    must_be_refused(&site, &node, pids, "a document of the old targets key", &bundle, why);
    let mut usurper = old.clone();
    usurper.roots = new.roots.clone();
    usurper.roots.push(usurper.next_root(&old));
    let bundle = usurper.bundle(BOX, 30, std::slice::from_ref(&one)).to_bytes().expect("a bundle");
    let why = "root: 0 of 1 required signatures are valid (keys of root version 2)";
    must_be_refused(&site, &node, pids, "a root of the old root key", &bundle, why);

    // A third root, for which the second is enough; also for a node that knows only the first.
    let mut newest = new.clone();
    newest.root = key(13);
    newest.roots.push(new.next_root(&newest));
    for _ in 0..8 {
        // The forged one was no release, but the stale ones were.
        let _ = site.fleet.run(["refresh"]).ok();
    }
    newest.install(&site.fleet);
    let _ = site.fleet.roll_out(BOX, std::slice::from_ref(&one));
    assert_eq!(until_running(&node, ["one"]), [kept]);

    let first = Roots::new(old.roots[0].clone(), old.images.roots[0].clone()).to_text();
    let first = site.scratch.file("first.root.json", &first);
    let late = site.setup("box-2").root(&first).start();
    site.welcome(&late);
    let _ = site.fleet.roll_out("box-2", std::slice::from_ref(&one));
    let _ = until_running(&late, ["one"]);
}

#[test]
fn a_groups_document_is_followed_by_its_nodes_alone() {
    let site = Site::new();
    let member = |name: &str| {
        let groups: Vec<toml::Value> = vec!["cameras".into(), "north".into()];
        let node = site.setup(name).set("groups", groups).start();
        site.welcome(&node);
        connected(&node);
        node
    };
    let (one, two) = (member(BOX), member("box-2"));
    let other = site.node("box-3");
    let image = site.pack(&other);
    let _ = site.fleet.sign(["--group", "cameras"], &[sensor("eye", &image, "a")]);
    let _ = site.fleet.run(["publish", "--group", "cameras"]).ok();
    let _ = until_running(&one, ["eye"]);
    let _ = until_running(&two, ["eye"]);
    assert!(status(&one)["document"]["audience"].as_str().is_some_and(|a| a.contains("cameras")));
    let row = row_when(&site, "box-2", "the group's document", |row| row["document"] == 1);
    assert_eq!(row["signature"], "ok", "{row}");
    assert_eq!((version(&other), refusals(&other).len()), (0, 0), "not asked, and not bothered");
    assert!(agents(&other).is_empty());
}

#[test]
fn a_report_or_presence_that_the_node_did_not_sign_is_never_shown_as_its_own() {
    let site = Site::new();
    let (node, image, _) = at_work(&site);
    let own = row_when(&site, BOX, "both agents", |row| row["running"] == 2);
    assert_eq!(own["signature"], "ok", "{own}");
    let genuine = site.retained(BOX, "report").expect("the node's report is kept");
    let genuine = genuine.trim_end();
    let payload: Value = serde_json::from_str(genuine).expect("an envelope");
    let payload = payload["payload"].as_str().expect("a payload").to_owned();

    let bad = |what: &str, bytes: &[u8], why: &str| {
        site.broker.retain(&topic(BOX, "report"), bytes);
        let row = row_when(&site, BOX, what, |row| row["signature"] == "BAD");
        assert!(contains(&row["note"], why), "{what}: {row}");
        assert_eq!((&row["document"], &row["agents"]), (&Value::Null, &json!({})), "{what}: {row}");
        let table = site.fleet.run(["status"]).ok().stdout;
        let line = table.lines().find(|line| line.starts_with(BOX)).unwrap_or_default().to_owned();
        assert!(line.contains("BAD"), "{what}: the table says so too: {table}");
        site.broker.retain(&topic(BOX, "report"), genuine.as_bytes());
        let _ = row_when(&site, BOX, "the true report again", |row| row["signature"] == "ok");
    };
    let lie = payload.replace("running", "stopped");
    assert_ne!(lie, payload);
    let sealed = seal(&key(7), &lie).expect("sealing");
    bad("a report signed by somebody else", &sealed, "but key");
    let altered = genuine.replace("running", "stopped");
    bad("an altered report", altered.as_bytes(), "does not fit the text");
    bad("no report at all", b"{}", "not a signed text");

    let second = site.node("box-2");
    let foreign = until("the second node reports", PATIENCE, || site.retained("box-2", "report"));
    bad("another node's report", foreign.trim_end().as_bytes(), "but key");
    let presence = json!({ "node": BOX, "online": false, "bootId": "x" }).to_string();
    let sealed = seal(&key(7), &presence).expect("sealing");
    site.broker.retain(&topic(BOX, "status"), &sealed);
    let row = row_when(&site, BOX, "no trust in the presence", |row| row["online"].is_null());
    assert_eq!(row["signature"], "ok", "{row}");

    site.broker.retain(&topic("ghost", "report"), foreign.trim_end().as_bytes());
    let row =
        row_when(&site, "ghost", "a node that nobody knows", |row| !row["signature"].is_null());
    assert_eq!(row["signature"], "unknown key", "{row}");
    assert_eq!(row["total"], Value::Null, "{row}");

    // Neither did the nodes mind.
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let _ = until_running(&node, ["one"]);
    drop(second);
}

#[test]
fn a_name_belongs_to_one_source_and_both_sides_are_told() {
    let site = Site::new();
    let node = site.node(BOX);
    let image = site.pack(&node);
    let local = json!({ "agents": [sensor("door", &image, "local")] }).to_string();
    let _ = node.cli_with_input(["apply", "-f", "-"], local.as_bytes()).ok();
    let [mine] = until_running(&node, ["door"]);

    let wanted = [sensor("door", &image, "fleet"), sensor("meter", &image, "fleet")];
    let _ = site.fleet.roll_out(BOX, &wanted);
    let [still, meter] = until_running(&node, ["door", "meter"]);
    assert_eq!(still, mine, "the local agent keeps its name and its process");
    let row = row_when(&site, BOX, "the clash", |row| contains(&row["note"], "agent door is not"));
    assert_eq!(row["agents"]["door"]["source"], "local", "{row}");
    assert_eq!(row["agents"]["meter"]["source"], "fleet", "{row}");

    for words in [&["stop", "meter"][..], &["restart", "meter"], &["rm", "-f", "meter"]] {
        let said = node.cli(words).refused();
        assert!(
            said.stderr.contains("'meter' belongs to the fleet's document (version 1)"),
            "{said}"
        );
    }
    let taken = json!({ "agents": [sensor("meter", &image, "local")] }).to_string();
    let said = node.cli_with_input(["apply", "-f", "-"], taken.as_bytes()).refused();
    assert!(said.stderr.contains("belongs to the fleet's document (version 1)"), "{said}");
    assert_eq!(running(&node, ["door", "meter"]), Some([mine, meter]), "refusals touch nothing");

    let _ = node.cli(["rm", "-f", "door"]).ok();
    node.until("the fleet's agent takes the name", PATIENCE, |node| {
        let list = agents(node);
        let door = list.iter().find(|agent| agent["name"] == "door")?;
        (door["source"] == "fleet" && door["state"] == "running").then_some(())
    });
    let row = row_when(&site, BOX, "no clash", |row| row["note"].is_null());
    assert_eq!(row["running"], 2, "{row}");
}

#[test]
fn who_would_remove_an_agent_of_the_fleet_is_not_sent_to_a_command_that_is_refused() {
    let site = Site::new();
    let (node, _, pids) = at_work(&site);
    let said = node.cli(["rm", "one"]).refused();
    assert!(said.stderr.contains("'one' belongs to the fleet's document (version 1)"), "{said}");
    assert_eq!(running(&node, ["one", "two"]), Some(pids));
}

#[test]
fn a_node_without_a_root_refuses_every_document_and_says_what_to_set() {
    let site = Site::new();
    let node = Node::setup(&site.scratch, BOX).connect(&site.broker).start();
    site.welcome(&node);
    connected(&node);
    let image = site.pack(&node);
    let _ = site.fleet.sign(["--node", BOX], &[sensor("one", &image, "a")]);
    let said = site.fleet.run(["publish", "--node", BOX, "--wait", "30s"]).refused();
    let why = "this node has no trust root; set trust.root in its configuration";
    assert!(said.stderr.contains(why), "{said}");
    assert_eq!(refusals(&node), [why]);
    assert!(agents(&node).is_empty());

    let root = site.fleet.root().to_string_lossy().into_owned();
    let mut node = node.reconfigured("trust.root", root);
    node.restart();
    connected(&node);
    let said = site.fleet.run(["publish", "--node", BOX, "--wait", "30s"]).ok();
    assert!(said.stdout.contains("accepted document 1"), "{said}");
    let _ = until_running(&node, ["one"]);
}
