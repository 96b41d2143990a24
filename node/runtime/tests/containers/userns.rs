//! An agent with ids of its own: root inside, nobody outside, and everything works as before.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use skerry_runtime::{Device, Mount, Propagation, User, UserNamespace};

use crate::rig::{Rig, disk};

const START: u32 = 300_000;

fn mapped(script: &str) -> Rig {
    let mut rig = Rig::script(script);
    rig.launch.user_namespace =
        Some(UserNamespace { uid_start: START, gid_start: START + 1, count: 65_536 });
    rig
}

#[test]
fn root_of_the_container_is_nobody_on_the_host() {
    let mut rig = mapped(
        "id -u; id -g; cat /proc/self/uid_map | wc -l; stat -c '%u %g' /bin/busybox /etc/hosts /; \
         hostname; sleep 1000",
    );
    let state = rig.start();
    rig.until_output("0\n0\n1\n0 0\n0 0\n0 0\nsample\n");
    let status = std::fs::read_to_string(format!("/proc/{}/status", state.init.pid)).unwrap();
    let wanted = format!("Uid:\t{START}\t{START}\t{START}\t{START}\n");
    assert!(status.contains(&wanted), "{status}");
    assert!(status.contains(&format!("Gid:\t{}\t", START + 1)), "{status}");
    let image = std::fs::metadata(rig.folder().join("image/bin/busybox")).unwrap();
    assert_eq!(image.uid(), 0, "nothing is changed on disk");
}

#[test]
fn every_usual_mount_is_there_and_the_root_can_be_writable() {
    let mut rig = mapped(
        "cut -d' ' -f2,3 /proc/self/mounts; touch /new && stat -c '%u %g' /new; \
         touch /tmp/x /run/x /dev/shm/x && echo taken; echo x > /dev/null && echo null; \
         head -c 1 /dev/zero | wc -c",
    );
    rig.launch.read_only_root = false;
    rig.run();
    let output = rig.output();
    for mount in ["/ overlay", "/proc proc", "/sys sysfs", "/dev/pts devpts", "/dev/mqueue mqueue"]
    {
        assert!(output.lines().any(|line| line == mount), "{mount}: {output} {:?}", rig.log());
    }
    assert!(output.ends_with("0 0\ntaken\nnull\n1\n"), "{output} {:?}", rig.log());
}

#[test]
fn volumes_and_files_have_the_owners_that_the_container_knows() {
    let mut rig = mapped(
        "cat /b/file /f/key; stat -c '%u %g' /b/file /v /f/key /m; touch /v/new && echo made",
    );
    rig.launch.user = User { uid: 7, gid: 8, additional_gids: vec![] };
    let make = |name: &str, uid| {
        let folder = rig.folder().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("file"), "content\n").unwrap();
        for path in [folder.join("file"), folder.clone()] {
            std::os::unix::fs::chown(path, Some(uid), Some(uid + 1)).unwrap();
        }
        folder
    };
    let (bind, volume) = (make("bind", 7), make("volume", 7));
    let files = BTreeMap::from([("key".to_owned(), bind.join("file"))]);
    rig.launch.volumes = vec![
        Mount::Bind {
            source: bind.clone(),
            target: "/b".into(),
            read_only: true,
            propagation: Propagation::RPrivate,
            create: false,
        },
        Mount::Volume { source: volume.clone(), target: "/v".into(), read_only: false },
        Mount::Files { target: "/f".into(), files, single: false, mode: 0o400, uid: 7, gid: 8 },
        Mount::Tmpfs { target: "/m".into(), size_bytes: None, mode: 0o700, uid: 7, gid: 8 },
    ];
    rig.run();
    let wanted = "content\ncontent\n7 8\n7 8\n7 8\n7 8\nmade\n";
    assert_eq!(rig.output(), wanted, "{:?}", rig.log());
    let new = std::fs::metadata(volume.join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (7, 8), "on disk it is the container's own number");
}

#[test]
fn a_program_beside_it_is_in_the_same_namespace() {
    let mut rig = mapped("sleep 1000");
    rig.start();
    let beside =
        rig.exec(&["sh", "-c", "id -u; readlink /proc/self/ns/user; readlink /proc/1/ns/user"]);
    let output = String::from_utf8(beside.stdout).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 3, "{output} {}", String::from_utf8_lossy(&beside.stderr));
    assert_eq!((lines[0], lines[1]), ("0", lines[2]));
    let own = std::fs::read_link("/proc/self/ns/user").unwrap();
    assert_ne!(own.to_str().unwrap(), lines[1]);
}

#[test]
fn parameters_and_a_first_process_work_with_it() {
    let mut rig =
        mapped("cat /proc/1/comm /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; exit 4");
    rig.launch.init = true;
    rig.launch.sysctls.insert("net.ipv4.ip_forward".into(), "1".into());
    rig.launch.sysctls.insert("kernel.msgmax".into(), "4321".into());
    let exit = rig.run();
    assert_eq!(exit.code, Some(4), "{} {:?}", rig.said(), rig.log());
    assert_eq!(rig.output(), "init\n1\n4321\n");
}

#[test]
fn a_device_must_be_open_to_the_ids_of_the_namespace() {
    let device = |path: &str, target: Option<&str>| Device {
        path: path.into(),
        target: target.map(Into::into),
        read: true,
        write: true,
        mknod: false,
    };
    let mut rig = mapped("head -c 1 /dev/mine | wc -c");
    rig.launch.devices = vec![device("/dev/zero", Some("/dev/mine"))];
    rig.run();
    assert_eq!(rig.output(), "1\n", "{:?}", rig.log());

    let disk = disk(1);
    let mut rig = mapped("true");
    rig.launch.devices = vec![device(disk.path(), None)];
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("shuts out the ids of a user namespace"), "{failure:?}");
}

#[test]
fn a_file_system_that_cannot_map_ids_is_told() {
    let mut rig = mapped("true");
    rig.launch.volumes =
        vec![Mount::Volume { source: "/proc/fs".into(), target: "/v".into(), read_only: true }];
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("cannot map ids on its file system"), "{failure:?}");
}
