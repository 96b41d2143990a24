use super::*;

#[test]
fn a_usable_place_is_told_from_an_unusable_one_and_left_as_it_was() {
    let kernel = Kernel::probe().unwrap();
    let path = format!("/skerry-unit-place-{}", std::process::id());
    let place = try_place(&kernel, &Path::new(&path).join("deep/down"));
    assert_eq!(place.refused, None);
    assert_eq!(place.crowded, None);
    assert_eq!(place.devices, Ok(true));
    assert!(place.has.contains(&Controller::Memory), "{place:?}");
    assert_eq!(place.quota, Some(true));
    for hierarchy in kernel.hierarchies() {
        let left: Vec<_> = std::fs::read_dir(&hierarchy.mount)
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains(&std::process::id().to_string()))
            .collect();
        assert!(left.is_empty(), "{left:?} in {}", hierarchy.mount.display());
    }
}

/// Version 2 as folders: nobody can make the kernel's refusals on a machine with version 1.
#[test]
fn a_group_with_processes_that_must_hand_controllers_down_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path();
    let inner = mount.join("system.slice/skerry.service");
    std::fs::create_dir_all(&inner).unwrap();
    let write =
        |group: &Path, file: &str, text: &str| std::fs::write(group.join(file), text).unwrap();
    write(&inner, "cgroup.type", "domain\n");
    write(&inner, "cgroup.controllers", "cpu memory pids\n");
    write(&inner, "cgroup.procs", "4711\n");
    write(&inner, "cgroup.subtree_control", "\n");
    assert_eq!(nearest(mount, &inner.join("agents/one")), inner);
    assert_eq!(crowded(mount, &inner), Some(inner.clone()));

    write(&inner, "cgroup.subtree_control", "cpu memory pids\n");
    assert_eq!(crowded(mount, &inner), None, "it hands down already");
    write(&inner, "cgroup.subtree_control", "\n");
    write(&inner, "cgroup.procs", "");
    assert_eq!(crowded(mount, &inner), None, "it is empty");
}
