//! Each kind of probe, in the agent's own network and files; what follows from its answers.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use skerry_tests::certificates::Authority;
use skerry_tests::process::Background;
use skerry_tests::{Node, Scratch};

fn health(agent: &Value, word: &str) -> bool {
    agent["health"] == word
}

/// A server that answers 200 as long as `/tmp/ok` is there, and 404 else.
const SERVER: &str = "mkdir -p /tmp/www; echo hi > /tmp/www/ready; \
                      exec busybox httpd -f -p 8080 -h /tmp/www";

#[test]
fn http_asks_for_a_page_and_judges_its_status() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let agent = |name: &str, http: &str| {
        format!(
            "- {{name: {name}, image: sensor, command: [/bin/sh, -c, 'alias mkdir=\"busybox mkdir\"; {SERVER}'], \
               healthCheck: {{http: {http}, interval: 200ms, retries: 1, startPeriod: 10s, onUnhealthy: report}}}}\n"
        )
    };
    let list = [
        agent("good", "{port: 8080, path: /ready}"),
        agent("gone", "{port: 8080, path: /none, status: '404'}"),
        agent("ill", "{port: 8080, path: /none}"),
    ];
    node.apply(&format!("agents:\n{}", list.concat()));
    let _ = node.until_agent("good", "is healthy", |agent| health(agent, "healthy"));
    let _ = node.until_agent("gone", "expects a 404", |agent| health(agent, "healthy"));
    let ill = node.until_agent("ill", "tells its status", |agent| {
        agent["detail"].as_str().is_some_and(|detail| detail.contains("status 404"))
    });
    assert!(ill["detail"].as_str().unwrap().contains("200-399"), "{ill}");
    let pid = node.pid_of("good");
    let _ = node.inside("good", "rm /tmp/www/ready");
    let reported = node.until_agent("good", "is unhealthy", |agent| health(agent, "unhealthy"));
    assert_eq!(reported["pid"].as_u64(), Some(pid), "it is only reported");
}

#[test]
fn a_probe_does_not_reach_the_host_and_one_of_the_host_s_network_does() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let check =
        format!("{{tcp: {{port: {port}}}, interval: 200ms, retries: 2, onUnhealthy: report}}");
    node.apply(&format!(
        "agents:\n- {{name: own, image: sensor, healthCheck: {check}}}\n\
         - {{name: host, image: sensor, network: {{mode: host}}, healthCheck: {check}}}"
    ));
    let _ = node.until_agent("host", "is healthy", |agent| health(agent, "healthy"));
    let _ = node.until_agent("own", "is unhealthy", |agent| health(agent, "unhealthy"));
}

#[test]
fn a_file_must_be_there_and_fresh() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: beat, image: sensor, \
          command: [/bin/sh, -c, 'while [ ! -e /tmp/stop ]; do touch /tmp/beat; usleep 200000; done; sleep 1000'], \
          healthCheck: {file: {path: /tmp/beat, maxAge: 2s}, interval: 200ms, retries: 1, \
          startPeriod: 10s, onUnhealthy: report}}",
    );
    let _ = node.until_agent("beat", "is healthy", |agent| health(agent, "healthy"));
    let _ = node.inside("beat", "touch /tmp/stop");
    let old = node.until_agent("beat", "is unhealthy", |agent| health(agent, "unhealthy"));
    assert!(old["detail"].as_str().unwrap().contains("old; at most 2s"), "{old}");
    let _ = node.inside("beat", "rm /tmp/beat");
    let _ = node.until_agent("beat", "has no file", |agent| {
        agent["detail"].as_str().is_some_and(|detail| detail.contains("No such file"))
    });
}

#[test]
fn what_is_not_ready_keeps_its_dependents_waiting() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "agents:\n\
         - {name: base, image: sensor, \
            readiness: {file: {path: /tmp/ready}, interval: 200ms}}\n\
         - {name: app, image: sensor, dependsOn: {base: healthy}}\n",
    );
    let base = node.until_state("base", "running");
    assert_eq!(base["ready"], false, "{base}");
    assert_eq!(node.agent("app").unwrap()["state"], "waiting");
    assert!(node.cli(["ps"]).ok().stdout.contains("not-ready"));
    let _ = node.inside("base", "touch /tmp/ready");
    let _ = node.until_state("app", "running");
    assert_eq!(node.agent("base").unwrap()["ready"], true);
    let app = node.pid_of("app");
    let _ = node.inside("base", "rm /tmp/ready");
    let _ = node.until_agent("base", "is not ready", |agent| agent["ready"] == false);
    assert_eq!(node.pid_of("app"), app, "who runs already is left alone");
    assert_eq!(node.agent("base").unwrap()["restarts"], 0, "and it is not run anew");
}

