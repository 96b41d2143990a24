//! The walking skeleton: one document's way into an agent, and the agent's way over a power cut.

use serde_json::json;
use skerry_tests::machine::{Arch, Machine, kit};
use skerry_tests::{Fleet, Mosquitto, Scratch};

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn x86_64_joins_runs_is_cut_off_and_runs_again_with_no_network() {
    walk(Arch::X86_64);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn aarch64_joins_runs_is_cut_off_and_runs_again_with_no_network() {
    walk(Arch::Aarch64);
}

fn walk(arch: Arch) {
    let scratch = Scratch::new();
    let broker = Mosquitto::start();
    let fleet = Fleet::init(&scratch, "fleet", &broker);
    let image = kit::image(&scratch, arch, "sensor", "");
    let machine = Machine::setup(&scratch, "box")
        .arch(arch)
        .connect(&broker)
        .root(&fleet.root())
        .file("sensor.tar", &image)
        .start();
    machine.introduce(&fleet);
    let image = machine.import("sensor.tar");
    machine.until_connected();

    let agent = json!({ "name": "meter", "image": image, "resources":
                        { "limits": { "memory": "32Mi", "cpu": "500m", "pids": 16 } } });
    let _ = fleet.sign(["--node", "box"], &[agent]);
    let said = fleet.run(["publish", "--node", "box", "--wait", "50s"]).ok();
    assert!(said.stdout.contains("box accepted document 1"), "{said}");
    let pid = machine.until_running("meter");
    under_version_2(&machine, pid);
    let row = fleet.row("box").expect("the operator sees the node");
    assert_eq!((&row["signature"], &row["document"]), (&json!("ok"), &json!(1)), "{row}");

    let mut machine = machine.changed(|setup| setup.network(false));
    machine.boot();
    assert!(!machine.sh("ls /sys/class/net").ok().stdout.contains("eth"), "no network device");
    let pid = machine.until_running("meter");
    under_version_2(&machine, pid);
    let status = machine.status();
    assert_eq!(status["document"]["version"], 1, "{status}");
    assert!(status["storeNotice"].is_null(), "{status}");
    let lines = machine.cli(["logs", "meter"]).ok().stdout;
    assert!(lines.contains("\"seq\""), "its output is kept: {lines}");
}

/// The kernel's word on the limits of an agent: cgroup v2, and the values asked for.
fn under_version_2(machine: &Machine, pid: u64) {
    let script = format!(
        "cut -d: -f3 /proc/{pid}/cgroup; cd /sys/fs/cgroup$(cut -d: -f3 /proc/{pid}/cgroup) && \
         cat memory.max cpu.max pids.max"
    );
    let said = machine.sh(&script).ok();
    let mut lines = said.stdout.lines();
    assert!(lines.next().is_some_and(|path| path.starts_with("/skerry/")), "{said}");
    let limits: Vec<_> = lines.collect();
    assert_eq!(limits, ["33554432", "50000 100000", "16"], "{said}");
}
