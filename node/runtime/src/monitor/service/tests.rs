use super::*;

const V2: &str = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
const HYBRID: &str = "\
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
";

fn left(own: &str, mounts: &str) -> Vec<PathBuf> {
    followed(own).filter_map(|name| mount_of(name, mounts)).collect()
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

#[test]
fn a_service_is_left_in_every_hierarchy_that_follows_it() {
    let own = "0::/skerry.slice/skerry.service\n";
    assert_eq!(left(own, V2), paths(&["/sys/fs/cgroup"]));
    let own = "5:memory:/system.slice\n1:name=systemd:/a.service\n0::/a.service\n";
    let both = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
    assert_eq!(left(own, HYBRID), paths(&both));
    // OpenRC's, on a machine with version 1 alone.
    let openrc = "cgroup /sys/fs/cgroup/openrc cgroup rw,name=openrc 0 0\n";
    assert_eq!(left("9:name=openrc:/skerry\n", openrc), paths(&["/sys/fs/cgroup/openrc"]));
}

#[test]
fn where_nobody_follows_nothing_is_left() {
    assert!(left("0::/\n", V2).is_empty());
    assert!(left("5:memory:/a\n1:name=systemd:/\n0::/\n", HYBRID).is_empty());
    // Followed in a hierarchy that this mount namespace does not show.
    assert!(left("1:name=elogind:/a\n", HYBRID).is_empty());
}

#[test]
fn monitors_stand_beside_the_agents() {
    let place = |path: &str| place(Path::new(path));
    assert_eq!(place("/skerry/agents/sensor"), Some("skerry/monitors".into()));
    let below = "/skerry.slice/skerry-agents.service/agents/sensor";
    assert_eq!(place(below), Some("skerry.slice/skerry-agents.service/monitors".into()));
    assert_eq!(place("/skerry-test/sensor"), None);
}
