//! Groups on the real hierarchy of this machine; limits are in `tests/containers/limits.rs`.

use super::*;

/// A place of its own for each test of a process.
fn path(name: &str) -> PathBuf {
    format!("/skerry-unit-{}-{name}/{name}", std::process::id()).into()
}

fn group(name: &str) -> Group {
    Group::create(&Kernel::probe().unwrap(), &path(name)).unwrap()
}

fn dispose(group: &Group) {
    assert!(group.remove().is_empty());
    for dir in group.paths() {
        std::fs::remove_dir(dir.parent().unwrap()).unwrap();
    }
}

#[test]
fn a_group_is_made_found_and_removed_with_what_is_below_it() {
    let group = group("a");
    for dir in group.paths() {
        std::fs::create_dir(dir.join("below")).unwrap();
    }
    assert!(group.pids().unwrap().is_empty());
    dispose(&group);
    assert!(group.paths().iter().all(|dir| !dir.exists()));
    assert!(group.remove().is_empty(), "removing what is gone is no failure");
}

#[test]
fn a_left_over_is_replaced_and_a_group_in_use_is_not() {
    let old = group("b");
    let new = group("b");
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let (_, dir) = new.dirs.first().unwrap();
    put(&dir.join("cgroup.procs"), &child.id().to_string()).unwrap();
    let refused = Group::create(&Kernel::probe().unwrap(), &path("b")).unwrap_err();
    assert!(matches!(refused, CgroupError::Occupied { .. }), "{refused}");
    assert_eq!(new.pids().unwrap(), [child.id().cast_signed()]);
    // Reaped here as by init, or it would stay in the list as a zombie.
    let killer = std::thread::spawn(move || new.kill(Duration::from_secs(10)).unwrap());
    child.wait().unwrap();
    killer.join().unwrap();
    dispose(&old);
}

#[test]
fn what_the_kernel_does_not_tell_counts_as_nothing() {
    let absent = Group::at(&Kernel::probe().unwrap(), Path::new("/skerry-unit-absent"));
    assert_eq!(absent.stats(), Stats::default());
    assert_eq!(absent.oom_kills(), 0);
}
