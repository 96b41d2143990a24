//! Pods: agents that share network, IPC and host name, and nothing else.

use skerry_tests::agents::PATIENCE;
use skerry_tests::{Node, Scratch};

const POD: &str = r#"
agents:
  - { name: server, image: sensor, pod: web, args: [--listen, "7000"],
      healthCheck: { tcp: { port: 7000 }, interval: 200ms, startPeriod: 10s } }
  - { name: client, image: sensor, pod: web, dependsOn: { server: healthy } }
  - { name: stranger, image: sensor }
"#;

#[test]
fn members_cannot_want_different_settings_of_what_they_share() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let member = |name: &str, value: u32| {
        let settings = format!("net.ipv4.ip_default_ttl: '{value}'");
        format!("{{name: {name}, image: sensor, pod: web, security: {{sysctls: {{{settings}}}}}}}")
    };
    node.apply(&member("one", 33));
    node.apply(&member("two", 33));
    let said = node.cli_with_input(["apply", "-f", "-"], member("three", 44).as_bytes()).refused();
    let wanted =
        "security.sysctls.net.ipv4.ip_default_ttl: is 44, but agent 'one' of pod 'web' has 33";
    assert!(said.stderr.contains(wanted), "{said}");
}

#[test]
fn members_reach_each_other_and_strangers_do_not() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(POD);
    for name in ["server", "client", "stranger"] {
        let _ = node.until_state(name, "running");
    }
    let reach = "echo | nc -w 1 127.0.0.1 7000 >/dev/null 2>&1 && echo yes || echo no";
    assert_eq!(node.inside("client", reach), "yes");
    assert_eq!(node.inside("stranger", reach), "no");
    assert_eq!(node.inside("server", "hostname"), "web");
    assert_eq!(node.inside("client", "hostname"), "web");
    let space =
        |name: &str, kind: &str| node.inside(name, &format!("readlink /proc/self/ns/{kind}"));
    for kind in ["net", "ipc", "uts"] {
        assert_eq!(space("server", kind), space("client", kind), "{kind} is shared");
        assert_ne!(space("server", kind), space("stranger", kind), "{kind} is the pod's own");
    }
    for kind in ["pid", "mnt"] {
        assert_ne!(space("server", kind), space("client", kind), "{kind} is each agent's own");
    }
    let before = space("client", "net");
    let server = node.pid_of("server");
    let _ = node.cli(["restart", "server"]).ok();
    assert_ne!(node.pid_of("server"), server);
    assert_eq!(space("server", "net"), before, "the pod outlives a member's restart");

    let _ = node.cli(["rm", "-f", "client", "server", "stranger"]).ok();
    node.until("the pod is gone", PATIENCE, |node| {
        let left = std::fs::read_dir(node.folder().join("run/pods")).into_iter().flatten().count();
        (left == 0).then_some(())
    });
}
