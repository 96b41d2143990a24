//! What containers need is found to be there, where containers run.

use std::path::Path;

use skerry_runtime::needs::{Need, Tried, try_needs};

#[test]
fn a_machine_that_runs_containers_has_everything() {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let trial = try_needs(Path::new("/tmp"));
    for need in Need::ALL {
        assert_eq!(trial.of_need(need), Tried::Works, "{need:?}");
    }
    assert_eq!(mounts(), before);
}

#[test]
fn a_step_that_fails_does_not_hide_those_after_it() {
    let trial = try_needs(Path::new("/nosuch"));
    assert_eq!(trial.of_need(Need::Overlay), Tried::Refused(2), "there is no such folder");
    for need in [Need::Tmpfs, Need::PivotRoot, Need::Seccomp] {
        assert_eq!(trial.of_need(need), Tried::Works, "{need:?}");
    }
}
