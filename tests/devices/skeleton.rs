//! The walking skeleton: a device joins its fleet, a signed document becomes an agent under limits of
//! cgroup v2, the power goes, and the agent runs again from what is on the disk, with no network.

use serde_json::{Value, json};
use skerry_tests::Machine;
use skerry_tests::machine::{Arch, Boot};

use super::{Around, BOX};

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn x86_64_from_an_initramfs() {
    walk(Arch::X86_64, Boot::Initramfs);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn aarch64_from_an_initramfs() {
    walk(Arch::Aarch64, Boot::Initramfs);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn armv7_from_an_initramfs() {
    walk(Arch::Armv7, Boot::Initramfs);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn x86_64_from_the_image() {
    walk(Arch::X86_64, Boot::Image);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn aarch64_from_the_image() {
    walk(Arch::Aarch64, Boot::Image);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn x86_64_from_the_image_by_its_firmware() {
    walk(Arch::X86_64, Boot::Firmware);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn aarch64_from_the_image_by_its_firmware() {
    walk(Arch::Aarch64, Boot::Firmware);
}

fn walk(arch: Arch, boot: Boot) {
    let around = Around::new(arch);
    let machine = around.join(around.setup().boot(boot));

    let agent = json!({ "name": "meter", "image": around.image, "resources":
                        { "limits": { "memory": "32Mi", "cpu": "500m", "pids": 16 } } });
    let nightly = json!({ "name": "nightly", "image": around.image,
                          "job": { "schedule": "0 3 * * *", "timeZone": "Europe/Oslo" } });
    // The small system of the initramfs has no time zones.
    let zones = !matches!(boot, Boot::Initramfs);
    let agents = if zones { vec![agent, nightly] } else { vec![agent] };
    let _ = around.fleet.sign(["--node", BOX], &agents);
    let _ = around.fleet.run(["publish", "--node", BOX]).ok();
    machine.until_document(1);
    let pid = machine.until_running("meter");
    under_version_2(&machine, pid);
    if zones {
        knows_its_time_zone(&machine);
    }
    let row = around.row_when("the agent", |row| row["document"] == 1 && row["running"] == 1);
    assert_eq!(row["signature"], "ok", "the report is signed by the device: {row}");

    let mut machine = machine.changed(|setup| setup.network(false));
    let time = machine.boot();
    let cards = machine.sh("ls -d /sys/class/net/*/device").stdout;
    assert_eq!(cards, "", "it has no network device");
    let pid = machine.until_running("meter");
    println!(
        "{arch}, {boot:?}: {:.1} s from the switch to a node that answers",
        time.as_secs_f64()
    );
    under_version_2(&machine, pid);
    let status = machine.status();
    assert_eq!(status["document"]["version"], 1, "{status}");
    assert!(status["storeNotice"].is_null(), "{status}");
    let lines = machine.cli(["logs", "meter"]).ok().stdout;
    assert!(lines.contains("\"seq\""), "its output is kept: {lines}");
}

/// The image knows when it is three in the morning in Oslo.
fn knows_its_time_zone(machine: &Machine) {
    let jobs = machine.cli(["jobs", "--format", "json"]).ok().stdout;
    let jobs: Value = serde_json::from_str(&jobs).expect("jobs as JSON");
    let nightly = &jobs["nightly"];
    assert!(nightly["nextRunMs"].is_i64() && nightly["problem"].is_null(), "{jobs}");
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
