//! The link to the fleet when it fails: broker gone, node killed, certificates wrong.
//!
//! What must hold: agents never wait for the broker, nothing that the node acknowledged is lost, and
//! the operator sees what is so. Documents themselves are in `fleet.rs`; what a hundred crashes do to
//! acknowledged ones is in [`durable`]. Start at [`Site`].
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose set-up fails has failed, and must say so at once"
)]

#[path = "broker/durable.rs"]
mod durable;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use skerry_core::trust::PublicKey;
use skerry_core::trust::detached::open;
use skerry_tests::certificates::Authority;
use skerry_tests::mosquitto::Access;
use skerry_tests::site::{
    PATIENCE, agents, connected, lives, running, sensor, status, topic, until_running, version,
};
use skerry_tests::{Node, Scratch, Site, until};

const BOX: &str = "box-1";
/// How soon a node that is connected again has told what a broker may have forgotten.
const AGAIN: Duration = Duration::from_secs(10);

fn link(node: &Node) -> String {
    status(node)["link"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the link's text holds these words.
fn until_link(node: &Node, words: &str) {
    node.until(&format!("the link says '{words}'"), PATIENCE, |node| {
        link(node).contains(words).then_some(())
    });
}

fn until_offline(node: &Node) {
    node.until("the node sees that the broker is gone", PATIENCE, |node| {
        (link(node) != "connected").then_some(())
    });
}

/// What stands in a signed text, after its signature was checked against the node's own key.
fn signed(node: &Node, envelope: &str) -> Value {
    let status = status(node);
    let key = status["publicKey"].as_str().expect("a status holds the node's key");
    opened(key, envelope)
}

fn opened(key: &str, envelope: &str) -> Value {
    let key = PublicKey::from_hex(key).expect("a public key");
    let text = open(envelope.trim_end().as_bytes(), &key).expect("signed by the node");
    serde_json::from_str(text.payload()).expect("JSON inside")
}

/// The retained report, once it fulfils a condition.
fn report_when(site: &Site, node: &Node, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    node.until(&format!("a signed report: {what}"), PATIENCE, |node| {
        let report = signed(node, &site.retained(BOX, "report")?);
        holds(&report).then_some(report)
    })
}

fn counter(report: &Value) -> u64 {
    report["counter"].as_u64().expect("a report has a counter")
}

/// Ends everything that a reboot ends, by the power cord: node, monitors, agents, run folder.
fn lose_power(node: &mut Node, scratch: &Scratch) {
    node.kill9();
    let folder = node.folder().to_string_lossy().into_owned();
    let others = || -> Vec<u32> {
        let all = fs::read_dir("/proc").expect("the list of processes").flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let of_the_node = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&folder)
        };
        pids.filter(|pid| *pid != std::process::id()).filter(of_the_node).collect()
    };
    until("everything of the node is dead", PATIENCE, || {
        let all: BTreeSet<u32> = others().into_iter().chain(scratch.contained()).collect();
        all.iter().for_each(|pid| kill(*pid));
        all.is_empty().then_some(())
    });
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the list of mounts");
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    for point in points.filter(|point| point.starts_with(&folder)) {
        let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
    }
    fs::remove_dir_all(node.folder().join("run")).expect("the run folder goes with a reboot");
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[test]
fn a_cold_boot_without_a_broker_starts_the_last_document() {
    let mut site = Site::new();
    let mut node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a"), sensor("two", &image, "a")]);
    let before = until_running(&node, ["one", "two"]);
    site.broker.kill9();
    lose_power(&mut node, &site.scratch);
    assert!(!before.iter().any(|pid| lives(*pid)), "nothing is left of the last boot");

    let begun = Instant::now();
    node.restart();
    let _ = until_running(&node, ["one", "two"]);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "agents ran {took:?} after the boot");
    assert_eq!(version(&node), 1);
    until_link(&node, "connection refused");
    let pids = until_running(&node, ["one", "two"]);

    site.broker.restart();
    connected(&node);
    let report = report_when(&site, &node, "both run, at the new boot", |report| {
        report["agents"]["one"]["pid"] == pids[0] && report["agents"]["two"]["pid"] == pids[1]
    });
    assert_eq!(report["document"]["version"], 1, "{report}");
    assert_eq!(running(&node, ["one", "two"]), Some(pids), "the broker's return touches no agent");
}