#[test]
fn until_it_has_started_it_is_asked_nothing_else() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: slow, image: sensor, \
          startup: {file: {path: /tmp/up}, interval: 200ms, retries: 100}, \
          healthCheck: {file: {path: /tmp/well}, interval: 200ms, retries: 1}}",
    );
    let starting = node.until_agent("slow", "runs", |agent| agent["state"] == "running");
    let pid = starting["pid"].as_u64();
    let told = node.until_agent("slow", "tells of its startup", |agent| {
        agent["detail"].as_str().is_some_and(|detail| detail.starts_with("startup"))
    });
    assert_eq!(told["health"], "starting", "{told}");
    let _ = node.inside("slow", "touch /tmp/well /tmp/up");
    let well = node.until_agent("slow", "is healthy", |agent| health(agent, "healthy"));
    assert_eq!(well["pid"].as_u64(), pid);
    let _ = node.inside("slow", "rm /tmp/well");
    let _ = node.until_agent("slow", "runs anew", |agent| {
        agent["state"] == "running" && agent["pid"].as_u64() != pid
    });
}

#[test]
fn a_startup_that_never_comes_runs_it_anew() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: stuck, image: sensor, stop: {grace: 500ms}, \
          startup: {file: {path: /tmp/never}, interval: 100ms, retries: 3}}",
    );
    let _ = node.until_agent("stuck", "was run anew", |agent| {
        agent["restarts"].as_u64().is_some_and(|count| count >= 1)
    });
    let history = node.inspect("stuck")["history"].clone();
    assert_eq!(history[0]["reason"], "unhealthy", "{history}");
    assert!(history[0]["message"].as_str().unwrap().contains("/tmp/never"), "{history}");
}

#[test]
fn one_that_was_ended_for_its_health_has_failed_and_says_why_after_a_restart_too() {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "agents:\n- {name: ill, image: sensor, restart: never, stop: {grace: 200ms}, \
          healthCheck: {file: {path: /tmp/never}, interval: 100ms, retries: 1}}\n\
         - {name: app, image: sensor, dependsOn: {ill: completed}}",
    );
    let told = node.until_state("ill", "failed");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.starts_with("unhealthy: health check: "), "{told}");
    assert!(detail.contains("/tmp/never"), "{told}");
    let waits = node.until_state("app", "waiting");
    assert!(waits["detail"].as_str().unwrap().ends_with(detail), "{waits}");
    let counts = node.cli(["status", "--format", "json"]).ok().json();
    assert_eq!(counts["agents"]["failed"], 1, "{counts}");
    node.restart();
    assert_eq!(node.until_state("ill", "failed")["detail"], detail);
}

#[test]
fn https_is_asked_whoever_has_signed_the_certificate() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    skerry_tests::process::need_tool("openssl", "openssl");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let identity = Authority::new(&scratch.folder("authority")).broker();
    let mut server = Command::new("openssl");
    server.args(["s_server", "-www", "-quiet", "-accept", &port.to_string()]);
    server.arg("-cert").arg(&identity.certificate).arg("-key").arg(&identity.key);
    let _server = Background::start("openssl", &mut server, &scratch.path().join("openssl.log"));
    node.apply(&format!(
        "{{name: host, image: sensor, network: {{mode: host}}, healthCheck: {{http: \
          {{port: {port}, scheme: https, path: /, status: '200'}}, interval: 200ms}}}}"
    ));
    let _ = node.until_agent("host", "is healthy", |agent| health(agent, "healthy"));
}

#[test]
fn many_probes_that_hang_cost_no_threads_and_few_descriptors() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let check = "{http: {port: 8080}, interval: 100ms, timeout: 3s, retries: 1";
    node.apply(&format!(
        "{{name: mute, image: sensor, replicas: 40, \
          command: [/bin/busybox, nc, -ll, -p, '8080', -e, /bin/sh, -c, 'cat > /dev/null'], \
          stop: {{grace: 100ms}}, \
          readiness: {check}}}, healthCheck: {check}, onUnhealthy: report}}}}"
    ));
    let pid = node.pid();
    let count = |folder: &str| std::fs::read_dir(format!("/proc/{pid}/{folder}")).unwrap().count();
    let (mut threads, mut descriptors) = (0, 0);
    node.until("all have been probed", Duration::from_secs(60), |node| {
        (threads, descriptors) = (threads.max(count("task")), descriptors.max(count("fd")));
        let all = node.cli(["ps", "-a", "--format", "json"]).ok().json();
        let all = all.as_array().unwrap();
        let told = all.iter().filter(|agent| health(agent, "unhealthy") && agent["ready"] == false);
        let late = node.agent("mute-7").map(|agent| agent["detail"].to_string());
        let hangs = late.is_some_and(|detail| detail.contains("no answer within"));
        (all.len() == 40 && told.count() == 40 && hangs).then_some(())
    });
    assert!(threads < 40, "{threads} threads");
    assert!(descriptors < 400, "{descriptors} descriptors");
}
