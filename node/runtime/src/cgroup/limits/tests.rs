//! What is written on version 2, into a folder that keeps what is written. On the real kernel, see
//! `tests/containers/limits.rs`.

use super::*;

/// The files as the kernel shows them in a new group.
fn folder_with(files: &[&str]) -> (tempfile::TempDir, Group) {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let fresh = if *file == "cpu.max" { "max 100000\n" } else { "max\n" };
        std::fs::write(folder.path().join(file), fresh).unwrap();
    }
    let controllers = vec![Controller::Memory, Controller::Cpu, Controller::Pids];
    let dirs = vec![(controllers, folder.path().to_owned())];
    (folder, Group { version: Version::V2, dirs })
}

#[test]
fn version_2_takes_its_own_words() {
    let (folder, group) = folder_with(&["memory.max", "memory.swap.max", "cpu.max", "pids.max"]);
    let wanted = Limits {
        memory_bytes: Some(1 << 25),
        cpu_millis: Some(250),
        pids: Some(7),
        ..Limits::default()
    };
    assert_eq!(group.limit(&wanted).unwrap().limits, wanted);
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    assert_eq!(read("memory.max"), "33554432");
    assert_eq!(read("memory.swap.max"), "0");
    assert_eq!(read("cpu.max"), "25000 100000");
    assert_eq!(read("pids.max"), "7");
}

#[test]
fn no_limit_is_max_and_needs_no_file() {
    let (folder, group) = folder_with(&["memory.max", "cpu.max"]);
    assert_eq!(group.limit(&Limits::default()).unwrap(), InForce::default());
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    assert_eq!((read("memory.max").as_str(), read("cpu.max").as_str()), ("max", "max 100000"));
}

#[test]
fn a_kernel_that_keeps_another_value_is_found_out() {
    let file = Path::new("/x/pids.max");
    let refused = check("the limit", Some(10), Some(12), file, 1).unwrap_err().to_string();
    assert_eq!(refused, "the limit was set to 10 but the kernel reports 12 in /x/pids.max");
    assert!(check("the limit", Some(10), None, file, 1).is_err());
    assert!(check("the limit", None, Some(10), file, 1).is_err());
    assert_eq!(check("the limit", Some(4097), Some(4096), file, 4096).unwrap(), Some(4096));
    assert!(check("the limit", Some(8193), Some(4096), file, 4096).is_err());
}

#[test]
fn shares_are_weights_by_the_formula_of_the_oci() {
    for (weight, shares) in [(1, 2), (100, 1024), (10_000, 262_144)] {
        assert_eq!(processors::shares_of(weight), shares);
    }
    assert!((1..10_000).all(|w| processors::shares_of(w) <= processors::shares_of(w + 1)));
}

#[test]
fn version_2_takes_weights_processors_and_disks_in_its_words() {
    let (folder, mut group) = folder_with(&["cpu.weight", "cpuset.cpus", "io.max", "io.weight"]);
    group.dirs[0].0.extend([Controller::Cpuset, Controller::Io]);
    for file in ["cpu.weight", "cpuset.cpus", "io.max", "io.weight"] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    let wanted = Limits {
        cpu_weight: Some(77),
        cpuset: Some("0-1".into()),
        io_weight: Some(crate::launch::IoWeight { value: 20, required: false }),
        ..Limits::default()
    };
    let in_force = group.limit(&wanted).unwrap();
    assert_eq!(in_force.limits, Limits { io_weight: None, ..wanted });
    assert!(in_force.shortfalls[0].why.contains("io.cost.qos"), "{:?}", in_force.shortfalls);
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap();
    assert_eq!((read("cpu.weight"), read("cpuset.cpus")), ("77".into(), "0-1".into()));
    assert_eq!(read("io.weight"), "20");
}
