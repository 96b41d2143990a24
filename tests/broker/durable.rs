//! Acknowledged means durable: the node is killed again and again while documents come.
//!
//! Compares what the broker and the operator were told with what the node knows after each crash.
//! The rest of the link is in `broker.rs`.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use skerry_tests::process::{Background, subject};
use skerry_tests::site::{PATIENCE, lives, sensor, status, topic, until_running, version};
use skerry_tests::{Mosquitto, Node, Signer, Site};

use super::{BOX, opened, report_when};

/// How often the node is killed while documents come.
const KILLS: u32 = 110;
/// So many versions share the same agents; in between only the version grows.
const PHASE: u64 = 25;

/// Small numbers that look random and come again with the same seed (`SKERRY_TEST_SEED`).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

fn seed() -> u64 {
    let given = std::env::var("SKERRY_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| u64::from(now.subsec_nanos()) | 1)
    });
    println!("seed {seed}; SKERRY_TEST_SEED={seed} repeats it");
    seed
}

/// Documents in a row, each in a bundle of a size of its own, by which the broker's log tells them
/// apart.
struct Press {
    signer: Signer,
    image: String,
}

impl Press {
    fn agents(&self, version: u64) -> [Value; 2] {
        let phase = format!("phase-{}", version / PHASE);
        [sensor("changing", &self.image, &phase), sensor("steady", &self.image, "a")]
    }

    fn bundle(&self, version: u64) -> Vec<u8> {
        let bundle = self.signer.bundle(BOX, version, &self.agents(version));
        let mut bundle = serde_json::to_value(&bundle).expect("a bundle is JSON");
        bundle["pad"] = "x".repeat(usize::try_from(version).expect("a small number")).into();
        bundle.to_string().into_bytes()
    }
}

/// Publishes one document after another until it is told to stop. Returns the last version.
fn publish_on(
    press: &Press,
    broker: &Mosquitto,
    sizes: &Mutex<HashMap<usize, u64>>,
    stop: &AtomicBool,
    last: &AtomicU64,
    mut chance: Chance,
) {
    while !stop.load(Ordering::SeqCst) {
        let version = last.load(Ordering::SeqCst) + 1;
        let bundle = press.bundle(version);
        let twice = sizes.lock().expect("sizes").insert(bundle.len(), version);
        assert_eq!(twice, None, "each version has a size of its own");
        broker.retain(&topic(BOX, "desired"), &bundle);
        last.store(version, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(chance.below(120)));
    }
}

/// The highest version that the node has acknowledged, by the broker's own log: which size went out
/// under which id, and which ids came back.
fn acknowledged(log: &Path, sizes: &HashMap<usize, u64>) -> (u64, usize) {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let (mut open, mut highest, mut count) = (HashMap::new(), 0, 0);
    for line in text.lines() {
        if line.contains("Sending PUBLISH to skerry:default:box-1") {
            let id = line.split(", ").find_map(|part| part.strip_prefix('m'));
            let size = line.rsplit('(').next().and_then(|rest| rest.split(' ').next());
            let size = size.and_then(|size| size.parse::<usize>().ok());
            if let (Some(id), Some(version)) = (id, size.and_then(|size| sizes.get(&size))) {
                open.insert(id.to_owned(), *version);
            }
        } else if line.contains("Received PUBACK from skerry:default:box-1") {
            let id = line.split("Mid: ").nth(1).and_then(|rest| rest.split(',').next());
            if let Some(version) = id.and_then(|id| open.remove(id)) {
                highest = highest.max(version);
                count += 1;
            }
        }
    }
    (highest, count)
}

/// Returns as soon as the broker has logged one more acknowledgement, or after a while without: what
/// was acknowledged a moment too early is lost by a kill right now.
fn await_acknowledgement(log: &Path) {
    let mut file = fs::File::open(log).expect("the broker's log");
    file.seek(SeekFrom::End(0)).expect("the end of the broker's log");
    let (mut text, begun) = (String::new(), Instant::now());
    while !text.contains("Received PUBACK from skerry:default:box-1")
        && begun.elapsed() < Duration::from_millis(500)
    {
        thread::sleep(Duration::from_millis(1));
        file.read_to_string(&mut text).expect("reading the broker's log");
    }
}

