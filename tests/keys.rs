//! Keys, tokens and the audit log end to end: who may say what, and what is noticed when somebody else does.
//!
//! A broker that lies, a node that is killed while it writes its log, an operator with encrypted keys. That only
//! signed documents are followed is in `fleet.rs`. Start at [`Site`].
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose set-up fails has failed, and must say so at once"
)]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use skerry_tests::site::{
    PATIENCE, agents, connected, refusals, row_when, sensor, status, topic, until_running,
};
use skerry_tests::{Fleet, Node, Scratch, Site, until};

const BOX: &str = "box-1";

fn contains(value: &Value, part: &str) -> bool {
    value.as_str().is_some_and(|text| text.contains(part))
}

fn entries(node: &Node) -> Vec<Value> {
    let list = node.cli(["audit", "-n", "0", "--format", "json"]).ok().json();
    list.as_array().cloned().unwrap_or_default()
}

fn verify(site: &Site, node: &Node) -> String {
    let log = site.fleet.folder().join("audit.log");
    let _ = node.cli(["audit", "export", &log.to_string_lossy()]).ok();
    site.fleet.run(["audit", "verify", "audit.log", "--node", BOX]).ok().stdout
}

#[test]
fn what_was_accepted_refused_and_run_is_in_the_log_and_holds_off_the_device() {
    let site = Site::new();
    let node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let local = json!({ "agents": [sensor("mine", &image, "local")] }).to_string();
    let _ = node.cli_with_input(["apply", "-f", "-"], local.as_bytes()).ok();
    let _ = until_running(&node, ["one", "mine"]);
    // Asked for again, nothing is changed, and nothing is written.
    let before = entries(&node).len();
    let _ = node.cli_with_input(["apply", "-f", "-"], local.as_bytes()).ok();
    assert_eq!(entries(&node).len(), before);
    site.broker.retain(&topic(BOX, "desired"), b"garbage");
    node.until("it is refused", PATIENCE, |node| (!refusals(node).is_empty()).then_some(()));
    let _ = node.cli(["rm", "-f", "mine"]).ok();
    node.until("it ends", PATIENCE, |node| (agents(node).len() == 1).then_some(()));

    let list = entries(&node);
    let find = |kind: &str, subject: &str| {
        let event = list.iter().map(|entry| &entry["event"]);
        let mut event = event.filter(|e| e["kind"] == kind && e["subject"] == subject);
        event.next().unwrap_or_else(|| panic!("no {kind} {subject} in {list:#?}")).clone()
    };
    let accepted = find("accepted", "node 'box-1'");
    assert_eq!(accepted["version"], 1, "{accepted}");
    assert_eq!(accepted["by"].as_array().map(Vec::len), Some(1), "{accepted}");
    assert_eq!(find("started", "one")["by"], accepted["by"], "the same key authorised it");
    assert_eq!(find("started", "mine")["detail"], "local");
    let wish = find("wish", "apply");
    assert_eq!((&wish["by"], &wish["detail"]), (&json!(["uid:0"]), &json!("created mine")));
    assert!(contains(&find("refused", "bundle")["detail"], "not a readable bundle"));
    assert_eq!(find("wish", "rm mine")["by"], json!(["uid:0"]));
    let _ = find("stopped", "mine");

    let said = verify(&site, &node);
    assert!(said.contains("of node 'box-1', signed by it"), "{said}");
    let _ = row_when(&site, BOX, "a report", |row| row["running"] == 1);
    let said = verify(&site, &node);
    assert!(said.contains("is as the node reported it over the network"), "{said}");
}

