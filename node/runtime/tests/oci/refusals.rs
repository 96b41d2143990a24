//! What cannot be honoured is refused by name, before anything is made.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::rig::Bundle;

fn refused(change: impl Fn(&mut Value), words: &str) {
    let mut bundle = Bundle::script("true");
    change(&mut bundle.config);
    let went = bundle.run();
    assert!(went.code == 1 && went.err.contains(words), "{words}: {} {}", went.code, went.err);
    bundle.assert_gone();
}

#[test]
fn what_nobody_would_do() {
    refused(|c| c["linux"]["intelRdt"] = json!({ "closID": "x" }), "intelRdt");
    refused(|c| c["process"]["selinuxLabel"] = json!("x:y:z"), "selinux");
    refused(|c| c["linux"]["namespaces"] = json!([{ "type": "pid" }]), "mount namespace");
    refused(|c| c["mounts"][0]["options"] = json!(["idmap"]), "id-mapped");
    refused(|c| c["ociVersion"] = json!("2.0.0"), "ociVersion");
    refused(|c| c["process"]["rlimits"] = json!([{ "type": "RLIMIT_X" }]), "rlimit");
    refused(|c| c["linux"]["cgroupsPath"] = json!("a.slice:b:c"), "systemd");
}

#[test]
fn a_filter_that_would_ask_somebody() {
    let ask = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }],
    });
    refused(|c| c["linux"]["seccomp"] = ask.clone(), "seccomp");
}

#[test]
fn a_terminal_without_a_place_to_send_it() {
    let mut bundle = Bundle::script("true");
    bundle.config["process"]["terminal"] = json!(true);
    bundle.write_config();
    let went = bundle.call(&["create", &bundle.id]);
    assert!(went.code == 1 && went.err.contains("console socket"), "{}", went.err);
}

#[test]
fn a_service_manager() {
    let bundle = Bundle::script("true");
    let went = bundle.call(&["--systemd-cgroup", "list"]);
    assert!(went.code == 1 && went.err.contains("cgroupfs"), "{}", went.err);
}

#[test]
fn names_that_are_paths() {
    let bundle = Bundle::script("true");
    bundle.write_config();
    for name in ["../x", "a/b", "..", "a b"] {
        let went = bundle.call(&["create", name]);
        assert!(went.code == 1 && went.err.contains("invalid id"), "{name}: {}", went.err);
    }
}

#[test]
fn errors_reach_the_log_in_the_form_that_podman_reads() {
    let bundle = Bundle::script("true");
    let log = bundle.path().join("log.json");
    let log_option = log.to_str().unwrap();
    let went = bundle.call(&["--log", log_option, "--log-format", "json", "state", "nobody"]);
    assert_eq!((went.code, went.err.as_str()), (1, "container does not exist: nobody\n"));
    let line: Value = serde_json::from_slice(&std::fs::read(log).unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert_eq!(line["msg"], "container does not exist: nobody");
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}
