//! What is mounted besides the image: seen inside, kept inside, and gone afterwards.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use skerry_runtime::{Mount, Propagation, User};

use crate::rig::{Rig, host, wait_for};

fn bind(source: &Path, target: &str) -> Mount {
    Mount::Bind {
        source: source.into(),
        target: target.into(),
        read_only: false,
        propagation: Propagation::RPrivate,
        create: false,
    }
}

fn volume(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount::Volume { source: source.into(), target: target.into(), read_only }
}

/// A folder of the host with one file in it.
fn folder(rig: &Rig, name: &str) -> PathBuf {
    let folder = rig.folder().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("file"), "content\n").unwrap();
    folder
}

/// The options of each mount with this beginning, as seen inside.
const MOUNTS: &str = "cut -d' ' -f2,4 /proc/self/mounts";

#[test]
fn a_folder_is_mounted_where_the_image_has_none_and_what_is_written_stays() {
    let mut rig = Rig::script("cat /data/deep/file && echo new > /data/deep/new; echo x > /x");
    let source = folder(&rig, "source");
    rig.launch.volumes = vec![bind(&source, "/data/deep")];
    rig.run();
    assert_eq!(rig.output(), "content\n", "{:?}", rig.log());
    assert_eq!(std::fs::read_to_string(source.join("new")).unwrap(), "new\n");
    assert!(rig.log().iter().any(|(_, text)| text.contains("Read-only")), "the root is as before");
    assert!(!rig.folder().join("image/data").exists(), "nothing is written to a layer");
}

#[test]
fn a_file_can_be_mounted_alone() {
    let mut rig = Rig::script("cat /etc/my.conf");
    let source = folder(&rig, "source").join("file");
    rig.launch.volumes = vec![bind(&source, "/etc/my.conf")];
    rig.run();
    assert_eq!(rig.output(), "content\n", "{:?}", rig.log());
}

#[test]
fn a_read_only_folder_is_so_with_all_that_is_mounted_below_it() {
    for read_only in [true, false] {
        let mut rig = Rig::script(
            "touch /a/x 2>/dev/null && echo a; touch /a/below/x 2>/dev/null && echo b; \
             touch /v/x 2>/dev/null && echo v; true",
        );
        let (source, below) = (folder(&rig, "source"), folder(&rig, "source/below"));
        let _mounted = Mounted::tmpfs(&below, false);
        let Mount::Bind { source, target, propagation, create, .. } = bind(&source, "/a") else {
            return;
        };
        let other = folder(&rig, "volume");
        rig.launch.volumes = vec![
            Mount::Bind { source, target, read_only, propagation, create },
            volume(&other, "/v", read_only),
        ];
        rig.run();
        let wanted = if read_only { "" } else { "a\nb\nv\n" };
        assert_eq!(rig.output(), wanted, "{:?}", rig.log());
    }
}

#[test]
fn devices_and_set_user_id_files_have_no_effect_in_any_volume() {
    let mut rig = Rig::script(MOUNTS);
    let source = folder(&rig, "source");
    let file = [("f".to_owned(), source.join("file"))];
    rig.launch.volumes = vec![
        bind(&source, "/v/a"),
        volume(&source, "/v/b", false),
        Mount::Tmpfs { target: "/v/c".into(), size_bytes: None, mode: 0o700, uid: 0, gid: 0 },
        Mount::Files {
            target: "/v/d".into(),
            files: BTreeMap::from(file),
            single: false,
            mode: 0o400,
            uid: 0,
            gid: 0,
        },
    ];
    rig.run();
    let output = rig.output();
    let mounts: Vec<&str> = output.lines().filter(|line| line.starts_with("/v/")).collect();
    assert_eq!(mounts.len(), 4, "{output}");
    for mount in &mounts {
        assert!(mount.contains("nosuid") && mount.contains("nodev"), "{mount}");
    }
    assert!(mounts[3].contains("ro,") && mounts[3].contains("noexec"), "{mounts:?}");
}

#[test]
fn memory_has_its_size_mode_and_owner() {
    let mut rig = Rig::script(
        "stat -c '%a %u %g' /mem; df -k /mem | tail -n 1 | grep -c ' 1024 '; touch /mem/x && echo taken",
    );
    rig.launch.user = User { uid: 7, gid: 8, additional_gids: vec![] };
    rig.launch.volumes = vec![Mount::Tmpfs {
        target: "/mem".into(),
        size_bytes: Some(1 << 20),
        mode: 0o750,
        uid: 7,
        gid: 8,
    }];
    rig.run();
    assert_eq!(rig.output(), "750 7 8\n1\ntaken\n", "{:?}", rig.log());
}

