//! What monitors of an older version have left in a run folder is read: agents outlive upgrades.
//!
//! `fixtures/format-1` holds the records as a monitor of that version wrote them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use skerry_runtime::record::{self, ProcessId};
use skerry_runtime::{Launch, Limits, Observation, Seccomp, State, clean, observe};

/// A run folder with these records of the older version.
fn run_dir(records: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    std::fs::create_dir(&run_dir).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    for name in records {
        std::fs::copy(fixtures.join(name), run_dir.join(name)).unwrap();
    }
    (folder, run_dir)
}

#[test]
fn a_launch_of_format_1_is_understood_and_wants_nothing_new() {
    let (_folder, run_dir) = run_dir(&["launch.json"]);
    let launch: Launch = record::read(&run_dir, record::LAUNCH).unwrap().unwrap();
    launch.check().unwrap();
    assert_eq!((launch.format, launch.agent.as_str()), (1, "sensor"));
    assert_eq!(launch.seccomp, Seccomp::Default);
    let newest = Launch { format: 1, ..Launch::default() };
    assert!(launch.no_new_privileges && !launch.privileged && !launch.init);
    assert_eq!((launch.network, launch.volumes), (newest.network, newest.volumes));
}

#[test]
fn a_state_of_format_1_is_understood() {
    let (_folder, run_dir) = run_dir(&["launch.json", "state.json"]);
    let state: State = record::read(&run_dir, record::STATE).unwrap().unwrap();
    assert_eq!(state.init, ProcessId { pid: 8883, start_time: 163_115 });
    let limits = Limits {
        memory_bytes: Some(32 << 20),
        cpu_millis: Some(500),
        pids: Some(16),
        ..Limits::default()
    };
    assert_eq!((state.limits, state.shortfalls.len()), (limits, 0));
    // Its boot is long over, and so is the agent; what is left can be cleaned up.
    let seen = observe(&run_dir).unwrap();
    assert!(matches!(seen, Observation::Lost { init_lives: false, .. }), "{seen:?}");
    assert!(clean(&run_dir).is_empty());
    assert!(!run_dir.exists());
}

#[test]
fn an_end_of_format_1_is_understood() {
    let (_folder, run_dir) = run_dir(&["launch.json", "state.json", "exit.json"]);
    let Observation::Exited(exit) = observe(&run_dir).unwrap() else { panic!("no exit") };
    assert_eq!((exit.signal, exit.stop_requested), (Some(9), true));
    assert_eq!((exit.log_bytes_dropped, exit.pre_stop_code), (0, None));
}

#[test]
fn a_failure_of_format_1_is_understood() {
    let (_folder, run_dir) = run_dir(&["launch.json", "failed.json"]);
    let Observation::Failed(failure) = observe(&run_dir).unwrap() else { panic!("no failure") };
    assert_eq!(failure.errno, Some(2));
}
