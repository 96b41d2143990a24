//! Kills at random moments, many times. The seed is printed; `SKERRY_TEST_SEED` repeats a run.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use skerry_tests::agents::{lives, root_folder};
use skerry_tests::process::subject;
use skerry_tests::{Node, Scratch};

const KILLS: u32 = 100;
/// Wishes for which no image is there: what is tested is memory, not containers.
const IMAGE: &str = "sha256:00000000000000000000000000000000000000000000000000000000000000aa";
const NAMES: u64 = 7;

/// Random enough to choose moments; repeatable by its seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let given = std::env::var("SKERRY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::UNIX_EPOCH.elapsed().unwrap();
            now.as_nanos() as u64 | 1
        });
        println!("SKERRY_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Lets a random time pass: the moment of the kill is the thing tested.
    fn wait(&mut self, bound: Duration) {
        let bound = u64::try_from(bound.as_micros()).unwrap();
        std::thread::sleep(Duration::from_micros(self.below(bound)));
    }
}

/// What each agent's value may be: the one acknowledged last, or one that was on its way. No value
/// means that its removal was acknowledged.
#[derive(Default, Debug)]
struct Promises {
    acknowledged: BTreeMap<String, Option<u64>>,
    on_its_way: Option<(String, Option<u64>)>,
}

#[test]
fn no_acknowledged_wish_is_lost_by_a_hundred_kills() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "witness", "sensor"]).ok();
    let witness = node.pid_of("witness");
    let mut dice = Dice::new();
    let mut promises = Promises::default();
    let (mut count, mut answered) = (0_u64, 0_u64);

    for kill in 0..KILLS {
        let socket = node.socket();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let applying = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    let name = format!("wish{}", count % NAMES);
                    let value = (!count.is_multiple_of(5)).then_some(count);
                    promises.on_its_way = Some((name.clone(), value));
                    let done = match value {
                        Some(value) => apply(&socket, &name, value),
                        None => remove(&socket, &name),
                    };
                    if !done {
                        return;
                    }
                    answered += 1;
                    promises.on_its_way = None;
                    promises.acknowledged.insert(name, value);
                }
            });
            dice.wait(Duration::from_millis(120));
            node.kill9();
            stop.store(true, Ordering::Relaxed);
            applying.join().unwrap();
        });
        node.restart();
        check(&node, &mut promises, kill);
    }
    println!("{KILLS} kills, {count} wishes sent, {answered} acknowledged");
    assert!(answered > u64::from(KILLS) / 2, "too few to prove anything: {answered}");
    assert_eq!(node.pid_of("witness"), witness, "the agent that ran all the time is untouched");
    assert!(lives(witness));
    let status = node.cli(["status", "--format", "json"]).ok().json();
    assert!(status["storeNotice"].is_null(), "the database was never in doubt: {status}");
}

/// `skerry apply -f -` of one agent; whether it was acknowledged.
fn apply(socket: &std::path::Path, name: &str, value: u64) -> bool {
    let spec = format!("{{name: {name}, image: '{IMAGE}', env: {{VALUE: '{value}'}}}}");
    let mut command = Command::new(subject("SKERRY_BIN"));
    command.arg("--socket").arg(socket).args(["apply", "-f", "-"]);
    skerry_tests::process::run_with_input(&mut command, spec.as_bytes()).status.success()
}

fn remove(socket: &std::path::Path, name: &str) -> bool {
    let mut command = Command::new(subject("SKERRY_BIN"));
    command.arg("--socket").arg(socket).args(["rm", "-f", name]);
    skerry_tests::process::run(&mut command).status.success()
}

fn check(node: &Node, promises: &mut Promises, kill: u32) {
    let names: Vec<String> = (0..NAMES).map(|n| format!("wish{n}")).collect();
    let inspect = node.cli(std::iter::once("inspect").chain(names.iter().map(String::as_str)));
    let found: BTreeMap<String, u64> = inspect
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|detail| {
            let value = detail["desired"]["env"]["VALUE"].as_str().unwrap();
            (detail["name"].as_str().unwrap().to_owned(), value.parse().unwrap())
        })
        .collect();
    let on_its_way = promises.on_its_way.take();
    for (name, value) in &promises.acknowledged {
        let late = on_its_way.as_ref().filter(|(other, _)| other == name).map(|(_, v)| *v);
        let has = found.get(name).copied();
        assert!(
            has == *value || late == Some(has),
            "after kill {kill}: {name} has {has:?}, acknowledged was {value:?}, on its way {late:?}"
        );
    }
    let settled = names.into_iter().map(|name| (found.get(&name).copied(), name));
    promises.acknowledged = settled.map(|(value, name)| (name, value)).collect();
}

#[test]
fn a_node_killed_while_it_starts_an_agent_ends_with_one_of_it() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let mut dice = Dice::new();
    for round in 0..15 {
        let name = format!("agent{round}");
        node.apply(&format!("{{name: {name}, image: sensor}}"));
        dice.wait(Duration::from_millis(60));
        node.restart();
        let pid = node.until_state(&name, "running")["pid"].as_u64().unwrap();
        assert!(lives(pid));
        assert_eq!(
            scratch.contained(),
            [u32::try_from(pid).unwrap()],
            "round {round}: one process"
        );
        let mut removal = node.cli_start("rm", ["rm", "-f", &name]);
        dice.wait(Duration::from_millis(60));
        node.restart();
        removal.kill9();
        let _ = node.cli(["rm", "-f", &name]).ok();
        assert_eq!(scratch.contained(), Vec::<u32>::new(), "round {round}: nothing is left");
    }
}

#[test]
fn an_import_killed_at_any_moment_harms_nothing_and_can_be_repeated() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    let root = root_folder(&scratch);
    let mut dice = Dice::new();
    let folder = node.folder().to_owned();
    for round in 0..15 {
        fs::write(root.join("round"), round.to_string()).unwrap();
        let name = format!("image{round}");
        let options = ["--entrypoint", "/sensor", "--name", &name, "-o", "image.tar"];
        let _ = fs::remove_file(folder.join("image.tar"));
        let _ = node.cli([&["image", "pack", root.to_str().unwrap()], &options[..]].concat()).ok();
        let mut import = Command::new(subject("SKERRY_BIN"));
        import.arg("--socket").arg(node.socket()).arg("--state-dir").arg(folder.join("state"));
        import.args(["image", "import", "image.tar"]).current_dir(&folder);
        let mut import = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        dice.wait(Duration::from_millis(150));
        let _ = import.kill();
        let _ = import.wait();

        let _ = node.cli(["image", "ls"]).ok();
        let _ = node.cli(["image", "import", "image.tar"]).ok();
        let _ = node.cli(["run", "--name", "user", "--replace", &name]).ok();
        let inside = node.cli(["exec", "user", "/bin/cat", "/round"]).ok();
        assert_eq!(inside.stdout, round.to_string(), "the image is whole, and is the new one");
    }
    let _ = node.cli(["rm", "-f", "user"]).ok();
    let names: Vec<String> = (0..15).map(|round| format!("image{round}")).collect();
    let rm = ["image", "rm"].into_iter().chain(names.iter().map(String::as_str));
    let _ = node.cli(rm).ok();
    let _ = node.cli(["image", "prune"]);
    let blobs = fs::read_dir(folder.join("state/blobs/sha256")).unwrap();
    let left: Vec<_> = blobs.flatten().map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "what killed imports left is cleared away: {left:?}");
}