#[test]
fn a_node_that_lost_its_state_gets_its_document_again_from_a_broker_that_knows_it() {
    let site = Site::new();
    let mut node = site.node(BOX);
    let _ = site.fleet.roll_out(BOX, &[]);
    assert_eq!(version(&node), 1);
    assert!(node.stop().success(), "it ends in an orderly way: the broker keeps its session");

    fs::remove_dir_all(node.folder().join("state")).expect("a disk flashed anew");
    node.restart();
    node.until("document 1 is in force again", PATIENCE, |node| (version(node) == 1).then_some(()));
}

#[test]
fn a_broker_that_forgot_everything_hears_all_of_it_again() {
    let mut site = Site::new();
    let node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let pids = until_running(&node, ["one"]);
    let before =
        report_when(&site, &node, "one runs", |report| report["agents"]["one"]["pid"] == pids[0]);

    // It was never asked to save: what it kept for its clients is gone.
    site.broker.restart();
    assert_eq!(site.retained(BOX, "desired"), None, "the broker did forget");
    connected(&node);
    let row = until("the operator sees the node again", PATIENCE, || {
        site.fleet.row(BOX).filter(|row| row["online"] == true)
    });
    let row = until(&format!("its report is there again as well, unlike in {row}"), AGAIN, || {
        site.fleet.row(BOX).filter(|row| row["signature"] == "ok")
    });
    assert_eq!((&row["document"], &row["running"]), (&json!(1), &json!(1)), "{row}");
    let after = report_when(&site, &node, "again", |_| true);
    assert!(counter(&after) >= counter(&before), "{before}\n{after}");
    assert_eq!(running(&node, ["one"]), Some(pids), "no agent noticed");

    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a"), sensor("two", &image, "a")]);
    let [one, _] = until_running(&node, ["one", "two"]);
    assert_eq!([one], pids, "it listens again, and goes on");
}

#[test]
fn a_node_that_is_lost_or_leaves_is_shown_as_away_in_its_own_words() {
    let site = Site::new();
    let mut node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let pids = until_running(&node, ["one"]);
    let key = status(&node)["publicKey"].as_str().expect("a key").to_owned();
    let presence = |online: bool| {
        until(&format!("the signed word online={online}"), PATIENCE, || {
            let word = opened(&key, &site.retained(BOX, "status")?);
            (word["node"] == BOX && word["online"] == online).then_some(())
        });
        let row = site.fleet.row(BOX).expect("a row");
        assert_eq!(row["online"], online, "{row}");
        assert_eq!((&row["signature"], &row["running"]), (&json!("ok"), &json!(1)), "{row}");
        let table = site.fleet.run(["status"]).ok().stdout;
        let cells = table.lines().find(|line| line.starts_with(BOX)).unwrap_or_default().to_owned();
        let shown = cells.split_whitespace().nth(1).map(str::to_owned);
        assert_eq!(shown.as_deref(), Some(if online { "yes" } else { "no" }), "{table}");
    };
    presence(true);
    node.kill9();
    presence(false);
    node.restart();
    connected(&node);
    presence(true);
    let ended = node.stop();
    assert!(ended.success(), "SIGTERM is no failure: {ended}");
    presence(false);
    assert!(pids.iter().all(|pid| lives(*pid)), "agents outlive both");
    node.restart();
    connected(&node);
    presence(true);
    assert_eq!(running(&node, ["one"]), Some(pids));
}

#[test]
fn what_changes_while_the_broker_is_away_is_reported_when_it_is_back() {
    let mut site = Site::new();
    let mut node = site.node(BOX);
    let image = site.pack(&node);
    let log = site.scratch.path().join("reports.log");
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let _ = until_running(&node, ["one"]);
    let mut seen = vec![report_when(&site, &node, "one runs", |report| {
        report["agents"]["one"]["state"] == "running"
    })];
    for round in 0..3 {
        site.broker.save();
        site.broker.kill9();
        until_offline(&node);
        let name = format!("local-{round}");
        let local = json!({ "agents": [sensor(&name, &image, "a")] }).to_string();
        let _ = node.cli_with_input(["apply", "-f", "-"], local.as_bytes()).ok();
        node.until("the local agent runs", PATIENCE, |node| {
            let list = agents(node);
            list.iter().any(|a| a["name"] == name && a["state"] == "running").then_some(())
        });
        node.until("the report waits for the broker", PATIENCE, |node| {
            status(node)["outbox"].as_u64().filter(|waiting| *waiting > 0)
        });
        if round > 0 {
            // Not even the crash of the node takes it away.
            node.restart();
        }
        site.broker.restart();
        let mut listener = site.broker.listen(&topic(BOX, "report"), &log);
        connected(&node);
        seen.push(report_when(&site, &node, &name, |report| {
            report["agents"][&name]["state"] == "running"
        }));
        node.until("nothing waits any more", PATIENCE, |node| {
            (status(node)["outbox"] == 0).then_some(())
        });
        listener.kill9();
    }
    let counters: Vec<u64> = seen.iter().map(counter).collect();
    assert!(counters.is_sorted_by(|a, b| a < b), "counters grow over restarts: {counters:?}");
    let key = status(&node)["publicKey"].as_str().expect("a key").to_owned();
    let mut by_counter: BTreeMap<u64, Value> = BTreeMap::new();
    for line in fs::read_to_string(&log).expect("the reports").lines() {
        let Some((_, envelope)) = line.split_once(' ') else { continue };
        let report = opened(&key, envelope);
        let known = by_counter.entry(counter(&report)).or_insert_with(|| report.clone());
        assert_eq!(*known, report, "one counter, one report");
    }
}