/// The highest version in any report that came.
fn reported(log: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(log).unwrap_or_default();
    // The last line may still be on its way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let newest = whole.lines().rev().take(3).filter_map(|line| line.split_once(' '));
    newest
        .map(|(_, envelope)| opened(key, envelope)["document"]["version"].as_u64().unwrap_or(0))
        .max()
        .unwrap_or(0)
}

#[test]
fn nothing_that_was_acknowledged_is_lost_however_often_the_node_is_killed() {
    let site = Site::new();
    let mut node = site.node(BOX);
    let press = Press { signer: Signer::of(&site.fleet), image: site.pack(&node) };
    let key = status(&node)["publicKey"].as_str().expect("a key").to_owned();
    let reports = site.scratch.path().join("reports.log");
    let _listener = site.broker.listen(&topic(BOX, "report"), &reports);
    let seed = seed();
    let (stop, last) = (AtomicBool::new(false), AtomicU64::new(0));
    let sizes = Mutex::new(HashMap::new());
    let seen = || {
        let sizes = sizes.lock().expect("sizes").clone();
        let (acknowledged, count) = acknowledged(site.broker.log_file(), &sizes);
        (acknowledged.max(reported(&reports, &key)), count)
    };

    let steady = thread::scope(|scope| {
        let pace = Chance(seed ^ 0xABCD);
        scope.spawn(|| publish_on(&press, &site.broker, &sizes, &stop, &last, pace));
        // Also when an assertion fails: else the scope would wait for ever.
        let _stop = Stop(&stop);
        let [_, steady] = until_running(&node, ["changing", "steady"]);
        kill_on(&mut node, &site.broker, seed, || seen().0);
        steady
    });

    let (last, (_, count)) = (last.load(Ordering::SeqCst), seen());
    println!("{last} documents, {count} acknowledgements by the end of the kills");
    assert!(count > 50, "too few acknowledgements to say anything");
    node.until(&format!("the last version, {last}, is in force"), PATIENCE, |node| {
        (version(node) == last).then_some(())
    });
    let [_, still] = until_running(&node, ["changing", "steady"]);
    assert_eq!(still, steady, "an agent that no document changed outlived it all (seed {seed})");
    assert!(lives(steady));
    node.until("the changing agent is the last document's", PATIENCE, |node| {
        let seen = node.cli(["inspect", "changing"]).ok().json();
        let seen = seen.get(0).unwrap_or(&seen);
        (seen["running"]["env"] == press.agents(last)[0]["env"]).then_some(())
    });
    let report = report_when(&site, &node, "the last version", |report| {
        report["document"]["version"] == last
    });
    assert_eq!(report["agents"]["steady"]["pid"], steady, "{report}");
}

/// Kills the node at random moments, in the midst of its boot too, and compares after each boot what
/// it knows with what it had acknowledged before.
fn kill_on(node: &mut Node, broker: &Mosquitto, seed: u64, acknowledged: impl Fn() -> u64) {
    let mut chance = Chance(seed);
    let mut kills = 0;
    while kills < KILLS {
        if chance.below(2) == 0 {
            await_acknowledgement(broker.log_file());
        } else {
            thread::sleep(Duration::from_millis(chance.below(250)));
        }
        node.kill9();
        kills += 1;
        if chance.below(4) == 0 {
            let mut early = launch(node);
            thread::sleep(Duration::from_millis(chance.below(120)));
            assert_eq!(early.ended(), None, "it should still be there (seed {seed})");
            early.kill9();
            kills += 1;
        }
        let acknowledged = acknowledged();
        node.restart();
        let version = version(node);
        assert!(
            version >= acknowledged,
            "after kill {kills} the node is at version {version}, and had acknowledged \
             {acknowledged} (seed {seed})\n{}",
            node.log()
        );
    }
    println!("{kills} kills");
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The node's process on its state, without waiting for anything.
fn launch(node: &Node) -> Background {
    let mut command = Command::new(subject("SKERRY_BIN"));
    command.arg("node").arg("--config").arg(node.folder().join("skerry.toml"));
    Background::start("node", &mut command, &node.folder().join("early.log"))
}
