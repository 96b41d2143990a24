//! From `create` to `delete`, and what is left when something fails in between.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use crate::rig::{Bundle, until};

#[test]
fn a_container_goes_through_its_states() {
    let bundle = Bundle::script("touch /tmp/started; exec sleep 100");
    bundle.does("create");
    let state = bundle.state();
    assert_eq!(state["status"], "created");
    assert!(state["pid"].as_i64().unwrap() > 1);
    assert_eq!(state["bundle"], bundle.path().to_str().unwrap());
    bundle.does("start");
    assert_eq!(bundle.status(), "running");
    let again = bundle.call(&["start", &bundle.id]);
    assert!(again.code == 1 && again.err.contains("already running"), "{}", again.err);
    let early = bundle.call(&["delete", &bundle.id]);
    assert!(early.code == 1 && early.err.contains("not stopped"), "{}", early.err);
    assert_eq!(bundle.call(&["kill", &bundle.id, "KILL"]).code, 0);
    until("the end", || bundle.status() == "stopped");
    assert_eq!(bundle.state()["pid"], 0);
    assert!(bundle.call(&["kill", &bundle.id]).err.contains("container not running"));
    bundle.does("delete");
    bundle.assert_gone();
    assert_eq!(bundle.call(&["state", &bundle.id]).code, 1);
    assert_eq!(bundle.call(&["delete", "--force", &bundle.id]).code, 0);
}

#[test]
fn a_signal_does_not_mean_the_end() {
    let bundle = Bundle::script("trap 'touch /tmp/asked' TERM; while :; do sleep 0.1; done");
    let mut bundle = bundle;
    bundle.config["root"]["readonly"] = json!(false);
    bundle.does("create");
    bundle.does("start");
    let asked = bundle.path().join("rootfs/tmp/asked");
    until("the signal", || {
        bundle.call(&["kill", &bundle.id, "SIGTERM"]);
        asked.exists()
    });
    assert_eq!(bundle.status(), "running");
}

#[test]
fn run_gives_output_and_code_and_leaves_nothing() {
    let went = Bundle::script("echo out; echo err >&2; exit 7");
    let (bundle, went) = (&went, went.run());
    assert_eq!((went.code, went.out.as_str(), went.err.as_str()), (7, "out\n", "err\n"));
    bundle.assert_gone();
}

#[test]
fn a_missing_program_is_told_and_leaves_nothing() {
    let mut bundle = Bundle::script("");
    bundle.config["process"]["args"] = json!(["nonsense"]);
    let went = bundle.run();
    assert_eq!(went.code, 1);
    assert!(went.err.contains("executable file not found in $PATH"), "{}", went.err);
    bundle.assert_gone();
    bundle.config["process"]["args"] = json!(["/no/such"]);
    assert!(bundle.run().err.contains("no such file or directory"));
    bundle.assert_gone();
}

#[test]
fn a_process_number_used_again_is_not_the_container() {
    let bundle = Bundle::script("exec sleep 100");
    bundle.does("create");
    bundle.does("start");
    let path = bundle.root().join(&bundle.id).join("state.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let start = record["init"]["start_time"].as_u64().unwrap();
    record["init"]["start_time"] = json!(start + 1);
    std::fs::write(&path, record.to_string()).unwrap();
    assert_eq!(bundle.status(), "stopped");
    assert!(bundle.call(&["kill", &bundle.id, "KILL"]).err.contains("not running"));
}

#[test]
fn groups_below_the_containers_go_with_it() {
    let bundle = Bundle::script("exec sleep 100");
    bundle.does("create");
    bundle.does("start");
    for group in bundle.groups() {
        std::fs::create_dir_all(group.join("below/deeper")).unwrap();
    }
    assert_eq!(bundle.call(&["delete", "--force", &bundle.id]).code, 0);
    bundle.assert_gone();
}

#[test]
fn a_paused_container_goes_on_and_can_be_ended() {
    let bundle = Bundle::script("exec sleep 100");
    bundle.does("create");
    bundle.does("start");
    bundle.does("pause");
    assert_eq!(bundle.status(), "paused");
    assert!(bundle.exec(&[], &["id"]).err.contains("paused"));
    bundle.does("resume");
    assert_eq!(bundle.status(), "running");
    bundle.does("pause");
    assert_eq!(bundle.call(&["delete", "--force", &bundle.id]).code, 0);
    bundle.assert_gone();
}

#[test]
fn a_container_refused_for_a_group_in_use_leaves_the_group_alone() {
    let first = Bundle::script("exec sleep 100");
    first.does("create");
    first.does("start");
    first.does("pause");
    let mut second = Bundle::script("true");
    second.config["linux"]["cgroupsPath"] = first.config["linux"]["cgroupsPath"].clone();
    let went = second.run();
    assert!(went.code == 1 && went.err.contains("frozen"), "{}", went.err);
    assert_eq!(first.status(), "paused");
}

#[test]
fn a_number_of_the_process_is_written_where_asked() {
    let bundle = Bundle::script("exec sleep 100");
    bundle.write_config();
    let file = bundle.path().join("pid");
    let mut create = bundle.command(&["create", "--pid-file", file.to_str().unwrap(), &bundle.id]);
    let silent = std::process::Stdio::null;
    assert!(create.stdout(silent()).stderr(silent()).status().unwrap().success());
    let pid: i64 = std::fs::read_to_string(file).unwrap().parse().unwrap();
    assert_eq!(bundle.state()["pid"], pid);
}
