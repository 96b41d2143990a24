//! What is in the spec, and that libcontainer's own types take it.

use libcontainer::oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::*;

fn made(change: impl FnOnce(&mut Launch)) -> Spec {
    let text = r#"{"format":1,"agent":"a","instance":"i","lowers":["/l"],"args":["x"],
        "hostname":"h","cgroup":"/skerry/a","log":{"dir":"/log","max_bytes":1000000,"files":2}}"#;
    let mut launch: Launch = serde_json::from_str(text).unwrap();
    change(&mut launch);
    serde_json::from_value(spec(&launch, Path::new("/root"), &[], Vec::new())).unwrap()
}

#[test]
fn six_namespaces_are_made_anew() {
    let spec = made(|_| {});
    let namespaces = spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
    let kinds: Vec<_> = namespaces.iter().map(|namespace| namespace.typ()).collect();
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Uts};
    for kind in [Pid, Mount, Uts, Ipc, Network, Cgroup] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
    assert!(namespaces.iter().all(|namespace| namespace.path().is_none()));
}

#[test]
fn privileges_are_renounced_by_default() {
    let spec = made(|_| {});
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.no_new_privileges(), Some(true));
    assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(true));
}

#[test]
fn a_path_and_a_home_are_added_only_if_missing() {
    let path = |spec: Spec| spec.process().as_ref().unwrap().env().clone().unwrap();
    assert!(path(made(|_| {})).contains(&format!("PATH={DEFAULT_PATH}")));
    let own = path(made(|launch| launch.env = vec!["PATH=/x".into(), "HOME=/y".into()]));
    assert_eq!(own, ["PATH=/x", "HOME=/y"]);
}