#[test]
fn a_log_that_was_tampered_with_fails_with_the_entry() {
    let site = Site::new();
    let node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a"), sensor("two", &image, "a")]);
    let _ = verify(&site, &node);
    let path = site.fleet.folder().join("audit.log");
    let whole = fs::read_to_string(&path).expect("the log");
    let lines: Vec<_> = whole.lines().collect();
    assert!(lines.len() > 4, "{whole}");
    let refused = |content: String, why: &str| {
        fs::write(&path, content).expect("writing");
        let said = site.fleet.run(["audit", "verify", "audit.log", "--node", BOX]).refused();
        assert!(said.stderr.contains(why), "{why}: {said}");
    };
    refused(whole.replacen("\"subject\":\"one\"", "\"subject\":\"six\"", 1), "was changed");
    refused([&lines[..2], &lines[3..]].concat().join("\n"), "entries 2 to 2 are missing");
    refused(lines[..lines.len() - 1].join("\n"), "the end is missing");
    let swapped = [&lines[..2], &[lines[3], lines[2]], &lines[4..]].concat();
    refused(swapped.join("\n"), "entries 2 to 2 are missing");

    // Another node's log is not this one's.
    let other = site.node("box-2");
    let _ = other.cli(["audit", "export", &path.to_string_lossy()]).ok();
    let said = site.fleet.run(["audit", "verify", "audit.log", "--node", BOX]).refused();
    assert!(said.stderr.contains("is not signed by the node"), "{said}");
    let key = status(&other)["publicKey"].as_str().expect("a key").to_owned();
    let _ = site.fleet.run(["audit", "verify", "audit.log", "--key", &key]).ok();
}

#[test]
fn a_log_that_was_deleted_stays_noticed_although_later_reports_name_the_new_one() {
    let site = Site::new();
    let mut node = site.node(BOX);
    for number in 0..10 {
        let _ = node.cli(["config", "set", &format!("c{number}"), "A=b"]).ok();
    }
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let row = row_when(&site, BOX, "its agent", |row| row["running"] == 1);
    assert_eq!(row["auditBreak"], Value::Null, "{row}");
    assert!(verify(&site, &node).contains("is as the node reported it over the network"));

    node.kill9();
    fs::remove_dir_all(node.folder().join("state/audit")).expect("deleting the log");
    node.restart();
    connected(&node);
    let row = row_when(&site, BOX, "that the log began anew", |row| !row["auditBreak"].is_null());
    assert!(contains(&row["note"], "the log was deleted or written anew"), "{row}");
    let log = site.fleet.folder().join("audit.log");
    let _ = node.cli(["audit", "export", &log.to_string_lossy()]).ok();
    let said = site.fleet.run(["audit", "verify", "audit.log", "--node", BOX]);
    assert_eq!(said.status.code(), Some(3), "{said}");
    assert!(said.stdout.contains("the node's reports: it reported entry"), "{said}");
    // Nor is it forgotten when the node is approved anew.
    let _ = site.fleet.run(["nodes", "approve", BOX]).ok();
    let row = row_when(&site, BOX, "its report", |row| row["signature"] == "ok");
    assert!(!row["auditBreak"].is_null(), "{row}");
}

#[test]
fn a_node_that_is_killed_while_it_writes_leaves_a_whole_log() {
    let site = Site::new();
    let mut node = site.node(BOX);
    let segment = node.folder().join("state/audit/1.log");
    for round in 0..4 {
        let words = format!("LEVEL={round}");
        for number in 0..10 {
            let _ = node.cli(["config", "set", &format!("c{number}"), &words]).ok();
        }
        node.kill9();
        if round % 2 == 1 {
            // What a power cut leaves of an entry that was being written.
            let mut content = fs::read(&segment).expect("the log");
            content.extend_from_slice(b"{\"seq\":99,\"prev\":\"sha2");
            fs::write(&segment, content).expect("writing");
        }
        node.restart();
    }
    let said = verify(&site, &node);
    assert!(said.contains("22 bytes, which were no whole entry, were cut off"), "{said}");
    let kinds: Vec<_> = entries(&node).iter().map(|e| e["event"]["kind"].clone()).collect();
    let count = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
    assert_eq!((count("wish"), count("began"), count("cut")), (40, 5, 2), "{kinds:?}");
}

