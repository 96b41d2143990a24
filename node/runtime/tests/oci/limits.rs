//! Limits are in force as written, change while the container runs, and are refused where they
//! cannot be.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::json;

use crate::rig::Bundle;

fn read(bundle: &Bundle, names: [&str; 2]) -> String {
    let mut groups = bundle.groups().into_iter();
    let found = groups.find_map(|group| {
        names.iter().find_map(|name| std::fs::read_to_string(group.join(name)).ok())
    });
    found.unwrap_or_else(|| panic!("no {names:?}")).trim().to_owned()
}

#[test]
fn limits_are_in_force_and_change() {
    let mut bundle = Bundle::script("exec sleep 100");
    bundle.config["linux"]["resources"]["memory"] = json!({ "limit": 33_554_432 });
    bundle.config["linux"]["resources"]["pids"] = json!({ "limit": 20 });
    bundle.config["linux"]["resources"]["cpu"] = json!({ "quota": 20_000, "period": 100_000 });
    bundle.does("create");
    bundle.does("start");
    let memory = ["memory.limit_in_bytes", "memory.max"];
    assert_eq!(read(&bundle, memory), "33554432");
    assert_eq!(read(&bundle, ["pids.max", "pids.max"]), "20");
    assert!(read(&bundle, ["cpu.cfs_quota_us", "cpu.max"]).starts_with("20000"));
    let options = ["update", "--memory", "64M", "--pids-limit", "30", "--cpu-quota", "50000"];
    assert_eq!(bundle.call(&[&options[..], &[&bundle.id]].concat()).code, 0);
    assert_eq!(read(&bundle, memory), "67108864");
    assert_eq!(read(&bundle, ["pids.max", "pids.max"]), "30");
    assert!(read(&bundle, ["cpu.cfs_quota_us", "cpu.max"]).starts_with("50000"));
}

#[test]
fn a_limit_that_the_kernel_refuses_is_told_and_leaves_nothing() {
    let mut bundle = Bundle::script("true");
    bundle.config["linux"]["resources"]["hugepageLimits"] =
        json!([{ "pageSize": "3MB", "limit": 0 }]);
    let went = bundle.run();
    assert!(went.code == 1 && went.err.contains("hugetlb.3MB"), "{}", went.err);
    bundle.assert_gone();
}

#[test]
fn devices_beside_the_ordinary_ones_are_closed() {
    let mut bundle = Bundle::script("cat /dev/kmsg");
    bundle.config["linux"]["devices"] =
        json!([{ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11 }]);
    let went = bundle.run();
    assert!(went.err.contains("Operation not permitted"), "{}", went.err);
    bundle.config["process"]["args"] = json!(["sh", "-c", "exec 3< /dev/zero && echo open"]);
    assert_eq!(bundle.run().out, "open\n");
}

#[test]
fn what_a_container_uses_is_told() {
    let bundle = Bundle::script("exec sleep 100");
    bundle.does("create");
    bundle.does("start");
    let went = bundle.call(&["events", "--stats", &bundle.id]);
    let stats: serde_json::Value = serde_json::from_str(&went.out).unwrap();
    assert_eq!(stats["type"], "stats");
    assert!(stats["data"]["pids"]["current"].as_u64().unwrap() >= 1);
}
