//! Virtual devices: what only a whole machine can show. A real kernel with cgroup v2 alone, power that
//! goes, a cable that is pulled, a clock that is wrong, a disk that is full.
//!
//! Each test boots, which takes seconds, and needs a kernel and static programs: `tests/virtual` gets
//! them and runs these. They are ignored otherwise, and fail when they are run without what they need.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that can't go on has failed"
)]

use std::cell::Cell;

use serde_json::Value;
use skerry_tests::machine::{Arch, MachineSetup, PATIENCE, kit};
use skerry_tests::site::sensor;
use skerry_tests::{Fleet, Machine, Mosquitto, Scratch, Signer, until};

#[path = "devices/clock.rs"]
mod clock;
#[path = "devices/errors.rs"]
mod errors;
#[path = "devices/full.rs"]
mod full;
#[path = "devices/image.rs"]
mod image;
#[path = "devices/limits.rs"]
mod limits;
#[path = "devices/memory.rs"]
mod memory;
#[path = "devices/offline.rs"]
mod offline;
#[path = "devices/skeleton.rs"]
mod skeleton;
#[path = "devices/spec.rs"]
mod spec;

const BOX: &str = "box";

/// A broker, an operator's workspace, and an image: all that a device meets.
struct Around {
    broker: Mosquitto,
    fleet: Fleet,
    signer: Signer,
    arch: Arch,
    image: String,
    version: Cell<u64>,
    scratch: Scratch,
}

impl Around {
    fn new(arch: Arch) -> Self {
        let scratch = Scratch::new();
        let broker = Mosquitto::start();
        let fleet = Fleet::init(&scratch, "fleet", &broker);
        let file = kit::image(&scratch, arch, "sensor", "");
        let image = kit::digest(&file);
        fleet.vouch(&[&image]);
        let signer = Signer::of(&fleet);
        Self { broker, fleet, signer, arch, image, version: Cell::new(0), scratch }
    }

    /// A device that trusts the workspace and meets the broker; its kit has the image.
    fn setup(&self) -> MachineSetup {
        Machine::setup(&self.scratch, BOX)
            .arch(self.arch)
            .connect(&self.broker)
            .root(&self.fleet.root())
            .file("sensor.tar", &self.scratch.path().join("sensor.tar"))
    }

    /// Switches a device on, which then is connected, has the image, and is known to the operator.
    fn join(&self, setup: MachineSetup) -> Machine {
        let machine = setup.start();
        machine.introduce(&self.fleet);
        assert_eq!(machine.import("sensor.tar"), self.image);
        machine.until_connected();
        machine
    }

    /// Publishes the next document, with an agent for each name, and returns its version.
    fn publish(&self, agents: &[&str]) -> u64 {
        let version = self.version.get() + 1;
        self.version.set(version);
        let agents: Vec<_> = agents.iter().map(|name| sensor(name, &self.image, "same")).collect();
        let bundle = self.signer.bundle(BOX, version, &agents).to_bytes().expect("a bundle");
        self.broker.retain(&format!("skerry/v1/default/{BOX}/desired"), &bundle);
        version
    }

    /// Publishes the next document and waits until it is in force and its agents run.
    fn roll_out(&self, machine: &Machine, agents: &[&str]) -> Vec<u64> {
        machine.until_document(self.publish(agents));
        agents.iter().map(|name| machine.until_running(name)).collect()
    }

    /// The operator's row of the device, once it fulfils a condition.
    fn row_when(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        until(&format!("skerry-fleet status shows {what}"), PATIENCE, || {
            last = self.fleet.row(BOX).unwrap_or_default();
            holds(&last).then(|| last.clone())
        })
    }
}

/// Waits until the node has noticed that it is offline.
fn until_offline(machine: &Machine) {
    machine.until("the node says that it is offline", |machine| {
        machine.status()["link"].as_str()?.starts_with("offline").then_some(())
    });
}

/// The number that a text begins with, as `/proc/uptime` does.
fn first_number(text: &str) -> f64 {
    let word = text.split_whitespace().next();
    word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no number in {text}"))
}
