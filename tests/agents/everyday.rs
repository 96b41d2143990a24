//! From a folder to a running agent in three commands, and everything that is done with one.

use std::fs;

use skerry_tests::agents::{PATIENCE, lives, root_folder};
use skerry_tests::{Node, Scratch, until};

#[test]
fn an_agent_lives_its_life() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    let root = root_folder(&scratch);
    let root = root.to_str().unwrap();

    let _ = node.cli(["image", "pack", root, "--entrypoint", "/sensor", "-o", "sensor.tar"]).ok();
    let _ = node.cli(["image", "import", "sensor.tar", "--name", "sensor"]).ok();
    assert!(node.cli(["image", "ls"]).ok().stdout.contains("sensor"));
    let run =
        node.cli(["run", "--name", "one", "-e", "NAME=first", "-e", "INTERVAL=100ms", "sensor"]);
    assert_eq!(run.ok().stdout, "one\n", "run prints the agent's name and nothing else");

    let first = node.pid_of("one");
    assert!(lives(first));
    let table = node.cli(["ps"]).ok().stdout;
    assert!(table.contains("one") && table.contains("running"), "{table}");
    assert_eq!(node.cli(["ps", "-q"]).ok().stdout, "one\n");
    let detail = node.inspect("one");
    assert_eq!(detail["status"]["state"], "running");
    assert_eq!(detail["desired"]["env"]["NAME"], "first");
    let line = node.until("the first line", PATIENCE, |node| node.lines_of("one").first().cloned());
    assert!(line.contains("\"name\":\"first\"") && line.contains("\"seq\":0"), "{line}");
    let tail = node.until("three lines", PATIENCE, |node| {
        (node.lines_of("one").len() > 2).then(|| node.cli(["logs", "-n", "2", "one"]).ok().stdout)
    });
    assert_eq!(tail.lines().count(), 2, "{tail}");
    assert!(!tail.contains("\"seq\":0,"), "-n gives the last lines: {tail}");

    let stats = node.cli(["stats", "--no-stream", "--format", "json"]).ok().json();
    assert_eq!(stats[0]["name"], "one");
    assert!(stats[0]["memoryBytes"].as_u64().unwrap() > 0, "{stats}");
    assert_eq!(stats[0]["pids"], 1, "{stats}");

    commands_run_inside(&node);
    it_stops_starts_and_goes(&node, first);
}

fn commands_run_inside(node: &Node) {
    let code = |words: &[&str]| node.cli([&["exec", "one"], words].concat()).status.code();
    assert_eq!(code(&["/bin/true"]), Some(0));
    assert_eq!(code(&["/bin/false"]), Some(1));
    assert_eq!(code(&["/bin/sh", "-c", "exit 42"]), Some(42));
    assert_eq!(code(&["/bin/sh", "-c", "kill -9 $$"]), Some(137));
    assert_eq!(code(&["/no/such/program"]), Some(127));
    assert_eq!(code(&["/bin"]), Some(126));
    let said = node.cli(["exec", "-e", "WHO=me", "one", "/bin/sh", "-c", "echo $WHO"]).ok();
    assert_eq!(said.stdout, "me\n");
    let heard = node.cli_with_input(["exec", "-i", "one", "/bin/cat"], b"through stdin");
    assert_eq!(heard.ok().stdout, "through stdin");
}

fn it_stops_starts_and_goes(node: &Node, first: u64) {
    let _ = node.cli(["stop", "one"]).ok();
    assert!(!lives(first), "stop waits until the process has gone");
    assert_eq!(node.agent("one").unwrap()["state"], "stopped");
    assert_eq!(node.cli(["ps", "-q"]).ok().stdout, "", "a stopped agent is shown with -a only");
    let farewell = node.lines_of("one").pop().unwrap();
    assert!(farewell.contains("stopping"), "the program was asked politely: {farewell}");
    assert_eq!(node.cli(["exec", "one", "/bin/true"]).status.code(), Some(125));

    let _ = node.cli(["start", "one"]).ok();
    let second = node.pid_of("one");
    assert!(second != first && lives(second));
    let _ = node.cli(["restart", "one"]).ok();
    let third = node.pid_of("one");
    assert!(third != second && !lives(second) && lives(third), "{second} then {third}");

    let refused = node.cli(["rm", "one"]).refused();
    assert!(refused.stderr.contains("skerry rm -f one"), "the next step is told: {refused}");
    assert!(lives(third));
    let _ = node.cli(["rm", "-f", "one"]).ok();
    assert!(!lives(third));
    assert_eq!(node.agent("one"), None);
}

