//! Sizes, budgets, and limits that change while an agent runs.

use std::fs;
use std::path::Path;

use skerry_tests::{Node, Scratch};

#[test]
fn who_does_not_fit_is_told_who_takes_what() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").set("budget.memory", "100Mi").start();
    node.with_sensor(&scratch);
    let wish = |name: &str, memory: &str| {
        format!("{{name: {name}, image: sensor, resources: {{requests: {{memory: {memory}}}}}}}")
    };
    node.apply(&wish("big", "60Mi"));
    node.apply(&wish("small", "20Mi"));
    let more = wish("more", "30Mi");
    let refused = node.cli_with_input(["apply", "-f", "-"], more.as_bytes()).refused();
    for part in ["'more'", "30Mi", "20Mi of this node's 100Mi is left", "big 60Mi, small 20Mi"] {
        assert!(refused.stderr.contains(part), "{part} in {refused}");
    }
    assert!(node.agent("more").is_none());
    let _ = node.cli(["rm", "-f", "small"]).ok();
    node.apply(&more);
    let _ = node.until_state("more", "running");
}

#[test]
fn a_tier_is_what_the_node_says_and_the_profile_tells_it() {
    let scratch = Scratch::new();
    let tier: toml::Table = "limits = { memory = '48Mi', pids = 9 }".parse().unwrap();
    let node = Node::setup(&scratch, "box").set("tiers.small", tier).start();
    node.with_sensor(&scratch);
    let _ =
        node.cli(["run", "--name", "one", "--tier", "small", "--pids-limit", "7", "sensor"]).ok();
    let limits = node.inspect("one")["limitsInForce"].clone();
    assert_eq!((&limits["memory"], &limits["pids"]), (&"48Mi".into(), &7.into()), "{limits}");
    let refused = node.cli(["run", "--tier", "huge", "sensor"]).refused();
    assert!(refused.stderr.contains("this node has small"), "{refused}");
    let profile = node.cli(["profile"]).ok().json();
    assert_eq!(profile["tiers"]["small"]["limits"]["memory"], "48Mi", "{profile}");
    assert!(profile["cpus"].as_u64().is_some_and(|cpus| cpus > 0), "{profile}");
}

#[test]
fn limits_change_while_it_runs() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let wish =
        |limits: &str| format!("{{name: one, image: sensor, resources: {{limits: {limits}}}}}");
    node.apply(&wish("{memory: 32Mi, cpu: 500m, pids: 7}"));
    let pid = node.until_state("one", "running")["pid"].as_u64();
    let told = |what: &str, wanted: &dyn Fn(&serde_json::Value) -> bool| {
        node.until(what, skerry_tests::agents::PATIENCE, |node| {
            Some(node.inspect("one")).filter(|detail| wanted(&detail["limitsInForce"]))
        })
    };
    node.apply(&wish("{memory: 64Mi, cpu: 250m, cpuset: '0'}"));
    let detail = told("other limits", &|limits| limits["memory"] == "64Mi");
    let limits = &detail["limitsInForce"];
    assert_eq!((&limits["cpu"], &limits["cpuset"]), (&"250m".into(), &"0".into()), "{limits}");
    assert!(limits["pids"].is_null(), "what is left out is lifted: {limits}");
    assert_eq!(detail["status"]["pid"].as_u64(), pid, "it is the same process");
    let groups = detail["cgroups"].as_array().unwrap();
    let mut files = groups.iter().filter_map(|group| {
        let group = Path::new(group.as_str()?);
        let names = ["memory.max", "memory.limit_in_bytes"].map(|name| group.join(name));
        names.into_iter().find_map(|file| fs::read_to_string(file).ok())
    });
    assert_eq!(files.next().unwrap().trim(), (64 << 20).to_string());
}

#[test]
fn who_goes_first_is_in_the_kernel() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    for class in ["low", "normal", "high", "critical"] {
        let _ = node.cli(["run", "--name", class, "--priority", class, "sensor"]).ok();
    }
    let score = |name: &str| {
        let pid = node.pid_of(name);
        let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        text.trim().parse::<i32>().unwrap()
    };
    let order = ["low", "normal", "high", "critical"].map(score);
    assert!(order.windows(2).all(|two| two[0] > two[1]), "{order:?}");
    let weight = |name: &str| {
        let detail = node.inspect(name);
        let groups = detail["cgroups"].as_array().unwrap().clone();
        let mut files = groups.iter().filter_map(|group| {
            let group = Path::new(group.as_str()?);
            let names = ["cpu.weight", "cpu.shares"].map(|name| group.join(name));
            names.into_iter().find_map(|file| fs::read_to_string(file).ok())
        });
        files.next().unwrap().trim().parse::<u64>().unwrap()
    };
    assert!(weight("high") > weight("normal") && weight("normal") > weight("low"));
}
