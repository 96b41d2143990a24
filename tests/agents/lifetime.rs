//! How an agent is started again, asked to end, and what is remembered of its ends.

use std::time::Instant;

use skerry_tests::agents::{PATIENCE, lives};
use skerry_tests::{Node, Scratch};

#[test]
fn the_hook_runs_before_the_signal_that_was_agreed_on() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let program = "trap \"echo usr1 with $(cat /tmp/hook 2>/dev/null)\" TERM; \
                   trap 'echo got usr1 after $(cat /tmp/hook); exit 0' USR1; \
                   echo up; while :; do usleep 50000; done";
    let wish = serde_json::json!({"agents": [{
        "name": "one", "image": "sensor", "command": ["/bin/sh", "-c", program],
        "stop": {"signal": "USR1", "grace": "10s",
                 "preStop": {"command": ["/bin/sh", "-c", "echo the hook > /tmp/hook"]}},
    }]});
    node.apply(&wish.to_string());
    let _ = node.until_line("one", |line| line == "up");
    let _ = node.cli(["stop", "one"]).ok();
    let last = node.lines_of("one").pop().unwrap();
    assert_eq!(last, "got usr1 after the hook");
    let ended = &node.inspect("one")["history"][0];
    assert_eq!(
        (&ended["reason"], &ended["why"]),
        (&"stopped".into(), &"stopped".into()),
        "{ended}"
    );
    assert_eq!(ended["code"], 0);
}

#[test]
fn who_does_not_listen_is_killed_after_its_grace() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let words = ["--name", "deaf", "--stop-timeout", "2s", "--entrypoint"];
    let program = r#"["/bin/sh","-c","trap '' TERM; echo up; while :; do usleep 50000; done"]"#;
    let _ = node.cli([&["run"], &words[..], &[program, "sensor"]].concat()).ok();
    let _ = node.until_line("deaf", |line| line == "up");
    let pid = node.pid_of("deaf");
    let begun = Instant::now();
    let _ = node.cli(["stop", "deaf"]).ok();
    let took = begun.elapsed().as_millis();
    assert!((1900..9000).contains(&took), "its grace is two seconds: {took} ms");
    assert!(!lives(pid));
    assert_eq!(node.inspect("deaf")["history"][0]["signal"], 9);
}

#[test]
fn an_init_collects_orphans() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    // The inner shell leaves a process behind that then ends: somebody must collect it.
    let program = "(sleep 0.2 & ) ; echo up; exec sleep 1000";
    let wish = serde_json::json!({"agents": [
        {"name": "with", "image": "sensor", "command": ["/bin/sh", "-c", program], "init": true},
        {"name": "without", "image": "sensor", "command": ["/bin/sh", "-c", program]},
    ]});
    node.apply(&wish.to_string());
    for name in ["with", "without"] {
        let _ = node.until_line(name, |line| line == "up");
    }
    let zombies = |name: &str| {
        let look = "for p in /proc/[0-9]*; do cat $p/stat; done 2>/dev/null | busybox grep -c ') Z '; true";
        node.inside(name, look)
    };
    node.until("a zombie without an init", PATIENCE, |_| (zombies("without") == "1").then_some(()));
    assert_eq!(zombies("with"), "0");
    let first = node.inside("with", "cat /proc/1/comm");
    assert_ne!(first, "sleep", "the program is not the first process");
    let begun = Instant::now();
    let _ = node.cli(["stop", "with"]).ok();
    assert!(begun.elapsed().as_secs() < 8, "the init passes the signal on");
}

#[test]
fn the_back_off_is_as_the_spec_says_and_failures_in_a_row_end() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let begun = Instant::now();
    node.apply(
        "{name: bad, image: sensor, command: [/bin/sh, -c, 'exit 3'], restart: 'on-failure:3', \
          restartBackoff: {initial: 10ms, max: 50ms}}",
    );
    let ended = node.until_state("bad", "gave-up");
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(ended["exit"]["code"], 3, "{ended}");
    let history = node.inspect("bad")["history"].clone();
    let codes: Vec<_> = history.as_array().unwrap().iter().map(|e| &e["code"]).collect();
    assert!(codes.len() >= 3 && codes.iter().all(|code| **code == 3), "{history}");
}