#[test]
fn nothing_is_left_after_rm() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    for name in ["one", "two"] {
        let _ = node.cli(["run", "--name", name, "-m", "64Mi", "sensor"]).ok();
    }
    let detail = node.inspect("one");
    let monitor = detail["monitorPid"].as_u64().unwrap();
    let cgroups: Vec<_> = detail["cgroups"].as_array().unwrap().clone();
    assert!(lives(monitor) && !cgroups.is_empty());
    assert!(!scratch.contained().is_empty());

    let _ = node.cli(["rm", "-f", "one", "two"]).ok();

    assert_eq!(scratch.contained(), Vec::<u32>::new(), "no process in any cgroup");
    let what = "the monitor leaves by itself";
    until(what, PATIENCE, || (!lives(monitor)).then_some(()));
    for group in cgroups {
        assert!(!fs::exists(group.as_str().unwrap()).unwrap(), "{group} is left");
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let place = node.folder().to_str().unwrap();
    let left: Vec<_> = mounts.lines().filter(|line| line.contains(place)).collect();
    assert!(left.is_empty(), "mounts are left: {left:?}");
    let run_dirs: Vec<_> = fs::read_dir(node.folder().join("run/agents")).unwrap().collect();
    assert!(run_dirs.is_empty(), "run folders are left: {run_dirs:?}");
}

#[test]
fn restart_policies_are_kept() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let run = |name: &str, policy: &str, code: &str| {
        // Whether `run` calls it a failure depends on how fast the agent ends.
        let flags = ["run", "--name", name, "--restart", policy, "sensor", "--exit", code];
        let _ = node.cli(flags);
    };
    run("never", "never", "3");
    run("thrice", "on-failure:2", "1");
    run("good", "on-failure", "0");
    run("again", "always", "0");

    let never = node.until_state("never", "failed");
    assert_eq!((&never["exit"]["code"], &never["restarts"]), (&3.into(), &0.into()), "{never}");
    let good = node.until_state("good", "completed");
    assert_eq!((&good["exit"]["code"], &good["restarts"]), (&0.into(), &0.into()), "{good}");
    let again = |agent: &serde_json::Value| agent["restarts"].as_u64() >= Some(2);
    let _ = node.until_agent("again", "was started again twice", again);
    let gave_up = node.until_state("thrice", "gave-up");
    assert_eq!(gave_up["restarts"], 2, "on-failure:2 tries twice again: {gave_up}");
    assert_eq!(gave_up["exit"]["code"], 1);
}

#[test]
fn an_agent_that_ends_at_once_is_told_as_it_was() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    for round in 0..5 {
        let name = format!("quick{round}");
        let flags = ["run", "--name", &name, "--restart", "never", "--entrypoint"];
        let _ = node.cli([&flags[..], &["/bin/echo", "sensor", "hello"]].concat()).ok();
        let quick = node.until_state(&name, "completed");
        assert_eq!(quick["exit"]["code"], 0, "{quick}");
        assert_eq!(node.lines_of(&name), ["hello"]);
    }
    let flags = ["run", "--name", "bad", "--restart", "never", "--entrypoint", "/bin/false"];
    let failed = node.cli([&flags[..], &["sensor"]].concat());
    let bad = node.until_state("bad", "failed");
    assert_eq!(bad["exit"]["code"], 1, "{bad}");
    let told = failed.status.success() || failed.stderr.contains("skerry logs bad");
    assert!(told, "seen running, or told with the next step: {failed}");
    let absent =
        ["run", "--name", "absent", "--restart", "never", "--entrypoint", "/nope", "sensor"];
    let absent = node.cli(absent).refused();
    assert!(absent.stderr.contains("/nope"), "the missing program is named: {absent}");
}

#[test]
fn one_that_is_deaf_to_sigterm_is_killed_after_its_grace() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: deaf, image: sensor, stop: {grace: 1s}, \
         command: [/bin/sh, -c, 'trap \"\" TERM; while :; do sleep 1; done']}",
    );
    let _ = node.until_state("deaf", "running");
    let pid = node.pid_of("deaf");
    let before = std::time::Instant::now();
    let _ = node.cli(["stop", "deaf"]).ok();
    let took = before.elapsed().as_millis();
    assert!((900..6000).contains(&took), "the grace is 1 s, the stop took {took} ms");
    assert!(!lives(pid));
    assert_eq!(node.agent("deaf").unwrap()["state"], "stopped");
}
