//! `skerry check` on real trouble: something is broken for real, and the finding names it.
//!
//! What each fact means is tested in the node's own unit tests; here it is whether the facts are
//! seen. A place for each break is made and goes with the test.

use std::fs;
use std::process::Command;

use rustix::mount::{MountFlags, mount};
use serde_json::Value;
use skerry_tests::process::{Output, need_root, run, subject};
use skerry_tests::{Node, Scratch};

/// A place as a node would have it, without one, and the settings that name it.
struct Place {
    scratch: Scratch,
}

impl Place {
    fn new() -> Self {
        need_root();
        let place = Self { scratch: Scratch::new() };
        let _ = place.scratch.folder("state");
        place.settings("");
        place
    }

    /// Writes the settings, with more of them at the end.
    fn settings(&self, more: &str) {
        let path = self.scratch.path().display();
        let cgroup = self.scratch.cgroup();
        let settings = format!(
            "node = 'box'\nstate_dir = '{path}/state'\nrun_dir = '{path}/run'\n\
             cgroup = '{cgroup}'\n{more}\n"
        );
        let _ = self.scratch.file("skerry.toml", settings);
    }

    fn check(&self, more: &[&str]) -> Output {
        run(&mut self.command(more))
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(subject("SKERRY_BIN"));
        command.arg("check").arg("--config").arg(self.scratch.path().join("skerry.toml"));
        command.args(more);
        command
    }

    /// One finding, as programs see it.
    fn finding(&self, name: &str) -> Value {
        finding(&self.check(&["--format", "json"]), name)
    }
}

fn finding(output: &Output, name: &str) -> Value {
    let told: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"));
    let findings = told["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == name);
    found.unwrap_or_else(|| panic!("no check {name}: {told:#}")).clone()
}

#[test]
fn a_machine_that_runs_the_other_tests_has_no_error_and_nothing_is_left_behind() {
    let place = Place::new();
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let output = place.check(&[]).ok();
    assert!(output.stdout.contains(" 0 errors, "), "{output}");
    for name in ["namespaces", "overlayfs", "seccomp", "cgroup-memory", "device-rules"] {
        let line = output.stdout.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.starts_with("ok "), "{line}");
    }
    assert_eq!(mounts(), before);
    let left: Vec<_> = fs::read_dir(place.scratch.path().join("state")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!place.scratch.path().join("run").exists(), "a look makes no folder");
    assert!(place.scratch.contained().is_empty());
}