#[test]
fn what_gave_up_stays_so_when_the_node_s_process_is_another() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let policy = "restart: 'on-failure:2', restartBackoff: {initial: 10ms, max: 50ms}";
    node.apply(&format!(
        "agents:\n\
         - {{name: bad, image: sensor, command: [/bin/sh, -c, 'echo try; exit 3'], {policy}}}\n\
         - {{name: never, image: sensor, env: {{A: {{from: secret, name: none, key: a}}}}, {policy}}}"
    ));
    let ends = |node: &Node, name: &str| node.inspect(name)["history"].clone();
    let gave_up = |node: &Node| ["bad", "never"].map(|name| node.until_state(name, "gave-up"));
    let before = gave_up(&node);
    assert_eq!(node.lines_of("bad"), ["try", "try", "try"]);
    let history = (ends(&node, "bad"), ends(&node, "never"));
    for _ in 0..2 {
        node.kill9();
        node.restart();
        let after = gave_up(&node);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(after["detail"], before["detail"], "{after}");
        }
    }
    assert_eq!(node.lines_of("bad").len(), 3, "it was not run again");
    assert_eq!((ends(&node, "bad"), ends(&node, "never")), history);
    // Who asks for it gets three tries more.
    let _ = node.cli(["start", "bad"]);
    node.until("three more tries", PATIENCE, |node| {
        (node.lines_of("bad").len() == 6).then_some(())
    });
    let _ = node.until_state("bad", "gave-up");
}

#[test]
fn history_outlives_the_node_and_says_why() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "hog", "-m", "16Mi", "sensor", "--hog-memory", "64M"]);
    let _ = node.until_agent("hog", "was killed", |agent| agent["exit"]["oomKilled"] == true);
    let _ = node.cli(["stop", "hog"]).ok();
    let before = node.inspect("hog")["history"].clone();
    assert_eq!(before[before.as_array().unwrap().len() - 1]["reason"], "out-of-memory", "{before}");
    node.restart();
    node.until("the same history", PATIENCE, |node| {
        (node.agent("hog").is_some() && node.inspect("hog")["history"] == before).then_some(())
    });
    let _ = node.cli(["rm", "-f", "hog"]).ok();
    assert!(!node.folder().join("state/logs/hog").exists(), "it goes with the output");
}

#[test]
fn replicas_come_and_go_and_leave_the_others_alone() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let wish = |count: u32| format!("{{name: web, image: sensor, replicas: {count}}}");
    node.apply(&wish(2));
    let pid = |name: &str| node.until_state(name, "running")["pid"].as_u64().unwrap();
    let first = (pid("web-0"), pid("web-1"));
    assert_eq!(node.inside("web-1", "echo $SKERRY_AGENT; hostname"), "web-1\nweb-1");
    node.apply(&wish(3));
    let third = pid("web-2");
    assert_eq!((pid("web-0"), pid("web-1")), first);
    node.apply(&wish(1));
    node.until("two are gone", PATIENCE, |node| {
        (node.agent("web-1").is_none() && node.agent("web-2").is_none()).then_some(())
    });
    assert!(!lives(first.1) && !lives(third));
    assert_eq!(pid("web-0"), first.0);
}

#[test]
fn replicas_are_changed_together_and_looked_at_one_by_one() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply("{name: web, image: sensor, replicas: 2, stop: {grace: 500ms}}");
    let pid = |name: &str| node.until_state(name, "running")["pid"].as_u64().unwrap();
    let first = (pid("web-0"), pid("web-1"));

    let both = node.cli(["inspect", "web"]).ok().json();
    let names: Vec<_> = both.as_array().unwrap().iter().map(|agent| &agent["name"]).collect();
    assert_eq!(names, ["web-0", "web-1"]);
    for verb in [&["logs", "web"][..], &["exec", "web", "/bin/true"]] {
        let told = node.cli(verb).refused().stderr;
        assert!(told.contains("runs as web-0, web-1; name one of these"), "{told}");
    }
    for verb in [&["rm", "-f", "web-0"][..], &["rm", "web-0"], &["stop", "web-0"]] {
        let begun = Instant::now();
        let told = node.cli(verb).refused().stderr;
        assert!(told.contains("'web'") && begun.elapsed().as_secs() < 10, "{told}");
    }
    assert_eq!((pid("web-0"), pid("web-1")), first);

    let _ = node.cli(["restart", "web"]).ok();
    let second = (node.pid_of("web-0"), node.pid_of("web-1"));
    assert!(first.0 != second.0 && first.1 != second.1, "it waits until both run anew");
    let told = node.cli(["rm", "web"]).refused().stderr;
    assert!(told.contains("skerry stop web,"), "{told}");
    let _ = node.cli(["stop", "web"]).ok();
    assert!(!lives(second.0) && !lives(second.1), "it waits until both are stopped");
    let _ = node.cli(["rm", "web"]).ok();
    assert!(node.agent("web-0").is_none() && node.agent("web-1").is_none());

    node.apply("{name: web, image: sensor, replicas: 2, stop: {grace: 500ms}}");
    let listed = node.cli(["ps", "-aq"]).ok().stdout;
    let removed = node.cli(["rm", "-f"].into_iter().chain(listed.lines())).ok();
    assert_eq!(removed.stdout, "web\n", "all replicas are the agent");
    assert_eq!(node.cli(["ps", "-aq"]).ok().stdout, "");
}