#[test]
fn a_volume_takes_the_place_of_a_usual_mount() {
    let mut rig = Rig::script("stat -c %a /tmp; ls /tmp; stat -c %a /dev/shm; cat /tmp/in/file");
    let source = folder(&rig, "source");
    rig.launch.volumes = vec![
        // Named first, and mounted after what it is in.
        bind(&source, "/tmp/in"),
        Mount::Tmpfs { target: "/tmp".into(), size_bytes: None, mode: 0o711, uid: 0, gid: 0 },
        Mount::Tmpfs { target: "/dev/shm".into(), size_bytes: None, mode: 0o722, uid: 0, gid: 0 },
    ];
    rig.run();
    assert_eq!(rig.output(), "711\nin\n722\ncontent\n", "{:?}", rig.log());
}

#[test]
fn handed_over_files_are_the_agents_alone_and_in_no_record() {
    let mut rig = Rig::script(
        "stat -c '%n %a %u %g' /run/secrets/*; cat /run/secrets/key; cat /etc/one; \
         (echo x > /run/secrets/key) 2>/dev/null || echo kept; sleep 1000",
    );
    let source = folder(&rig, "handed");
    std::fs::write(source.join("secret"), "TOP-SECRET").unwrap();
    let files = BTreeMap::from([
        ("key".to_owned(), source.join("secret")),
        ("other".to_owned(), source.join("file")),
    ]);
    let one = BTreeMap::from([("any".to_owned(), source.join("file"))]);
    let of = |target: &str, files, single| Mount::Files {
        target: target.into(),
        files,
        single,
        mode: 0o440,
        uid: 7,
        gid: 8,
    };
    rig.launch.user = User { uid: 7, gid: 8, additional_gids: vec![] };
    rig.launch.volumes = vec![of("/run/secrets", files, false), of("/etc/one", one, true)];
    rig.start();
    rig.until_output(
        "/run/secrets/key 440 7 8\n/run/secrets/other 440 7 8\nTOP-SECRETcontent\nkept\n",
    );
    let grep = std::process::Command::new("grep")
        .args(["-r", "TOP-SECRET"])
        .arg(rig.run_dir())
        .output()
        .unwrap();
    assert!(grep.stdout.is_empty(), "{}", String::from_utf8_lossy(&grep.stdout));
    assert_eq!(std::fs::metadata(source.join("secret")).unwrap().uid(), 0);
}

#[test]
fn a_source_that_is_missing_is_told_or_made() {
    let mut rig = Rig::script("ls -d /data");
    let source = rig.folder().join("not/there");
    rig.launch.volumes = vec![bind(&source, "/data")];
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("not/there is not there; make it"), "{failure:?}");
    assert_eq!(failure.operation, "mount the volumes");

    let mut rig = Rig::script("ls -d /data");
    let source = rig.folder().join("not/there");
    rig.launch.volumes = vec![Mount::Bind {
        source: source.clone(),
        target: "/data".into(),
        read_only: false,
        propagation: Propagation::RPrivate,
        create: true,
    }];
    rig.run();
    assert_eq!(rig.output(), "/data\n");
    assert!(source.is_dir());

    let mut rig = Rig::script("true");
    let source = folder(&rig, "source");
    symlink(&source, rig.folder().join("link")).unwrap();
    rig.launch.volumes = vec![volume(&rig.folder().join("link"), "/data", false)];
    rig.spawn();
    assert!(rig.failure().message.contains("link is no folder"));
}

#[test]
fn links_of_a_hostile_image_lead_nowhere_outside() {
    // The target of the mount, what the image has there, and what the agent then sees.
    for (link, inside) in [
        ("/etc", "/etc"),
        ("../../../../../../../../../../etc", "/etc"),
        ("/nowhere/yet", "/nowhere/yet"),
    ] {
        let mut rig = Rig::script(&format!("cat {inside}/file"));
        let image = rig.folder().join("image");
        std::fs::create_dir_all(image.join("etc")).unwrap();
        symlink(link, image.join("data")).unwrap();
        let source = folder(&rig, "source");
        rig.launch.volumes = vec![bind(&source, "/data")];
        rig.spawn();
        if link == "/nowhere/yet" {
            // A link to nothing is no place to mount on.
            assert_eq!(rig.failure().operation, "make the container");
        } else {
            assert_eq!(rig.finished_output(), "content\n", "{link}: {:?}", rig.log());
        }
        assert!(!Path::new("/etc/file").exists());
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(rig.folder().to_str().unwrap()), "{mounts}");
    }
}

