//! What agents print: complete within its size, in order, followed across files.

use std::fs;
use std::time::Duration;

use skerry_tests::agents::PATIENCE;
use skerry_tests::{Node, Scratch, until};

/// A shell that prints `count` numbered lines of about sixty bytes, with a pause after each hundred.
fn printer(count: u32, pause: &str) -> String {
    let filler = "some words that make the line as long as lines are";
    format!(
        "i=0; while [ $i -lt {count} ]; do echo \"$i {filler}\"; i=$((i+1)); \
         [ $((i % 100)) -ne 0 ] || {pause}; done"
    )
}

fn numbers(text: &str) -> Vec<u32> {
    text.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn logs_are_followed_across_rotation_until_the_agent_is_removed() {
    let scratch = Scratch::new();
    let setup = Node::setup(&scratch, "box").set("log.max_size", "64Ki").set("log.files", 3);
    let node = setup.start();
    node.with_sensor(&scratch);
    let script = format!("{}; exec /sensor", printer(4000, "usleep 20000"));
    let run = ["run", "--name", "talker", "--entrypoint"];
    let words = format!("[\"/bin/sh\", \"-c\", {script:?}]");
    let _ = node.cli([&run[..], &[&words, "sensor"]].concat()).ok();
    let mut follower = node.cli_start("follow", ["logs", "-f", "talker"]);
    let file = node.folder().join("follow.log");
    let read = || fs::read_to_string(&file).unwrap_or_default();

    until("all lines were followed", Duration::from_secs(30), || {
        read().contains("\"seq\":0").then_some(())
    });
    let rotated = fs::read_dir(node.folder().join("state/logs/talker")).unwrap().count();
    assert_eq!(rotated, 3, "as many files as set");
    let followed = read();
    let lines = followed.split("{\"name\"").next().unwrap();
    assert_eq!(numbers(lines), (0..4000).collect::<Vec<_>>());
    assert!(follower.ended().is_none());

    let _ = node.cli(["rm", "-f", "talker"]).ok();
    let status = until("logs -f ends with its agent", PATIENCE, || follower.ended());
    assert_eq!(status.code(), Some(0));
    assert!(read().contains("stopping"), "its last line too");
}

#[test]
fn a_fast_writer_loses_nothing_within_the_size_that_is_kept() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let run = |name: &str, count: u32| {
        let words = format!("[\"/bin/sh\", \"-c\", {:?}]", printer(count, "true"));
        let flags = ["run", "--name", name, "--restart", "never", "--entrypoint", &words, "sensor"];
        let _ = node.cli(flags).ok();
        let _ = node.until_state(name, "completed");
        numbers(&node.cli(["logs", name]).ok().stdout)
    };
    // 110 bytes a line in the log; three files of 1 MiB are kept.
    assert_eq!(run("within", 15_000), (0..15_000).collect::<Vec<_>>());

    let kept = run("beyond", 60_000);
    assert_eq!(kept.last(), Some(&59_999), "the newest lines are kept");
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1), "without a hole");
    assert!(kept.len() > 15_000, "at least two whole files: {}", kept.len());
    let files = fs::read_dir(node.folder().join("state/logs/beyond")).unwrap();
    let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= 3 << 20, "{size} bytes are more than three files of 1 MiB");
}

#[test]
fn both_streams_and_odd_lines_come_back_as_written() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let script = "echo out; echo err >&2; printf 'no end'";
    let words = format!("[\"/bin/sh\", \"-c\", {script:?}]");
    let run = ["run", "--name", "odd", "--restart", "never", "--entrypoint", &words, "sensor"];
    let _ = node.cli(run).ok();
    let _ = node.until_state("odd", "completed");
    let mut lines = node.lines_of("odd");
    lines.sort();
    assert_eq!(lines, ["err", "no end", "out"]);
    let stamped = node.cli(["logs", "-t", "odd"]).ok().stdout;
    assert!(stamped.lines().all(|line| line.starts_with("20")), "{stamped}");

    let mut follower = node.cli_start("late", ["logs", "-f", "odd"]);
    let status = until("logs -f of one that is over ends", PATIENCE, || follower.ended());
    assert_eq!(status.code(), Some(0));
}
