//! Hooks run at their turn, in their namespaces, with the state; what fails stops the container.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::{Value, json};

use crate::rig::Bundle;

/// Writes the state it gets and its mount namespace into a file named after the stage.
fn hook(bundle: &Bundle, stage: &str) -> Value {
    let dir = bundle.path().join("told");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join(stage);
    let script = format!("cat > {0}; readlink /proc/self/ns/mnt > {0}.ns", file.display());
    json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 10 }])
}

fn told(bundle: &Bundle, stage: &str) -> (Value, String) {
    let file = bundle.path().join("told").join(stage);
    let state = std::fs::read(&file).unwrap_or_else(|_| panic!("no {stage}"));
    let namespace = std::fs::read_to_string(file.with_extension("ns")).unwrap();
    (serde_json::from_slice(&state).unwrap(), namespace)
}

#[test]
fn each_stage_has_its_state_and_namespace() {
    let mut bundle = Bundle::script("exec sleep 100");
    bundle.config["annotations"] = json!({ "color": "grey" });
    for stage in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        bundle.config["hooks"][stage] = hook(&bundle, stage);
    }
    bundle.does("create");
    let here = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let here = here.to_str().unwrap();
    let pid = bundle.state()["pid"].clone();
    for stage in ["prestart", "createRuntime"] {
        let (state, namespace) = told(&bundle, stage);
        assert_eq!((&state["status"], &state["pid"]), (&json!("creating"), &pid), "{stage}");
        assert_eq!(state["id"], bundle.id);
        assert_eq!(state["bundle"], bundle.path().to_str().unwrap());
        assert_eq!(state["annotations"]["color"], "grey");
        assert_eq!(namespace.trim(), here, "{stage}");
    }
    let (state, namespace) = told(&bundle, "createContainer");
    assert_eq!(state["pid"], 1, "as seen in the container");
    assert_ne!(namespace.trim(), here);
    assert!(!bundle.path().join("told/poststart").exists(), "not started yet");
    bundle.does("start");
    assert_eq!(told(&bundle, "poststart").0["status"], "running");
    assert_eq!(bundle.call(&["delete", "--force", &bundle.id]).code, 0);
    let (state, namespace) = told(&bundle, "poststop");
    assert_eq!(state["status"], "stopped");
    assert_eq!(namespace.trim(), here);
}

#[test]
fn the_hook_of_the_start_runs_in_the_container_before_the_program() {
    let mut bundle = Bundle::script("cat /tmp/hook");
    bundle.config["root"]["readonly"] = json!(false);
    let args = ["sh", "-c", "cat > /tmp/hook; echo >> /tmp/hook"];
    bundle.config["hooks"]["startContainer"] = json!([{ "path": "/bin/sh", "args": args }]);
    let went = bundle.run();
    assert_eq!(went.code, 0, "{}", went.err);
    let state: Value = serde_json::from_str(&went.out).unwrap();
    assert_eq!((&state["status"], &state["pid"]), (&json!("created"), &json!(1)));
}

#[test]
fn a_hook_that_fails_stops_the_container_and_is_told() {
    for stage in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
        let mut bundle = Bundle::script("exec sleep 100");
        bundle.config["hooks"]["poststop"] = hook(&bundle, "poststop");
        let fail = json!([{ "path": "/bin/sh", "args": ["sh", "-c", "echo too bad; exit 3"] }]);
        bundle.config["hooks"][stage] = fail;
        let went = bundle.run();
        assert_eq!(went.code, 1, "{stage}");
        let wanted = format!("error running {stage} hook #0");
        assert!(went.err.contains(&wanted) && went.err.contains("too bad"), "{}", went.err);
        assert_eq!(told(&bundle, "poststop").0["status"], "stopped");
        bundle.assert_gone();
    }
}

#[test]
fn a_hook_has_no_longer_than_its_time() {
    let mut bundle = Bundle::script("true");
    let slow = json!([{ "path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1 }]);
    bundle.config["hooks"]["createRuntime"] = slow;
    let went = bundle.run();
    assert!(went.code == 1 && went.err.contains("timeout"), "{}", went.err);
    bundle.assert_gone();
}
