//! What people write, off the device: both programs say the same of it, with no node and no workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use skerry_tests::process::{Output, run, run_with_input, subject};
use skerry_tests::scratch::Scratch;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/agents.yaml")
}

fn validate(program: &str, files: &[&Path], more: &[&str]) -> Output {
    let mut command = Command::new(subject(program));
    command.arg("validate").args(more);
    for file in files {
        command.arg("-f").arg(file);
    }
    run(&mut command)
}

#[test]
fn the_example_is_taken_and_every_problem_is_told() {
    let scratch = Scratch::new();
    let told = validate("SKERRY_BIN", &[&example()], &[]).ok();
    assert_eq!(told.stdout, "12 agents are well-formed\n", "{told}");

    let wrong = "agents:\n- name: a\n  image: x\n  ports: [80]\n- name: b\n  image: x\n  \
                 resources: {limts: {}}\n- name: c\n  image: x\n  workdir: data\n";
    let file = scratch.file("wrong.yaml", wrong);
    let told = validate("SKERRY_BIN", &[&file], &[]).refused();
    assert_eq!(told.status.code(), Some(1), "{told}");
    let places = [
        ":4:3: agents[0].ports: ",
        ":7:15: agents[1].resources.limts: ",
        ":10:12: agents[2].workdir: ",
    ];
    for (line, place) in told.stdout.lines().zip(places) {
        assert!(line.starts_with(&format!("{}{place}", file.display())), "{told}");
    }
    assert!(told.stdout.ends_with("3 problems\n"), "{told}");
    let told = validate("SKERRY_BIN", &[&file], &["--format", "json"]).refused().json();
    assert_eq!((&told["valid"], &told["problems"][1]["line"]), (&json!(false), &json!(7)));
}

#[test]
fn a_profile_says_whether_they_fit() {
    let scratch = Scratch::new();
    let profile = scratch.file("profile.json", r#"{"budget": {"memory": "4Mi"}, "cpus": 1}"#);
    let profile = profile.display().to_string();
    let told = validate("SKERRY_BIN", &[&example()], &["--profile", &profile]).refused();
    assert!(
        told.stdout
            .contains("agents[0].resources.requests: agent 'web' requests memory 8Mi; 4Mi of"),
        "{told}"
    );
    let profile = scratch.file("profile.yaml", "budget: {memory: 64Mi}\ntires: {}\n");
    let told =
        validate("SKERRY_BIN", &[&example()], &["--profile", &profile.display().to_string()]);
    assert!(
        told.refused()
            .stdout
            .contains("profile.yaml:2:1: tires: there is no field 'tires'; did you mean 'tiers'?")
    );
}

#[test]
fn what_is_signed_needs_digests_and_all_its_configs() {
    let scratch = Scratch::new();
    let told = validate("SKERRY_FLEET_BIN", &[&example()], &[]).refused();
    assert!(told.stdout.contains("agents[0].image: 'busybox' is not a digest"), "{told}");
    let digest = format!("sha256:{}", "a".repeat(64));
    let agent = format!(
        "agents:\n- name: a\n  image: {digest}\n  env: {{A: {{from: config, name: c, key: k}}}}\n"
    );
    let (agents, configs) =
        (scratch.file("a.yaml", &agent), scratch.file("c.yaml", "configs: {c: {k: v}}\n"));
    let told = validate("SKERRY_FLEET_BIN", &[&agents], &[]).refused();
    assert!(
        told.stdout.contains("a.yaml:4:12: agents[0].env.A: the config 'c' is not in these files"),
        "{told}"
    );
    let told = validate("SKERRY_FLEET_BIN", &[&agents, &configs], &[]).ok();
    assert_eq!(told.stdout, "1 agent is well-formed\n");
    // A node may have it already.
    let told = validate("SKERRY_BIN", &[&agents], &[]).ok();
    assert!(told.stdout.contains("note: ") && told.stdout.contains("the config 'c'"), "{told}");
}

#[test]
fn standard_input_is_a_file_too() {
    let mut command = Command::new(subject("SKERRY_BIN"));
    let told =
        run_with_input(command.args(["validate", "-f", "-"]), b"name: a\nimag: x\n").refused();
    assert!(
        told.stdout.starts_with(
            "standard input:2:1: imag: there is no field 'imag'; did you mean 'image'?"
        ),
        "{told}"
    );
}
