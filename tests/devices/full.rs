//! A disk that is full: agents go on, the node says so, and all is well again when there is space.

use serde_json::Value;
use skerry_tests::Machine;
use skerry_tests::machine::Arch;

use super::Around;

/// How much is free, and where to look; before it stands what the store could not do.
const FULL: &str = "are free at /var/lib/skerry/state; see: skerry status";

/// Takes the last byte of the disk that holds the node's state.
fn fill(machine: &Machine) {
    let fill = "for size in 1M 512; do dd if=/dev/zero of=/var/lib/skerry/filler bs=$size \
                oflag=append conv=notrunc 2>/dev/null; done; \
                sync; df -k /var/lib/skerry | awk 'NR == 2 { print $4 }'";
    let left = machine.sh(fill).ok().stdout;
    assert_eq!(left.trim(), "0", "KiB left");
}

fn empty(machine: &Machine) {
    let _ = machine.sh("rm -f /var/lib/skerry/filler*; sync").ok();
}

fn says_full(machine: &Machine) {
    machine.until("the node says that the disk is full", |machine| {
        machine.status()["troubles"].to_string().contains("disk-full").then_some(())
    });
}

/// The number of the last line that an agent has printed, by what is kept of it.
fn last_line(machine: &Machine, agent: &str) -> u64 {
    let lines = machine.cli(["logs", agent]).ok().stdout;
    let values = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    values.filter_map(|value| value["seq"].as_u64()).next_back().unwrap_or(0)
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn agents_go_on_the_node_says_so_and_recovers() {
    let around = Around::new(Arch::X86_64);
    let machine = around.join(around.setup().disk_size(64));
    let pids = around.roll_out(&machine, &["one", "two"]);
    let running = || vec![machine.until_running("one"), machine.until_running("two")];

    fill(&machine);
    says_full(&machine);
    // There is a reserve for what matters most; when that is used up too, nothing new is taken.
    machine.until_document(around.publish(&["one", "two"]));
    fill(&machine);
    let missed = around.publish(&["one", "two", "three"]);
    let said = machine.cli(["run", "--name", "more", "sensor"]).refused();
    assert!(said.stderr.contains(FULL), "{said}");
    let said = machine.cli(["image", "import", "--name", "more", "/run/kit/sensor.tar"]);
    assert!(said.status.success() || said.stderr.contains("No space left"), "{said}");
    assert_eq!(running(), pids, "agents go on");
    assert_eq!(machine.status()["document"]["version"], 2, "what can't be kept is not in force");

    empty(&machine);
    let line = last_line(&machine, "one");
    machine.until("its output is kept again", |machine| {
        (last_line(machine, "one") > line + 2).then_some(())
    });
    // By itself: no restart, and no new connection.
    machine.until_document(missed);
    let _ = machine.cli(["run", "--name", "more", "sensor"]).ok();
    let _ = machine.until_running("more");
    let _ = machine.until_running("three");
    assert_eq!(running(), pids, "and nothing of it touches an agent");
    let _ = around.row_when("the missed document", |row| row["document"] == missed);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn a_node_that_dies_while_the_disk_is_full_comes_back_with_its_document_and_its_agents() {
    let around = Around::new(Arch::X86_64);
    let machine = around.join(around.setup().disk_size(64));
    let pids = around.roll_out(&machine, &["one", "two"]);
    fill(&machine);
    machine.crash_node();
    // It starts all the same, by its export, and says what is wrong.
    machine.until_answers();
    says_full(&machine);
    let alive = format!("kill -0 {} && kill -0 {}", pids[0], pids[1]);
    let _ = machine.sh(&alive).ok();
    empty(&machine);
    machine.until_answers();
    assert_eq!(machine.status()["document"]["version"], 1, "the document in force is known");
    assert_eq!(vec![machine.until_running("one"), machine.until_running("two")], pids);
    let _ = around.roll_out(&machine, &["one", "two", "three"]);
    let row = around.row_when("the next document", |row| row["document"] == 2);
    assert_eq!(row["signature"], "ok", "{row}");
}
