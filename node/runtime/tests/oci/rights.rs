//! The program, and programs beside it, may do what the configuration says and no more.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use crate::rig::Bundle;

const RIGHTS: &str = "grep -E 'Cap(Prm|Eff|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status; id";

#[test]
fn a_program_beside_it_has_the_same_rights() {
    let mut bundle = Bundle::script("exec sleep 100");
    bundle.config["process"]["user"] = json!({ "uid": 7, "gid": 8, "additionalGids": [9] });
    bundle.config["process"]["rlimits"] =
        json!([{ "type": "RLIMIT_NOFILE", "hard": 77, "soft": 66 }]);
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 100 }],
    });
    bundle.does("create");
    bundle.does("start");
    let rights = bundle.exec(&[], &["sh", "-c", RIGHTS]).out;
    assert!(rights.contains("uid=7 gid=8 groups=8,9") || rights.contains("groups=9"), "{rights}");
    assert!(rights.contains("Seccomp:\t2") && rights.contains("NoNewPrivs:\t1"), "{rights}");
    assert!(rights.contains("CapBnd:\t0000000020000420"), "{rights}");
    let open = bundle.exec(&[], &["sh", "-c", "ulimit -Sn; ulimit -Hn"]).out;
    assert_eq!(open, "66\n77\n");
    let went = bundle.exec(&[], &["mkdir", "/tmp/new"]);
    assert!(went.err.contains("Network is down"), "{}", went.err);
    let root = bundle.exec(&["--user", "0:0"], &["id"]).out;
    assert!(root.starts_with("uid=0 gid=0"), "{root}");
}

#[test]
fn a_filter_holds_without_the_promise_of_no_new_privileges() {
    let mut bundle = Bundle::script("mkdir /dev/shm/new");
    bundle.config["process"]["noNewPrivileges"] = json!(false);
    bundle.config["process"]["user"] = json!({ "uid": 7, "gid": 8 });
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }],
    });
    let went = bundle.run();
    assert!(went.code == 1 && went.err.contains("not permitted"), "{}", went.err);
    bundle.config["process"]["args"] = json!(["sh", "-c", RIGHTS]);
    let rights = bundle.run().out;
    assert!(rights.contains("NoNewPrivs:\t0") && rights.contains("Seccomp:\t2"), "{rights}");
    assert!(rights.contains("CapPrm:\t0000000000000000"), "nothing is left of it: {rights}");
}

#[test]
fn mounts_are_as_written() {
    let mut bundle = Bundle::script("cat /opt/full/file; touch /sys/fs/cgroup/x; touch /opt/ro/x");
    let host = bundle.path().join("host");
    std::fs::create_dir(&host).unwrap();
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    mounts.push(json!({ "destination": "/opt/full", "type": "tmpfs", "source": "tmpfs",
        "options": ["tmpcopyup", "size=1m"] }));
    mounts.push(json!({ "destination": "/opt/ro", "type": "bind", "source": host,
        "options": ["rbind", "ro"] }));
    let went = bundle.run();
    assert_eq!(went.out, "below\n");
    assert_eq!(went.err.matches("Read-only file system").count(), 2, "{}", went.err);
}

#[test]
fn a_user_namespace_gets_folders_that_its_root_cannot_reach() {
    let mut bundle = Bundle::script("cat /opt/host/file; cat /proc/self/uid_map");
    let host = bundle.path().join("closed/host");
    std::fs::create_dir_all(&host).unwrap();
    std::fs::write(host.join("file"), "reached\n").unwrap();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(bundle.path().join("closed"), closed).unwrap();
    let open = || std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(bundle.path(), open()).unwrap();
    let linux = &mut bundle.config["linux"];
    linux["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    linux["uidMappings"] = map.clone();
    linux["gidMappings"] = map;
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    mounts.push(json!({ "destination": "/opt/full", "type": "bind", "source": host,
        "options": ["bind"] }));
    bundle.config["process"]["args"] =
        json!(["sh", "-c", "cat /opt/full/file; cat /proc/self/uid_map"]);
    let went = bundle.run();
    assert!(went.out.starts_with("reached\n"), "{} {}", went.out, went.err);
    assert!(went.out.contains("100000"), "{}", went.out);
}

#[test]
fn the_programs_file_cannot_be_written_to_through_a_process() {
    let bundle = Bundle::script("exec sleep 100");
    bundle.does("create");
    // The container's first process is this program until it is started.
    let pid = bundle.state()["pid"].clone();
    let place = rustix::fs::statvfs(format!("/proc/{pid}/exe")).unwrap();
    assert!(place.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
}
