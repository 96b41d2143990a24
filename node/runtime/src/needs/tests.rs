use super::*;

#[test]
fn every_need_has_one_place() {
    let mut sorted = Need::ALL.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), Need::ALL.len());
    assert_eq!(sorted, Need::ALL.to_vec(), "in the order of their declaration");
}

/// Where containers run, everything is there; and trying it leaves the host's mounts alone.
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