#[test]
fn a_broker_that_no_longer_answers_holds_up_nothing() {
    let mut site = Site::new();
    let node = site.setup(BOX).set("broker.keep_alive", "5s").start();
    site.welcome(&node);
    connected(&node);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let pids = until_running(&node, ["one"]);
    // Its connections stay open, and nothing comes over them any more.
    site.broker.pause();
    let begun = Instant::now();
    let local = json!({ "agents": [sensor("here", &image, "a")] }).to_string();
    let _ = node.cli_with_input(["apply", "-f", "-"], local.as_bytes()).ok();
    let [here, one] = until_running(&node, ["here", "one"]);
    assert_eq!([one], pids);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "a local agent began after {took:?}");
    until_offline(&node);

    site.broker.resume();
    connected(&node);
    let _ = report_when(&site, &node, "the local agent", |report| {
        report["agents"]["here"]["pid"] == here && report["agents"]["one"]["pid"] == pids[0]
    });
}

#[test]
fn client_certificates_let_a_node_in_and_a_wrong_authority_is_named() {
    let site = Site::with(Access::ClientCertificate);
    let mut node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let pids = until_running(&node, ["one"]);

    let right = site.broker.authority().expect("this broker has one").certificate();
    let wrong = Authority::new(&site.scratch.folder("wrong")).certificate();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    node.kill9();
    node = node.reconfigured("broker.ca_file", text(&wrong));
    node.restart();
    until_link(&node, "is not signed by an authority in broker.ca_file");
    assert_eq!(running(&node, ["one"]), Some(pids), "agents go on");
    let local = json!({ "agents": [sensor("here", &image, "a")] }).to_string();
    let _ = node.cli_with_input(["apply", "-f", "-"], local.as_bytes()).ok();
    let [here, one] = until_running(&node, ["here", "one"]);
    assert_eq!([one], pids);

    node.kill9();
    node = node.reconfigured("broker.ca_file", "/no/such/authority.pem");
    node.restart();
    until_link(&node, "/no/such/authority.pem");
    assert_eq!(running(&node, ["here", "one"]), Some([here, one]), "agents go on");

    node.kill9();
    node = node.reconfigured("broker.ca_file", text(&right));
    node.restart();
    connected(&node);
    let report = report_when(&site, &node, "what was begun meanwhile", |report| {
        report["agents"]["here"]["state"] == "running"
    });
    assert_eq!(report["agents"]["one"]["pid"], pids[0], "{report}");
}

#[test]
fn a_password_lets_a_node_in_and_a_wrong_one_is_named() {
    let access = Access::Password { user: "skerry".to_owned(), password: "p a\"ss".to_owned() };
    let site = Site::with(access);
    let mut node = site.node(BOX);
    let image = site.pack(&node);
    let _ = site.fleet.roll_out(BOX, &[sensor("one", &image, "a")]);
    let pids = until_running(&node, ["one"]);

    node.kill9();
    node = node.reconfigured("broker.password", "another");
    node.restart();
    until_link(&node, "not authorised");
    until_link(&node, "user 'skerry'");
    let shown = node.cli(["status"]).ok().stdout;
    assert!(!shown.contains("another"), "a password is not shown: {shown}");
    assert!(!node.log().contains("another"), "nor logged: {}", node.log());
    assert_eq!(running(&node, ["one"]), Some(pids), "agents go on");

    node.kill9();
    let file = site.scratch.file("password", "p a\"ss\n");
    let folder = node.folder().to_owned();
    drop(node);
    let again = Node::setup(&site.scratch, BOX)
        .broker(&site.broker.url())
        .root(&site.fleet.root())
        .set("broker.username", "skerry")
        .set("broker.password_file", file.to_string_lossy().into_owned());
    let node = again.start();
    assert_eq!(node.folder(), folder);
    connected(&node);
    assert_eq!(running(&node, ["one"]), Some(pids), "agents go on");
}
