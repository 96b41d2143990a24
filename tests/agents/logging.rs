//! How much of an agent's output is kept, as its spec says.

use std::fs;

use skerry_tests::agents::PATIENCE;
use skerry_tests::{Node, Scratch};

#[test]
fn output_is_kept_up_to_the_size_and_number_of_files_of_the_spec() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: chatty, image: sensor, logging: {maxSize: 64Ki, maxFiles: 2}, restart: never, \
          command: [/bin/sh, -c, 'busybox seq 1 60000']}",
    );
    let _ = node.until_state("chatty", "completed");
    let folder = node.folder().join("state/logs/chatty");
    let mut sizes: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("agent.log"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes.len(), 2, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 64 << 10), "{sizes:?}");
    assert_eq!(node.lines_of("chatty").last().unwrap(), "60000", "the newest are kept");
}

#[test]
fn what_is_over_the_rate_is_dropped_and_counted() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: flood, image: sensor, logging: {rateLimit: 1Ki}, \
          command: [/bin/sh, -c, 'busybox seq 1 60000; while :; do usleep 200000; echo more; done']}",
    );
    let told = node.until("the drop is told", PATIENCE, |node| {
        let lines = node.lines_of("flood");
        lines.iter().find(|line| line.contains("dropped")).cloned()
    });
    assert!(told.chars().any(|c| c.is_ascii_digit()), "how much is told: {told}");
    let kept: usize = node.lines_of("flood").iter().map(|line| line.len() + 1).sum();
    assert!(kept < 40_000, "ten seconds' worth, with what each line needs: {kept}");
}
