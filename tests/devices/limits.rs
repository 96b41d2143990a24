//! Limits and device rules on a kernel that has cgroup v2 alone.
//!
//! One boot for each group of checks; each check names itself when it fails. Times under emulation mean
//! nothing, shares do: both sides of each are taken from the guest's own clock.

use skerry_tests::machine::{Arch, Machine, MachineSetup, kit};
use skerry_tests::{Scratch, until};

use super::first_number;

fn machine(scratch: &Scratch) -> Machine {
    equipped(scratch, |setup| setup)
}

/// A device with the image `sensor`, and no broker.
pub(super) fn equipped(
    scratch: &Scratch,
    change: impl FnOnce(MachineSetup) -> MachineSetup,
) -> Machine {
    let image = kit::image(scratch, Arch::X86_64, "sensor", "");
    let machine = change(Machine::setup(scratch, "box")).file("sensor.tar", &image).start();
    let _ = machine.import("sensor.tar");
    assert_eq!(machine.status()["cgroup"], "v2", "no controller of version 1 is mounted");
    machine
}

/// A file of the agent's cgroup.
pub(super) fn group(machine: &Machine, agent: &str, file: &str) -> String {
    let inspect = machine.cli(["inspect", agent]).ok().json();
    let folder = inspect[0]["cgroups"][0].as_str().expect("an agent has a cgroup");
    machine.sh(&format!("cat {folder}/{file}")).ok().stdout.trim().to_owned()
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn memory_processors_and_processes_are_limited() {
    let scratch = Scratch::new();
    let machine = machine(&scratch);
    memory(&machine);
    processes(&machine);
    processors(&machine);
}

fn memory(machine: &Machine) {
    let _ = machine.cli(["run", "--name", "modest", "-m", "32Mi", "sensor"]).ok();
    let modest = machine.until_running("modest");
    let _ = machine.cli(["run", "--name", "hog", "-m", "16Mi", "sensor", "--hog-memory", "64M"]);
    let hog = machine.until_agent("hog", "was killed for its memory", |agent| {
        agent["exit"]["oomKilled"] == true
    });
    assert!(hog["detail"].as_str().is_some_and(|text| text.contains("memory")), "{hog}");
    let hog = machine
        .until_agent("hog", "is started again", |agent| agent["restarts"].as_u64() >= Some(1));
    assert!(hog["restarts"].is_u64(), "{hog}");
    assert_eq!(machine.until_running("modest"), modest, "its neighbour is untouched");
    assert_eq!(group(machine, "modest", "memory.max"), (32 << 20).to_string());
    assert!(field(&group(machine, "modest", "memory.events"), "oom_kill ") == 0);
    let _ = machine.cli(["rm", "-f", "hog", "modest"]).ok();
}

fn processes(machine: &Machine) {
    let _ = machine.cli(["run", "--name", "few", "--pids-limit", "6", "sensor"]).ok();
    let pid = machine.until_running("few");
    let fork = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait";
    let said = machine.cli(["exec", "few", "/bin/sh", "-c", fork]);
    assert!(said.stderr.contains("fork"), "the kernel refuses: {said}");
    assert_eq!(group(machine, "few", "pids.max"), "6");
    assert!(field(&group(machine, "few", "pids.events"), "max ") >= 1, "and counts it");
    assert_eq!(machine.until_running("few"), pid, "the agent itself goes on");
    let _ = machine.cli(["rm", "-f", "few"]).ok();
}

/// The share of one processor that an agent got, and how often it was held back, over four seconds.
fn share(machine: &Machine, agent: &str) -> (f64, u64) {
    let inspect = machine.cli(["inspect", agent]).ok().json();
    let folder = inspect[0]["cgroups"][0].as_str().expect("an agent has a cgroup");
    let look = format!("cat /proc/uptime {folder}/cpu.stat");
    let said = machine.sh(&format!("{look}; sleep 4; echo @; {look}")).ok().stdout;
    let (before, after) = said.split_once("@\n").expect("two looks");
    let grown = |name| field(after, name) - field(before, name);
    let held_back = if after.contains("nr_throttled") { grown("nr_throttled ") } else { 0 };
    let time = first_number(after) - first_number(before);
    (grown("usage_usec ") as f64 / 1e6 / time, held_back)
}

fn processors(machine: &Machine) {
    let busy = ["--entrypoint", "/bin/sh", "sensor", "-c", "while :; do :; done"];
    let _ = machine.cli([&["run", "--name", "slow", "--cpus", "200m"], &busy[..]].concat()).ok();
    let _ = machine.until_running("slow");
    let (slow, held_back) = share(machine, "slow");
    let _ = machine.cli(["rm", "-f", "slow"]).ok();
    let _ = machine.cli([&["run", "--name", "fast", "--cpus", "800m"], &busy[..]].concat()).ok();
    let _ = machine.until_running("fast");
    let (fast, _) = share(machine, "fast");
    println!(
        "share of a processor: {slow:.3} of 0.2, {fast:.3} of 0.8; held back {held_back} times"
    );
    assert!(held_back >= 10, "held back in most of 40 periods: {held_back}");
    assert!((0.14..0.24).contains(&slow), "a fifth of a processor: {slow}");
    assert!((2.5..5.5).contains(&(fast / slow)), "four times as much: {fast} to {slow}");
    let _ = machine.cli(["rm", "-f", "fast"]).ok();
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn only_the_standard_devices_can_be_opened() {
    let scratch = Scratch::new();
    let machine = machine(&scratch);
    let _ = machine.cli(["run", "--name", "curious", "sensor"]).ok();
    let pid = machine.until_running("curious");

    let inside = |line: &str| machine.cli(["exec", "curious", "/bin/sh", "-c", line]);
    let said = inside("echo x >/dev/null && dd if=/dev/zero bs=1 count=3 2>/dev/null | cat").ok();
    assert_eq!(said.stdout, "\0\0\0", "{said}");
    let _ = inside("dd if=/dev/urandom of=/dev/null bs=4 count=1").ok();
    let said = inside("mknod /tmp/disk b 254 0").refused();
    assert!(said.stderr.contains("not permitted"), "{said}");

    // The program in the kernel holds even against root, with every power, from outside of the
    // agent's world: all that counts is the cgroup.
    let inspect = machine.cli(["inspect", "curious"]).ok().json();
    let folder = inspect[0]["cgroups"][0].as_str().expect("an agent has a cgroup").to_owned();
    let open = |device: &str| {
        let read = format!("dd if={device} of=/dev/null bs=8192 count=1");
        let _ = machine.sh(&read).ok();
        machine.sh(&format!("sh -c 'echo $$ >{folder}/cgroup.procs; exec {read}'"))
    };
    let _ = machine.sh("mknod /run/disk b $(cat /sys/block/vda/dev | tr : ' ')").ok();
    let _ = machine.sh("mknod /run/kmsg c 1 11").ok();
    for allowed in ["/dev/zero", "/dev/urandom", "/dev/full"] {
        let _ = open(allowed).ok();
    }
    for forbidden in ["/dev/vda", "/run/disk", "/dev/kmsg", "/run/kmsg"] {
        let said = open(forbidden).refused();
        assert!(said.stderr.contains("Operation not permitted"), "{forbidden}: {said}");
    }
    until("the trials have ended", skerry_tests::machine::PATIENCE, || {
        (group(&machine, "curious", "pids.current") == "1").then_some(())
    });
    assert_eq!(machine.until_running("curious"), pid, "the agent noticed nothing");
}