#[test]
fn a_report_that_the_broker_plays_again_is_told_apart_from_the_nodes_own() {
    let site = Site::new();
    let mut node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let _ = row_when(&site, BOX, "one agent", |row| row["running"] == 1);
    let old = site.retained(BOX, "report").expect("a report");
    let _ = site.fleet.roll_out(BOX, &[]);
    let _ = row_when(&site, BOX, "no agent", |row| row["total"] == 0);

    site.broker.retain(&topic(BOX, "report"), old.trim_end().as_bytes());
    let row = row_when(&site, BOX, "the replay", |row| row["signature"] == "REPLAYED");
    assert!(contains(&row["note"], "played again (counter"), "{row}");
    assert_eq!((&row["document"], &row["running"]), (&Value::Null, &Value::Null), "{row}");
    let watch = site.fleet.start("watch", ["watch"]);
    until("watch tells it, too", PATIENCE, || watch.log().contains("played again").then_some(()));

    // After a crash the node goes on above every counter that it ever used.
    node.kill9();
    node.restart();
    connected(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("two", &image, "a")]);
    let row = row_when(&site, BOX, "its own report", |row| row["signature"] == "ok");
    assert_eq!(row["running"], 1, "{row}");
}

#[test]
fn a_token_takes_one_node_in_and_a_revoked_key_counts_no_longer() {
    let site = Site::new();
    let token = site.fleet.run(["token", "create", "--expires", "1h"]).ok();
    let token = token.stdout.trim().to_owned();
    let setup = |name: &str| site.setup(name).set("enrol.token", token.as_str());
    let node = setup(BOX).start();
    connected(&node);
    let row = row_when(&site, BOX, "that it is known", |row| row["signature"] == "ok");
    assert_eq!(row["document"], Value::Null, "{row}");
    let listed = site.fleet.run(["token", "ls"]).ok();
    assert!(listed.stdout.contains("used") && listed.stdout.contains(BOX), "{listed}");
    let report = site.retained(BOX, "report").expect("a report");
    let secret = token.split('.').nth(1).expect("a token has three parts");
    assert!(!report.contains(secret), "what is secret of a token does not go over the network");

    let second = setup("box-2").start();
    connected(&second);
    let row = row_when(&site, "box-2", "a stranger", |row| row["signature"] == "unknown key");
    assert!(contains(&row["note"], "nodes approve box-2"), "{row}");
    let said = site.fleet.run(["status"]).ok();
    assert!(
        said.stderr.contains("'box-2' is not taken in: the token is used up (by box-1)"),
        "{said}"
    );

    // Once it follows a document of the fleet, it does not bring the token any more.
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let _ = row_when(&site, BOX, "its agent", |row| row["running"] == 1);
    assert!(!site.retained(BOX, "report").expect("a report").contains("enrolment"));

    let _ = site.fleet.run(["nodes", "revoke", BOX, "--reason", "stolen"]).ok();
    let row = row_when(&site, BOX, "the revocation", |row| row["signature"] == "REVOKED");
    assert!(contains(&row["note"], ": stolen"), "{row}");
    assert_eq!((&row["running"], &row["agents"]), (&Value::Null, &json!({})), "{row}");
    let said = site.fleet.run(["nodes", "approve", BOX]).refused();
    assert!(said.stderr.contains("was revoked; give the device another"), "{said}");
    let said = site.fleet.run(["publish", "--node", BOX, "--wait", "5s"]).refused();
    assert!(said.stderr.contains("nodes approve box-1"), "{said}");
}

