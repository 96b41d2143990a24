//! A node of this version finds what one of version 0.1 left: its agents run on, and how they ended is
//! known. The records in `older/` were written by that version; what differs from run to run is named
//! between two `@`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use skerry_core::ids::Digest;
use skerry_tests::agents::{PATIENCE, lives};
use skerry_tests::{Node, Scratch, until};

/// Agent `one` as version 0.1 would have started it: its container and monitor are real, its records
/// are of old.
struct Older {
    node: Node,
    pid: u64,
    folder: PathBuf,
    values: Vec<(&'static str, String)>,
    _scratch: Scratch,
}

impl Older {
    fn new() -> Self {
        let scratch = Scratch::new();
        let mut node = Node::setup(&scratch, "box").start();
        node.with_sensor(&scratch);
        let limits = ["--cpus", "500m", "-m", "32Mi"];
        let run = ["run", "--name", "one", "-e", "NOTE=a"];
        let _ = node.cli(run.into_iter().chain(limits).chain(["sensor"])).ok();
        let pid = node.pid_of("one");
        let image = node.agent("one").unwrap()["imageDigest"].as_str().map(str::to_owned);
        node.kill9();

        let folder = node.folder().join("run/agents/one");
        let now = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
        };
        let (state, launch, agent) = (now("state.json"), now("launch.json"), now("agent.json"));
        let image = image.unwrap_or_else(|| agent["spec"]["image"].as_str().unwrap().to_owned());
        let spec = include_str!("older/spec.json").trim().replace("@IMAGE@", &image);
        let values = vec![
            ("@INSTANCE@", Digest::of(spec.as_bytes()).to_string()),
            ("@SPEC@", spec),
            ("@LOWERS@", launch["lowers"].to_string()),
            ("@CGROUP@", format!("{}/box", scratch.cgroup())),
            ("@FOLDER@", node.folder().display().to_string()),
            ("@BOOT@", state["boot_id"].as_str().unwrap().to_owned()),
            ("@MONITOR@", state["monitor"].to_string()),
            ("@INIT@", state["init"].to_string()),
            ("@CGROUPS@", state["cgroups"].to_string()),
            ("@STARTED@", state["started_at_ms"].to_string()),
        ];
        let older = Self { node, pid, folder, values, _scratch: scratch };
        older.write("agent.json", include_str!("older/agent.json"));
        older.write("launch.json", include_str!("older/launch.json"));
        older.write("state.json", include_str!("older/state.json"));
        older
    }

    fn write(&self, name: &str, text: &str) {
        let filled =
            self.values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(key, value));
        assert!(!filled.contains('@'), "{filled}");
        fs::write(self.folder.join(name), filled.trim()).unwrap();
    }
}

#[test]
fn an_agent_of_version_0_1_is_adopted_and_left_alone() {
    let mut older = Older::new();
    older.node.restart();
    let node = &older.node;
    let agent = node.until_state("one", "running");
    assert_eq!(agent["pid"], older.pid, "the same process");
    assert_eq!(agent["restarts"], 0);
    let seen = node.inspect("one");
    assert_eq!(seen["limitsInForce"]["memory"], "32Mi", "{seen}");
    assert_eq!(seen["limitsInForce"]["cpu"], "500m", "{seen}");
    let _ = node.cli(["exec", "one", "/bin/true"]).ok();
    let _ = node.cli(["restart", "one"]).ok();
    until("a restart by hand ends the old one", PATIENCE, || (!lives(older.pid)).then_some(()));
    let _ = node.until_state("one", "running");
}

#[test]
fn how_an_agent_of_version_0_1_ended_is_known() {
    let mut older = Older::new();
    // As its monitor would have written it, just before it left.
    let monitor = older.folder.join("monitor.lock");
    older._scratch.end_contained();
    until("its monitor has left", PATIENCE, || {
        let lock = fs::File::open(&monitor).ok()?;
        let taken = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared);
        taken.ok()
    });
    older.write("exit.json", include_str!("older/exit.json"));
    older.node.restart();
    let anew = |agent: &Value| agent["state"] == "running" && agent["restarts"] == 1;
    let agent = older.node.until_agent("one", "runs anew", anew);
    assert_ne!(agent["pid"], older.pid);
    let log = older.node.log();
    assert!(log.contains("code: Some(7)"), "{log}");
}