#[test]
fn links_of_a_hostile_image_cover_nothing_that_protects() {
    for (link, target) in [
        ("/proc", "/data"),
        ("/proc", "/data/sys/kernel"),
        ("../../sys", "/data/x"),
        ("/", "/data"),
        ("/dev", "/data"),
    ] {
        let mut rig = Rig::script("true");
        let image = rig.folder().join("image");
        for name in ["proc", "sys", "dev"] {
            std::fs::create_dir_all(image.join(name)).unwrap();
        }
        symlink(link, image.join("data")).unwrap();
        let source = folder(&rig, "source");
        rig.launch.volumes = vec![bind(&source, target)];
        rig.spawn();
        let failure = rig.failure();
        assert!(failure.message.contains("by a link in the image"), "{link}: {failure:?}");
    }
}

/// A tmpfs of the host, gone when it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(place: &Path, shared: bool) -> Self {
        let place = place.to_owned();
        host("mount", &["-t", "tmpfs", "tmpfs", place.to_str().unwrap()]);
        let how = if shared { "--make-shared" } else { "--make-private" };
        host("mount", &[how, place.to_str().unwrap()]);
        Self(place)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        host("umount", &["-R", self.0.to_str().unwrap()]);
    }
}

#[test]
fn later_mounts_are_seen_on_the_other_side_as_the_launch_says() {
    for (propagation, host_seen, agent_seen) in [
        (Propagation::RPrivate, false, false),
        (Propagation::RSlave, true, false),
        (Propagation::RShared, true, true),
    ] {
        let mut rig = Rig::script("mount -t tmpfs mine /data/of-agent && echo mounted; sleep 1000");
        let place = folder(&rig, "place");
        let mounted = Mounted::tmpfs(&place, true);
        for name in ["of-host", "of-agent"] {
            std::fs::create_dir(place.join(name)).unwrap();
        }
        rig.launch.capabilities = vec!["CAP_SYS_ADMIN".into()];
        rig.launch.volumes = vec![Mount::Bind {
            source: place.clone(),
            target: "/data".into(),
            read_only: false,
            propagation,
            create: false,
        }];
        rig.start();
        rig.until_output("mounted\n");
        host("mount", &["-t", "tmpfs", "theirs", place.join("of-host").to_str().unwrap()]);
        let inside = rig.exec(&["cat", "/proc/self/mounts"]);
        let inside = String::from_utf8(inside.stdout).unwrap();
        assert_eq!(inside.contains("/data/of-host"), host_seen, "{propagation:?} {inside}");
        let outside = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let shown = place.join("of-agent");
        assert_eq!(outside.contains(shown.to_str().unwrap()), agent_seen, "{propagation:?}");
        // The agent first, which holds the mounts; the folder last, which they are in.
        skerry_runtime::kill_all(&rig.run_dir()).unwrap();
        rig.exit();
        drop(mounted);
        drop(rig);
    }
}

#[test]
fn sharing_what_the_host_does_not_share_is_refused() {
    for (propagation, wanted) in
        [(Propagation::RShared, "is not shared"), (Propagation::RSlave, "hands nothing on")]
    {
        let mut rig = Rig::script("true");
        let place = folder(&rig, "place");
        let mounted = Mounted::tmpfs(&place, false);
        rig.launch.volumes = vec![Mount::Bind {
            source: place,
            target: "/data".into(),
            read_only: false,
            propagation,
            create: false,
        }];
        rig.spawn();
        let failure = rig.failure();
        assert!(failure.message.contains(wanted), "{failure:?}");
        drop(mounted);
    }
}

#[test]
fn nothing_of_a_volume_is_mounted_when_the_agent_is_gone() {
    let mut rig = Rig::script("true");
    let source = folder(&rig, "source");
    rig.launch.volumes = vec![bind(&source, "/data")];
    rig.run();
    let run_dir = rig.run_dir();
    let cleaned = wait_for(|| skerry_runtime::clean(&run_dir).is_empty().then_some(()));
    assert!(cleaned.is_some() && !run_dir.exists());
    assert!(source.join("file").exists(), "cleaning up stops at mounts");
}
