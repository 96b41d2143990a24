//! Several agents in one file: who waits for whom, and that only what changed is touched.

use skerry_tests::agents::lives;
use skerry_tests::{Node, Scratch};

const CHAIN: &str = r#"
apiVersion: skerry/v1
agents:
  - name: app
    image: sensor
    dependsOn: { web: healthy, setup: completed }
  - name: web
    image: sensor
    args: [--listen, "7001"]
    healthCheck: { command: [/bin/sh, -c, "echo | nc 127.0.0.1 7001"], interval: 200ms }
    dependsOn: { base: healthy }
  - name: base
    image: sensor
    command: [/bin/sh, -c, "sleep 1; exec /sensor --listen 7000"]
    healthCheck: { tcp: { port: 7000 }, interval: 200ms, startPeriod: 20s }
  - name: setup
    image: sensor
    command: [/bin/sh, -c, "sleep 1"]
    restart: never
"#;

#[test]
fn agents_start_in_the_order_of_their_dependencies() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let applied = node.apply(CHAIN);
    assert_eq!(applied["created"].as_array().unwrap().len(), 4, "{applied}");
    let app = node.agent("app").unwrap();
    assert_eq!(app["state"], "waiting", "{app}");
    assert!(app["detail"].as_str().unwrap().contains("to be"), "whom it waits for is told: {app}");

    let _ = node.until_state("app", "running");
    let begun = |name: &str| node.agent(name).unwrap()["startedAtMs"].as_u64().unwrap();
    let (base, web, app) = (begun("base"), begun("web"), begun("app"));
    assert!(web >= base + 900, "web waits until base listens, a second after its start");
    assert!(app > web, "app waits until web is healthy");
    assert_eq!(node.agent("setup").unwrap()["state"], "completed");
    assert_eq!(node.agent("web").unwrap()["health"], "healthy");

    let needed = node.cli(["rm", "-f", "base"]).refused();
    assert!(needed.stderr.contains("'web'"), "who needs it is told: {needed}");
    let _ = node.cli(["rm", "-f", "base", "web", "setup", "app"]).ok();
    assert_eq!(scratch.contained(), Vec::<u32>::new());
}

#[test]
fn an_unhealthy_agent_is_run_anew() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: ill, image: sensor, stop: {grace: 500ms}, \
          command: [/bin/sh, -c, 'touch /tmp/well; sleep 2; rm /tmp/well; sleep 1000'], \
          healthCheck: {command: [/bin/test, -f, /tmp/well], interval: 200ms, retries: 2}}",
    );
    let healthy = |agent: &serde_json::Value| agent["health"] == "healthy";
    let first = node.until_agent("ill", "is healthy", healthy)["pid"].as_u64().unwrap();
    let anew = move |agent: &serde_json::Value| {
        agent["state"] == "running" && agent["pid"].as_u64() != Some(first)
    };
    let again = node.until_agent("ill", "runs anew", anew);
    assert!(!lives(first));
    assert_eq!(again["restarts"], 1, "{again}");
}

#[test]
fn an_unhealthy_agent_that_is_only_to_be_reported_goes_on() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: ill, image: sensor, healthCheck: \
          {command: [/bin/false], interval: 200ms, retries: 1, onUnhealthy: report}}",
    );
    let _ = node.until_state("ill", "running");
    let pid = node.pid_of("ill");
    let ill = |agent: &serde_json::Value| agent["health"] == "unhealthy";
    let seen = node.until_agent("ill", "is unhealthy", ill);
    assert_eq!(seen["pid"], pid);
}

#[test]
fn only_what_changed_is_touched() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let two = |value: &str| {
        format!(
            "agents:\n- {{name: a, image: sensor}}\n- {{name: b, image: sensor, env: {{X: '{value}'}}}}"
        )
    };
    node.apply(&two("1"));
    let running = || {
        let pid = |name: &str| node.until_state(name, "running")["pid"].as_u64().unwrap();
        (pid("a"), pid("b"))
    };
    let first = running();

    let again = node.apply(&two("1"));
    assert_eq!(again["unchanged"].as_array().unwrap().len(), 2, "{again}");
    assert_eq!(running(), first);

    let file = scratch.file("two.yaml", two("2"));
    let file = file.to_str().unwrap();
    let dry = node.cli(["apply", "-f", file, "--dry-run"]).ok();
    assert!(dry.stdout.contains("b: changed"), "{dry}");
    assert_eq!(node.inspect("b")["desired"]["env"]["X"], "1", "a dry run changes nothing");
    let wet = node.cli(["apply", "-f", file]).ok();
    assert!(wet.stdout.contains("a: unchanged") && wet.stdout.contains("b: changed"), "{wet}");
    let replaced = move |agent: &serde_json::Value| {
        agent["state"] == "running" && agent["pid"].as_u64() != Some(first.1)
    };
    let _ = node.until_agent("b", "was replaced", replaced);
    let second = running();
    assert_eq!(second.0, first.0, "a is left alone");

    let one = scratch.file("one.yaml", "{name: a, image: sensor}");
    let one = one.to_str().unwrap();
    let dry = node.cli(["apply", "-f", one, "--prune", "--dry-run"]).ok();
    assert!(dry.stdout.contains("b: removed"), "{dry}");
    assert!(lives(second.1));
    let _ = node.cli(["apply", "-f", one]).ok();
    assert!(node.agent("b").is_some(), "without --prune others stay");
    let _ = node.cli(["apply", "-f", one, "--prune"]).ok();
    node.until("b is gone", skerry_tests::agents::PATIENCE, |node| {
        node.agent("b").is_none().then_some(())
    });
    assert!(!lives(second.1));
    assert_eq!(node.pid_of("a"), first.0);
}
