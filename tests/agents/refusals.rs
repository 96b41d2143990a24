//! What can't be is refused, with the cause and the next step, and changes nothing.

use skerry_tests::agents::root_folder;
use skerry_tests::{Node, Scratch};

#[test]
fn an_agent_without_its_image_is_blocked_until_the_image_comes() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    let root = root_folder(&scratch);
    let pack = ["--entrypoint", "/sensor", "--name", "sensor", "-o", "sensor.tar"];
    let pack = node.cli([&["image", "pack", root.to_str().unwrap()], &pack[..]].concat()).ok();
    let digest = pack.stdout.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap();

    let unnamed = node.cli(["run", "--name", "one", "sensor"]).refused();
    assert!(unnamed.stderr.contains("sensor") && unnamed.stderr.contains("image"), "{unnamed}");
    node.apply(&format!("{{name: one, image: '{digest}'}}"));
    let blocked = node.until_state("one", "blocked");
    let detail = blocked["detail"].as_str().unwrap();
    assert!(detail.contains(digest) && detail.contains("skerry image import"), "{detail}");

    let _ = node.cli(["image", "import", "sensor.tar"]).ok();
    let _ = node.until_state("one", "running");
}

#[test]
fn a_spec_that_cannot_be_is_refused_with_its_place() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    // Each with words that must be in what is told.
    let cases: [(&str, &[&str]); 12] = [
        ("{name: a, image: sensor, restrat: always}", &["restrat", "did you mean 'restart'"]),
        (
            "{name: a, image: sensor, resources: {limits: {memroy: 1Gi}}}",
            &["resources.limits", "memroy"],
        ),
        (
            "{name: a, image: sensor, resources: {limits: {memory: 1Ki}}}",
            &["resources.limits.memory", "1Mi"],
        ),
        (
            "{name: a, image: sensor, resources: {limits: {memory: lots}}}",
            &["resources.limits.memory", "lots"],
        ),
        ("{name: Not Good, image: sensor}", &["name", "Not Good"]),
        ("{name: a}", &["image"]),
        ("{name: a, image: nosuch}", &["spec.yaml:1:18: image", "nosuch", "skerry image import"]),
        ("{name: a, image: sensor, restart: sometimes}", &["restart", "sometimes", "on-failure"]),
        (
            "{name: a, image: sensor, healthCheck: {interval: 1s}}",
            &["healthCheck", "http, tcp, command and file"],
        ),
        ("{name: a, image: sensor, dependsOn: {b: started}}", &["'a'", "dependsOn.b"]),
        (
            "agents: [{name: a, image: sensor, dependsOn: {b: started}}, \
             {name: b, image: sensor, dependsOn: {a: started}}]",
            &["circle", "a -> b"],
        ),
        ("agents: [{name: a, image: sensor}, {name: a, image: sensor}]", &["two agents", "'a'"]),
    ];
    for (spec, words) in cases {
        let file = scratch.file("spec.yaml", spec);
        let refused = node.cli(["apply", "-f", file.to_str().unwrap()]).refused();
        for word in words {
            assert!(refused.stderr.contains(word), "{word:?} is missing for {spec}: {refused}");
        }
        assert_eq!(node.agent("a"), None, "nothing came of {spec}");
    }
    let half = "agents: [{name: good, image: sensor}, {name: bad, image: sensor, workdir: here}]";
    let refused = node.cli_with_input(["apply", "-f", "-"], half.as_bytes()).refused();
    assert!(refused.stderr.contains("agents[1].workdir"), "{refused}");
    assert_eq!(node.agent("good"), None, "all or none");
}

#[test]
fn unknown_agents_and_wrong_usage_have_their_exit_codes() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    for verb in ["inspect", "logs", "stop", "start", "restart", "rm"] {
        let refused = node.cli([verb, "nosuch"]).refused();
        assert_eq!(refused.status.code(), Some(1), "{refused}");
        let told = refused.stderr.contains("'nosuch'") && refused.stderr.contains("skerry ps -a");
        assert!(told, "name and next step: {refused}");
    }
    assert_eq!(node.cli(["exec", "nosuch", "/bin/true"]).status.code(), Some(125));
    assert_eq!(node.cli(["stats", "--no-stream", "nosuch"]).status.code(), Some(1));
    assert_eq!(node.cli(["ps", "--nonsense"]).status.code(), Some(2));
    assert_eq!(node.cli(["run", "-m", "lots", "sensor"]).status.code(), Some(2));

    let _ = node.stop();
    let absent = node.cli(["ps"]).refused();
    assert_eq!(absent.status.code(), Some(1));
    assert!(absent.stderr.contains("skerry node"), "the next step is told: {absent}");
}

#[test]
fn a_second_node_on_the_same_state_is_refused() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "sensor"]).ok();
    let pid = node.pid_of("one");
    let (status, log) = Node::setup(&scratch, "box").start_refused();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("in use") && log.contains("already running"), "{log}");
    assert_eq!(node.pid_of("one"), pid, "the first goes on, and still answers");
}