#[test]
fn a_stolen_node_does_not_come_back_by_its_token_with_a_new_key() {
    let site = Site::new();
    let token = site.fleet.run(["token", "create", "--uses", "100"]).ok();
    let token = token.stdout.trim().to_owned();
    let setup = |name: &str| site.setup(name).set("enrol.token", token.as_str());
    let mut node = setup(BOX).start();
    connected(&node);
    let _ = row_when(&site, BOX, "that it is known", |row| row["signature"] == "ok");
    let said = site.fleet.run(["nodes", "revoke", BOX]).ok();
    assert!(said.stdout.contains("lets 99 more in by any name"), "{said}");
    let (_, id) = said.stdout.rsplit_once("token revoke ").expect("the next step");

    node.kill9();
    fs::remove_file(node.folder().join("state/identity/node.key")).expect("removing the key");
    node.restart();
    connected(&node);
    let row = row_when(&site, BOX, "a stranger", |row| row["signature"] == "unknown key");
    assert_eq!(row["document"], Value::Null, "{row}");
    let said = site.fleet.run(["status"]).ok();
    assert!(said.stderr.contains("and no token brings that name back"), "{said}");

    let _ = site.fleet.run(["token", "revoke", id.trim()]).ok();
    let second = setup("box-2").start();
    connected(&second);
    let _ = row_when(&site, "box-2", "a stranger", |row| row["signature"] == "unknown key");
    let said = site.fleet.run(["status"]).ok();
    assert!(said.stderr.contains("'box-2' is not taken in: the token was revoked on"), "{said}");
}

#[test]
fn encrypted_keys_sign_with_their_passphrase_and_with_no_other() {
    let scratch = Scratch::new();
    let mut fleet = Fleet::new(&scratch);
    // On a terminal a person would be asked.
    if fs::File::open("/dev/tty").is_err() {
        let said = fleet.run(["init"]).refused();
        assert!(said.stderr.contains("set SKERRY_PASSPHRASE"), "nobody can be asked: {said}");
    }
    let secret = scratch.file("passphrase", "correct horse\n");
    fleet.set("SKERRY_PASSPHRASE_FILE", &secret);
    let said = fleet.run(["init"]).ok();
    assert!(said.stdout.contains("the keys are encrypted"), "{said}");
    let key = fleet.workspace().join("keys/online/targets.key");
    let text = fs::read_to_string(&key).expect("a key file");
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{text}");
    let image = format!("sha256:{}", "a".repeat(64));
    let _ = fleet.sign(["--node", BOX], &[sensor("one", &image, "a")]);
    let _ = fleet.run(["key", "rotate", "timestamp"]).ok();
    let listed = fleet.run(["key", "ls"]).ok().stdout;
    assert_eq!(listed.matches(" encrypted").count(), 8, "{listed}");
    let changed = fs::read_to_string(fleet.workspace().join("keys/online/timestamp.key"));
    assert!(changed.expect("a key file").contains("ENCRYPTED"), "a new key is no less protected");

    fleet.set("SKERRY_PASSPHRASE", "battery staple");
    let said = fleet.run(["refresh"]).refused();
    assert!(said.stderr.contains("cannot be decrypted: the passphrase is wrong"), "{said}");
    let _ = fleet.run(["key", "show", "root"]).ok();
}

#[test]
fn what_expires_soon_is_told_before_it_does() {
    let site = Site::new();
    let settings = site.fleet.workspace().join("fleet.toml");
    let text = fs::read_to_string(&settings).expect("the settings");
    fs::write(&settings, text.replace("timestamp = \"30d\"", "timestamp = \"200d\""))
        .expect("writing");
    let _ = site.fleet.sign(["--node", BOX], &[]);
    let calm = site.fleet.run(["publish", "--node", BOX]).ok();
    assert!(!calm.stderr.contains("expires in"), "{calm}");
    age(&settings, "timestamp = \"200d\"", "timestamp = \"900d\"");
    let said = site.fleet.run(["publish", "--node", BOX]).ok();
    assert!(said.stderr.contains("the timestamp of director expires in"), "{said}");
    assert!(said.stderr.contains("skerry-fleet refresh"), "{said}");
}

/// Has signatures count as old, by a rule that would have them hold longer.
fn age(settings: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(settings).expect("the settings");
    fs::write(settings, text.replace(from, to)).expect("writing");
}