#[test]
fn a_full_disk_is_found() {
    let place = Place::new();
    let state = place.scratch.path().join("state");
    mount("tmpfs", &state, "tmpfs", MountFlags::empty(), Some(c"size=64k")).unwrap();
    let fill = vec![0_u8; 1 << 20];
    assert!(fs::write(state.join("rubbish"), fill).is_err(), "it is full now");

    let output = place.check(&["--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{output}");
    let full = finding(&output, "state-dir");
    assert_eq!(full["level"], "error", "{full}");
    assert!(full["says"].as_str().unwrap().contains("No space left"), "{full}");
    assert_eq!(finding(&output, "state-space")["level"], "error");
    let kind = finding(&output, "state-filesystem");
    assert_eq!(kind["level"], "warning", "{kind}");
    assert!(kind["says"].as_str().unwrap().contains("tmpfs"), "{kind}");
}

/// In a mount namespace of its own, the machine's control groups are taken away.
#[test]
fn a_machine_without_control_groups_is_found() {
    let place = Place::new();
    let program = subject("SKERRY_BIN");
    let config = place.scratch.path().join("skerry.toml");
    let script = format!(
        "mount --make-rprivate / && umount -R -l /sys/fs/cgroup && \
         exec {} check --config {} --format json",
        program.display(),
        config.display()
    );
    let output = run(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
    assert_eq!(output.status.code(), Some(1), "{output}");
    let none = finding(&output, "cgroups");
    assert_eq!(none["level"], "error", "{none}");
    assert!(none["next"].as_str().unwrap().contains("mount -t cgroup2"), "{none}");
    assert_eq!(finding(&output, "cgroup-memory")["level"], "skipped");
}

/// In a mount namespace of its own, the hierarchies can be read and not written, as in many containers.
#[test]
fn control_groups_that_cannot_be_made_are_found() {
    let place = Place::new();
    let script = format!(
        "mount --make-rprivate / && for m in $(awk '$3 ~ /^cgroup/ {{ print $2 }}' /proc/mounts); do \
         mount -o remount,bind,ro \"$m\" || exit 9; done; \
         exec {} check --config {} --format json",
        subject("SKERRY_BIN").display(),
        place.scratch.path().join("skerry.toml").display()
    );
    let output = run(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
    assert_eq!(output.status.code(), Some(1), "{output}");
    let refused = finding(&output, "cgroup-place");
    assert_eq!(refused["level"], "error", "{refused}");
    assert!(refused["says"].as_str().unwrap().contains("Read-only"), "{refused}");
}

#[test]
fn settings_that_cannot_be_used_are_found_with_their_place() {
    let place = Place::new();
    place.settings("[brokr]\nurl = 'mqtt://b'");
    let output = place.check(&["-q"]);
    assert_eq!(output.status.code(), Some(1), "{output}");
    assert!(output.stdout.contains("brokr"), "{output}");
    assert!(output.stdout.contains("next: "), "{output}");

    place.settings("[broker]\nurl = 'mqtt://user@b'");
    let url = place.finding("config");
    assert_eq!(url["level"], "error", "{url}");
    assert!(url["says"].as_str().unwrap().contains("broker.url"), "{url}");

    let key = place.scratch.path().join("absent.key");
    let root = place.scratch.file("root.json", "{}");
    place.settings(&format!(
        "[trust]\nroot = '{}'\n[broker]\nurl = 'mqtts://b'\nca_file = '{}'",
        root.display(),
        key.display()
    ));
    let absent = place.finding("broker");
    assert_eq!(absent["level"], "error", "{absent}");
    assert!(absent["says"].as_str().unwrap().contains("absent.key"), "{absent}");
    let root = place.finding("trust-root");
    assert_eq!(root["level"], "error", "{root}");
}

#[test]
fn a_broker_is_reached_only_when_that_is_asked_for() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    place.settings(&format!("[broker]\nurl = 'mqtt://127.0.0.1:{port}'"));
    assert_eq!(place.finding("broker-reach")["level"], "skipped");
    let asked = ["broker-reach", "--network", "--format", "json"];
    assert_eq!(finding(&place.check(&asked), "broker-reach")["level"], "ok");
    drop(listener);
    let gone = place.check(&asked).ok();
    assert_eq!(
        finding(&gone, "broker-reach")["level"],
        "warning",
        "an unreachable broker is no error"
    );
}

#[test]
fn a_running_node_and_its_store_are_left_alone_and_a_damaged_one_is_found() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    let config = node.folder().join("skerry.toml");
    let config = config.to_str().unwrap();
    let check = |node: &Node| {
        let output = node.cli(["check", "--config", config, "--format", "json"]);
        finding(&output, "store")
    };
    assert_eq!(check(&node)["level"], "skipped", "the node has it");
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let _ = node.stop();
    assert_eq!(check(&node)["level"], "ok");

    let sled = node.folder().join("state/state/sled");
    let size = fs::metadata(sled.join("db")).unwrap().len();
    fs::write(sled.join("db"), vec![0xAA; usize::try_from(size).unwrap()]).unwrap();
    let damaged = check(&node);
    assert_eq!(damaged["level"], "warning", "the node mends that by itself: {damaged}");
    assert!(!sled.with_extension("bad").exists(), "a look repairs nothing");
    fs::remove_dir_all(&sled).unwrap();
    let gone = check(&node);
    assert_eq!(gone["level"], "warning", "the export is still there: {gone}");
    assert!(!sled.exists(), "a look makes nothing");
    node.restart();
    let status = node.cli(["status", "--format", "json"]).ok().json();
    assert!(status["storeNotice"].as_str().unwrap().contains("export"), "{status}");
    assert!(node.agent("one").is_some(), "nothing was lost");
}

#[test]
fn another_user_is_told_what_could_not_be_looked_at() {
    let place = Place::new();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(subject("SKERRY_BIN")).args(["check", "user", "namespaces", "cgroup-place"]);
    command.current_dir("/");
    let output = run(&mut command).ok();
    assert_eq!(output.stdout.matches("sudo skerry check").count(), 3, "{output}");
    assert!(output.stdout.contains("3 not looked at"), "{output}");
    drop(place);
}

#[test]
fn checks_have_names() {
    let place = Place::new();
    let list = place.check(&["--list"]).ok();
    assert!(list.stdout.contains("cgroup-memory") && list.stdout.contains("MEMCG"), "{list}");
    let one = place.check(&["clock"]).ok();
    assert!(one.stdout.lines().next().unwrap().contains("clock"), "{one}");
    let typo = place.check(&["clok"]);
    assert_eq!(typo.status.code(), Some(2), "{typo}");
    assert!(typo.stderr.contains("did you mean 'clock'"), "{typo}");
}
