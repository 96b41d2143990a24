//! Limits are what the kernel says, and they hold.

use std::path::Path;

use skerry_runtime::{Limits, set_limits, stats};

use crate::rig::{Rig, wait_for};

#[test]
fn limits_are_read_back_from_the_kernel() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits = Limits {
        memory_bytes: Some(32 << 20),
        cpu_millis: Some(500),
        pids: Some(16),
        ..Limits::default()
    };
    let state = rig.start();
    assert_eq!(state.limits, rig.launch.limits);
    let read = |folder: &Path, file: &str| std::fs::read_to_string(folder.join(file)).ok();
    let found = |file: &str| state.cgroups.iter().find_map(|folder| read(folder, file));
    let memory = found("memory.limit_in_bytes").or_else(|| found("memory.max")).unwrap();
    assert_eq!(memory.trim(), "33554432");
    assert_eq!(found("pids.max").unwrap().trim(), "16");
    let cpu = found("cpu.cfs_quota_us").or_else(|| found("cpu.max")).unwrap();
    assert!(cpu.starts_with("50000"), "{cpu}");
}

#[test]
fn an_odd_memory_limit_is_rounded_down_to_a_page_and_reported_so() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits.memory_bytes = Some((32 << 20) + 5);
    assert_eq!(rig.start().limits.memory_bytes, Some(32 << 20));
}

#[test]
fn too_much_memory_is_told_apart_from_any_other_end() {
    let mut rig = Rig::program(&["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]);
    rig.launch.limits.memory_bytes = Some(16 << 20);
    let exit = rig.run();
    assert_eq!(exit.signal, Some(9), "{exit:?} {:?}", rig.log());
    assert!(exit.oom_killed, "{exit:?}");
    assert!(exit.oom_kills >= 1, "{exit:?}");
}

#[test]
fn a_fork_bomb_is_stopped() {
    let mut rig =
        Rig::script("i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; sleep 1000");
    rig.launch.limits.pids = Some(20);
    rig.start();
    let full = wait_for(|| {
        let pids = stats(&rig.run_dir()).unwrap().pids;
        assert!(pids <= 20, "{pids} processes");
        let refused = rig.log().iter().any(|(_, text)| text.contains("fork"));
        refused.then_some(())
    });
    assert!(full.is_some(), "{:?} {:?}", rig.log(), stats(&rig.run_dir()));
}

#[test]
fn limits_of_a_running_agent_change() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits.memory_bytes = Some(32 << 20);
    rig.start();
    for wanted in [
        Limits {
            memory_bytes: Some(64 << 20),
            cpu_millis: Some(250),
            pids: Some(9),
            ..Limits::default()
        },
        Limits {
            memory_bytes: Some(16 << 20),
            cpu_millis: Some(1500),
            pids: None,
            ..Limits::default()
        },
        Limits::default(),
    ] {
        assert_eq!(set_limits(&rig.run_dir(), &wanted).unwrap(), wanted);
        assert_eq!(rig.state().limits, wanted);
    }
}

#[test]
fn use_is_measured() {
    let mut rig = Rig::script("while true; do :; done");
    rig.launch.limits.pids = Some(10);
    rig.start();
    let used = wait_for(|| {
        let stats = stats(&rig.run_dir()).unwrap();
        (stats.cpu_usec > 20_000 && stats.pids == 1 && stats.memory_bytes > 0).then_some(())
    });
    assert!(used.is_some(), "{:?}", stats(&rig.run_dir()));
}

#[test]
fn a_limit_below_what_is_needed_to_start_fails_in_plain_words() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits.cpu_millis = Some(1);
    let refused = skerry_runtime::spawn(Path::new("/x"), &rig.run_dir(), &rig.launch).unwrap_err();
    assert!(refused.to_string().contains("below 10"), "{refused}");
}
