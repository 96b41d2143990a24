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
fn what_is_missing_below_is_not_tried() {
    let trial = try_needs(Path::new("/nosuch"));
    assert_eq!(trial.of_need(Need::Tmpfs), Tried::Works);
    assert_eq!(trial.of_need(Need::Overlay), Tried::Not);
    assert_eq!(trial.of_need(Need::Seccomp), Tried::Works);
}
