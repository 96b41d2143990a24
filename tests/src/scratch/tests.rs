use super::*;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::mount::{MountFlags, mount};

use crate::process::need_root;

#[test]
fn nothing_is_left_of_it() {
    need_root();
    let scratch = Scratch::new();
    let path = scratch.path().to_owned();

    let point = scratch.folder("mount/inner");
    mount("tmpfs", &point, "tmpfs", MountFlags::empty(), None).expect("a tmpfs");

    // Some hierarchies need set-up before they take a process (cpuset); any one that works will do.
    let mut child = Command::new("sleep").arg("600").spawn().expect("sleep");
    let name = scratch.cgroup().trim_start_matches('/').to_owned();
    // A folder beside them may be just that: a hierarchy has a list of its processes.
    let hierarchies = folders_in(Path::new(CGROUPS)).chain([PathBuf::from(CGROUPS)]);
    let hierarchies = hierarchies.filter(|hierarchy| hierarchy.join("cgroup.procs").exists());
    let joined = hierarchies.map(|hierarchy| hierarchy.join(&name).join("agent")).any(|group| {
        fs::create_dir_all(&group).is_ok()
            && fs::write(group.join("cgroup.procs"), child.id().to_string()).is_ok()
    });
    assert!(joined, "no cgroup hierarchy took a process");
    assert_eq!(scratch.contained(), [child.id()]);

    // As a monitor does: a process outside the cgroup whose command line names the folder.
    let script = "while :; do sleep 0.1; done";
    let mut monitor = Command::new("sh").args(["-c", script]).arg(&path).spawn().expect("sh");

    drop(scratch);
    assert!(!path.exists());
    assert_eq!(child.wait().expect("the child").signal(), Some(9));
    assert_eq!(monitor.wait().expect("the monitor").signal(), Some(9));
    let left = folders_in(Path::new(CGROUPS)).filter(|hierarchy| hierarchy.join(&name).exists());
    assert_eq!(left.count(), 0);
}

#[test]
fn two_places_are_apart() {
    let (one, other) = (Scratch::new(), Scratch::new());
    assert_ne!(one.path(), other.path());
    assert_ne!(one.cgroup(), other.cgroup());
}
