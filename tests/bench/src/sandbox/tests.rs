use std::path::Path;

use super::{Cgroups, Join, flags_and_data, floor_plan, oci_config};

/// Every mount, mask and limit of the bundle has its line in the floor's plan, so that the floor
/// cannot become faster by doing less.
#[test]
fn the_floor_does_what_the_bundle_says() {
    let root = Path::new("/r");
    let config = oci_config(root, "floor", &["/probe", "once"]);
    let plan = floor_plan(Cgroups::V1, Join::Thread, root, "floor");
    let list = |pointer: &str| config.pointer(pointer).and_then(|v| v.as_array()).expect("a list");
    for mount in list("/mounts") {
        let target = mount["destination"].as_str().expect("a target");
        assert!(plan.contains(&format!(" {target} ")), "{target} is not mounted by {plan}");
    }
    for path in list("/linux/maskedPaths") {
        assert!(plan.contains(&format!("mask {}\n", path.as_str().expect("a path"))));
    }
    for path in list("/linux/readonlyPaths") {
        assert!(plan.contains(&format!("readonly {}\n", path.as_str().expect("a path"))));
    }
    assert!(plan.contains("memory/skerry-bench/floor/memory.limit_in_bytes 67108864\n"));
    assert!(plan.contains("capabilities 20000420\n"));
}

#[test]
fn on_v2_there_is_one_cgroup() {
    let plan = floor_plan(Cgroups::V2, Join::Thread, Path::new("/r"), "floor");
    assert_eq!(plan.matches("cgroup2 ").count(), 1);
    assert!(!plan.contains("cgroup1 "));
    assert!(plan.contains("cpu.max 100000 100000\n"));
}

#[test]
fn options_split_into_flags_and_data() {
    assert_eq!(
        flags_and_data(&["nosuid", "ro", "mode=755", "size=1k"]),
        (3, "mode=755,size=1k".into())
    );
}
