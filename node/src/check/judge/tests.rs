use std::path::Path;

use jiff::Timestamp;
use skerry_runtime::cgroup::{Controller, Place, Version};
use skerry_runtime::needs::{Need, Trial, Tried};

use super::super::facts::{
    Broker, Folder, Key, NodeSays, Options, Reach, Root, StoreState, kind_of,
};
use super::super::worst;
use super::*;

fn folder(path: &str, kind: &str) -> Folder {
    Folder {
        path: path.into(),
        nearest: path.into(),
        written: Ok(()),
        kind: kind.to_owned(),
        bytes: Some((8 << 30, 16 << 30)),
        inodes: Some((900_000, 1_000_000)),
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A machine on which everything is as it should be.
fn good() -> Facts {
    use Controller::{Cpu, Cpuacct, Freezer, Memory, Pids};
    Facts {
        root: true,
        capabilities_missing: Vec::new(),
        release: "6.1.0-18-arm64".to_owned(),
        options: Options::default(),
        trial: Trial::of(Need::ALL.map(|need| (need, Tried::Works))),
        groups: Ok(Place {
            version: Version::V2,
            has: vec![Memory, Cpu, Cpuacct, Pids, Freezer],
            refused: None,
            crowded: None,
            devices: Ok(true),
            quota: Some(true),
            swap: Some(true),
        }),
        cgroup: "/skerry".into(),
        swap: true,
        inotify_instances: Some(128),
        descriptors: Some(20_000),
        node_says: NodeSays::Well,
        inotify_watches: Some(65_536),
        entropy: Some(true),
        now: time("2026-12-01T12:00:00Z"),
        floor: time("2026-11-01T00:00:00Z"),
        watchdogs: vec!["watchdog0".to_owned()],
        config_trouble: None,
        config_forbidden: false,
        node: "box-17".to_owned(),
        state: folder("/var/lib/skerry", "ext4"),
        run: folder("/run/skerry", "tmpfs"),
        store: StoreState::Whole,
        key: Key::Good(0o600),
        trust: Root::Good {
            path: "/etc/skerry/root.json".into(),
            version: 1,
            expires: time("2027-12-01T00:00:00Z"),
        },
        broker: Some(Broker {
            url: "mqtts://broker.example:8883".to_owned(),
            tls: true,
            password_in_config: false,
            files: vec![("ca_file", "/etc/skerry/ca.pem".into(), Ok(0o644))],
            reach: Reach::Connected,
        }),
    }
}

fn with(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
    let mut facts = good();
    change(&mut facts);
    judge(&facts)
}

fn of<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.check.name == name).unwrap()
}

/// The one finding that is not as on the good machine.
fn only(findings: &[Finding], name: &str, level: Level, words: &[&str]) {
    let good = judge(&good());
    for (was, is) in good.iter().zip(findings) {
        assert!(is.check.name == name || is.level == was.level, "not only {name}: {is:#?}");
    }
    let finding = of(findings, name);
    assert_eq!(finding.level, level, "{finding:#?}");
    let told = format!("{} {}", finding.says, finding.next.clone().unwrap_or_default());
    for word in words {
        assert!(told.contains(word), "'{word}' is not in: {told}");
    }
}

fn refuse(facts: &mut Facts, refused: &[(Need, i32)]) {
    let how = |need: Need| {
        let found = refused.iter().find(|(other, _)| *other == need);
        found.map_or(Tried::Works, |(_, number)| Tried::Refused(*number))
    };
    facts.trial = Trial::of(Need::ALL.map(|need| (need, how(need))));
}

fn place(facts: &mut Facts) -> &mut Place {
    facts.groups.as_mut().unwrap()
}

fn options(text: &str) -> Options {
    Options::parse(Path::new("/proc/config.gz"), text.as_bytes())
}

#[test]
fn on_a_good_machine_all_is_ok() {
    let findings = judge(&good());
    let other: Vec<_> = findings.iter().filter(|f| f.level != Level::Ok).collect();
    assert!(other.is_empty(), "{other:#?}");
    assert_eq!(worst(&findings), Level::Ok);
    assert_eq!(findings.len(), CHECKS.len());
}

#[test]
fn every_finding_that_is_not_ok_says_what_to_do() {
    let bad = with(|facts| {
        let all: Vec<_> = Need::ALL.iter().map(|need| (*need, 38)).collect();
        refuse(facts, &all);
        facts.groups = Err("no control group file system is mounted".to_owned());
        facts.release = "4.19.0".to_owned();
        facts.watchdogs.clear();
        facts.state.bytes = Some((0, 1));
        facts.state.kind = "vfat".to_owned();
        facts.config_trouble = Some("nonsense".to_owned());
    });
    assert_eq!(worst(&bad), Level::Error);
    for finding in bad {
        let told = finding.level == Level::Ok || finding.next.is_some_and(|next| !next.is_empty());
        assert!(told, "{}: {}", finding.check.name, finding.says);
    }
}

#[test]
fn a_kernel_is_judged_by_what_it_can_before_what_it_is_called() {
    let findings = with(|f| f.release = "5.10.0-28-amd64".to_owned());
    only(&findings, "kernel-version", Level::Warning, &["5.10.0-28-amd64", "5.12"]);
    let findings = with(|f| {
        f.release = "5.10.0-28-amd64".to_owned();
        refuse(f, &[(Need::MountCalls, 38)]);
    });
    assert_eq!(of(&findings, "kernel-version").level, Level::Error);
    assert_eq!(of(&findings, "mounts").level, Level::Error);
    let findings = with(|f| f.release = "5.12.0".to_owned());
    only(&findings, "kernel-version", Level::Ok, &["frozen"]);
    let findings = with(|f| f.release = "6.18".to_owned());
    only(&findings, "kernel-version", Level::Ok, &[]);
}

#[test]
fn what_the_kernel_lacks_is_named_with_its_option() {
    let cases: [(Need, i32, &str, &[&str]); 8] = [
        (Need::Overlay, 19, "overlayfs", &["CONFIG_OVERLAY_FS"]),
        (Need::Overlay, 22, "overlayfs", &["ext4", "/var/lib/skerry"]),
        (Need::Mqueue, 19, "mounts", &["mqueue", "CONFIG_POSIX_MQUEUE"]),
        (Need::NamespaceNet, 22, "namespaces", &["net", "CONFIG_NET_NS"]),
        (Need::Seccomp, 22, "seccomp", &["CONFIG_SECCOMP_FILTER"]),
        (Need::Clone3, 38, "kernel-calls", &["clone3"]),
        (Need::Loopback, 97, "loopback", &["CONFIG_INET"]),
        (Need::PivotRoot, 22, "pivot-root", &["initial RAM file system", "switch_root"]),
    ];
    for (need, number, check, words) in cases {
        only(&with(|f| refuse(f, &[(need, number)])), check, Level::Error, words);
    }
    let findings = with(|f| refuse(f, &[(Need::Openat2, 38)]));
    only(&findings, "kernel-calls", Level::Warning, &["openat2"]);
}

#[test]
fn a_processor_without_a_filter_is_told() {
    let how = |need| if need == Need::Seccomp { Tried::NoFilter } else { Tried::Works };
    let findings = with(|f| f.trial = Trial::of(Need::ALL.map(|need| (need, how(need)))));
    only(&findings, "seccomp", Level::Error, &["no filter for this processor", "aarch64"]);
}

#[test]
fn the_kernels_own_account_says_what_to_do() {
    let left_out = options("CONFIG_EPOLL=y\n# CONFIG_OVERLAY_FS is not set\n");
    let module = options("CONFIG_EPOLL=y\nCONFIG_OVERLAY_FS=m\n");
    let built_in = options("CONFIG_EPOLL=y\nCONFIG_OVERLAY_FS=y\n");
    assert_eq!(options("nothing of interest\n"), Options::default());
    for (options, words) in
        [(left_out, "is left out"), (module, "load the module"), (built_in, "what forbids it")]
    {
        let findings = with(|facts| {
            facts.options = options;
            refuse(facts, &[(Need::Overlay, 19)]);
            place(facts).quota = Some(true);
        });
        only(
            &findings,
            "overlayfs",
            Level::Error,
            &["CONFIG_OVERLAY_FS", "/proc/config.gz", words],
        );
    }
}

#[test]
fn each_limit_needs_its_controller() {
    let without = |gone: Controller| with(|f| place(f).has.retain(|has| *has != gone));
    let memory = without(Controller::Memory);
    only(&memory, "cgroup-memory", Level::Error, &["memory", "cgroup_enable=memory"]);
    only(&without(Controller::Cpu), "cgroup-cpu", Level::Error, &["CONFIG_CFS_BANDWIDTH"]);
    only(&without(Controller::Pids), "cgroup-pids", Level::Error, &["CONFIG_CGROUP_PIDS"]);
    let no_quota = with(|f| place(f).quota = Some(false));
    only(&no_quota, "cgroup-cpu", Level::Error, &["no quota", "CONFIG_CFS_BANDWIDTH"]);
    let unlimited_swap = with(|f| place(f).swap = Some(false));
    only(&unlimited_swap, "cgroup-swap", Level::Warning, &["swap", "swapaccount=1"]);
}

#[test]
fn the_place_of_groups_must_be_usable() {
    let read_only = with(|f| place(f).refused = Some(("/sys/fs/cgroup".into(), 30)));
    assert_eq!(of(&read_only, "cgroup-place").level, Level::Error);
    assert!(of(&read_only, "cgroup-place").says.contains("Read-only"), "{read_only:#?}");
    assert_eq!(of(&read_only, "device-rules").level, Level::Skipped);
    let inside = "/sys/fs/cgroup/system.slice/skerry.service";
    let crowded = with(|f| place(f).crowded = Some(inside.into()));
    only(&crowded, "cgroup-place", Level::Error, &[inside, "'cgroup' in the configuration"]);
    let no_filter = with(|f| place(f).devices = Ok(false));
    only(&no_filter, "device-rules", Level::Warning, &["CONFIG_CGROUP_BPF"]);
    let refused = with(|f| place(f).devices = Err(12));
    only(&refused, "device-rules", Level::Error, &["no agent starts"]);
}

#[test]
fn without_groups_there_is_one_error_and_no_guesses() {
    let findings = with(|f| f.groups = Err("no control group file system is mounted".to_owned()));
    assert_eq!(of(&findings, "cgroups").level, Level::Error);
    for name in ["cgroup-place", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "device-rules"] {
        assert_eq!(of(&findings, name).level, Level::Skipped, "{name}");
    }
}

#[test]
fn clocks_of_1970_and_2040_are_told_and_are_no_errors() {
    let old = with(|f| f.now = time("1970-01-01T00:02:00Z"));
    only(&old, "clock", Level::Warning, &["1970", "cannot be proven", "NTP"]);
    let far = with(|f| {
        f.now = time("2040-01-01T00:00:00Z");
        f.trust = Root::None;
        f.broker = None;
    });
    assert_eq!(of(&far, "clock").level, Level::Warning);
    assert!(of(&far, "clock").says.contains("2040"));
}

#[test]
fn a_file_system_that_cannot_hold_state_is_an_error_and_a_poor_one_a_warning() {
    let on = |kind: &str| with(|f| f.state.kind = kind.to_owned());
    only(&on("vfat"), "state-filesystem", Level::Error, &["vfat", "symbolic links", "state_dir"]);
    only(&on("squashfs"), "state-filesystem", Level::Error, &["cannot be written"]);
    for (kind, word) in [("tmpfs", "lost with the power"), ("nfs", "network"), ("overlay", "sync")]
    {
        only(&on(kind), "state-filesystem", Level::Warning, &[kind, word, "ext4"]);
    }
    only(&on("reiserfs"), "state-filesystem", Level::Warning, &["nobody has tried"]);
    only(&on("f2fs"), "state-filesystem", Level::Ok, &[]);
}

#[test]
fn little_room_is_told_before_there_is_none() {
    let left = |bytes, inodes| {
        with(|f| {
            f.state.bytes = Some((bytes, 1 << 30));
            f.state.inodes = Some((inodes, 1 << 20));
        })
    };
    only(&left(1 << 20, 1 << 19), "state-space", Level::Error, &["1.0MiB", "none is accepted"]);
    only(&left(32 << 20, 1 << 19), "state-space", Level::Warning, &["32.0MiB", "prune"]);
    only(&left(1 << 29, 10), "state-space", Level::Error, &["10 inodes"]);
    only(&left(1 << 29, 1000), "state-space", Level::Warning, &["1000 inodes"]);
    only(&with(|f| f.state.inodes = None), "state-space", Level::Ok, &["free"]);
}

#[test]
fn a_folder_that_refuses_is_an_error_with_the_kernels_words() {
    let refused = |errno| super::super::facts::Refused { operation: "write to a file in", errno };
    let full = with(|f| f.state.written = Err(refused(28)));
    only(&full, "state-dir", Level::Error, &["No space left", "/var/lib/skerry", "state_dir"]);
    let read_only = with(|f| f.run.written = Err(refused(30)));
    only(&read_only, "run-dir", Level::Error, &["Read-only", "run_dir"]);
    let on_disk = with(|f| f.run.kind = "ext4".to_owned());
    only(&on_disk, "run-dir", Level::Warning, &["ext4", "tmpfs"]);
    let long = with(|f| f.run.path = "/mnt/a/rather/long/path".into());
    only(&long, "run-dir", Level::Warning, &["more than", "/run/skerry"]);
    let usual = with(|f| f.run.path = "/run/skerry".into());
    only(&usual, "run-dir", Level::Ok, &[]);
}

#[test]
fn another_user_is_told_what_could_not_be_looked_at_and_that_is_no_error() {
    let findings = with(|f| {
        f.root = false;
        let mounts = [Need::Overlay, Need::Proc, Need::Tmpfs, Need::NamespaceMount];
        refuse(f, &mounts.map(|need| (need, 1)));
        place(f).refused = Some(("/sys/fs/cgroup".into(), 13));
        f.state.written =
            Err(super::super::facts::Refused { operation: "make a file in", errno: 13 });
        f.store = StoreState::Forbidden;
        f.key = Key::Forbidden;
        f.trust = Root::Forbidden("/etc/skerry/root.json".into());
        f.config_trouble = Some("permission denied".to_owned());
        f.config_forbidden = true;
    });
    assert!(worst(&findings) <= Level::Skipped, "{findings:#?}");
    for name in ["user", "namespaces", "overlayfs", "cgroup-place", "state-dir", "store", "config"]
    {
        let finding = of(&findings, name);
        assert_eq!(finding.level, Level::Skipped, "{finding:?}");
        assert!(finding.next.as_ref().unwrap().contains("sudo skerry check"), "{finding:?}");
    }
    let weak = with(|f| f.capabilities_missing = vec!["CAP_SYS_ADMIN"]);
    only(&weak, "user", Level::Error, &["CAP_SYS_ADMIN"]);
}

#[test]
fn a_running_node_is_left_alone() {
    only(&with(|f| f.store = StoreState::InUse), "store", Level::Skipped, &["skerry status"]);
    let behind = with(|f| f.store = StoreState::Behind("generation 3 found".to_owned()));
    only(&behind, "store", Level::Warning, &["generation 3", "by itself"]);
}

#[test]
fn trust_and_identity_are_judged() {
    let expired = with(|f| f.now = time("2027-12-01T00:00:00Z"));
    only(&expired, "trust-root", Level::Warning, &["expired", "newer root"]);
    let bad = with(|f| f.trust = Root::Bad("/boot/root.json".into(), "not JSON".to_owned()));
    only(&bad, "trust-root", Level::Error, &["/boot/root.json", "not JSON"]);
    let none = with(|f| f.trust = Root::None);
    only(&none, "trust-root", Level::Warning, &["refuses every document"]);
    let alone = with(|f| {
        f.trust = Root::None;
        f.broker = None;
    });
    assert_eq!(worst(&alone), Level::Ok, "a node that is managed on the spot needs neither");
    let open = with(|f| f.key = Key::Good(0o644));
    only(&open, "identity", Level::Warning, &["644", "chmod 600"]);
}

#[test]
fn the_broker_is_judged_by_its_files_and_reached_only_on_demand() {
    let broker = |change: fn(&mut Broker)| with(|f| change(f.broker.as_mut().unwrap()));
    let absent = broker(|b| b.files.push(("key_file", "/k".into(), Err("no such".to_owned()))));
    only(&absent, "broker", Level::Error, &["broker.key_file", "/k", "no such"]);
    let open = broker(|b| b.files.push(("key_file", "/k".into(), Ok(0o644))));
    only(&open, "broker", Level::Warning, &["chmod 600 /k"]);
    only(&broker(|b| b.tls = false), "broker", Level::Warning, &["not encrypted"]);
    only(&broker(|b| b.reach = Reach::NotTried), "broker-reach", Level::Skipped, &["--network"]);
    let silent = broker(|b| b.reach = Reach::NoAnswer("refused".to_owned()));
    only(&silent, "broker-reach", Level::Warning, &["refused", "agents run without it"]);
}

#[test]
fn names_that_many_machines_have_are_told_to_those_that_meet_others() {
    let common = with(|f| f.node = "localhost".to_owned());
    only(&common, "node-name", Level::Warning, &["localhost", "'node'"]);
}

#[test]
fn the_deepest_mount_tells_the_kind_of_a_file_system() {
    let table = "\
25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 25 0:25 / /run rw,nosuid shared:2 - tmpfs tmpfs rw
31 30 0:44 / /run/user rw - fuse.sshfs x rw
40 25 8:2 / /var/lib/my\\040disk rw - vfat /dev/sdb1 rw
41 25 8:2 / /run rw - ramfs none rw
";
    let of = |path: &str| kind_of(table, Path::new(path)).unwrap();
    assert_eq!(of("/var/lib/skerry"), "ext4");
    assert_eq!(of("/run/skerry"), "ramfs", "the later of two on one folder");
    assert_eq!(of("/run/user/1"), "fuse.sshfs");
    assert_eq!(of("/runner"), "ext4");
    assert_eq!(of("/var/lib/my disk/state"), "vfat");
}

#[test]
fn what_a_running_node_says_is_told_with_what_to_do() {
    use skerry_core::report::Trouble;
    let trouble = |kind: &str| Trouble {
        kind: kind.to_owned(),
        what: "the disk is full".to_owned(),
        since_ms: 1,
        next: "make room".to_owned(),
    };
    let full = with(|facts| facts.node_says = NodeSays::Troubled(vec![trouble("disk-full")]));
    only(&full, "node", Level::Error, &["the disk is full", "make room"]);
    let blocked = with(|facts| facts.node_says = NodeSays::Troubled(vec![trouble("blocked")]));
    only(&blocked, "node", Level::Warning, &["make room"]);
    let silent = with(|facts| facts.node_says = NodeSays::Silent("timed out".to_owned()));
    only(&silent, "node", Level::Error, &["timed out", "agents run on"]);
    let few = with(|facts| facts.descriptors = Some(1024));
    only(&few, "open-files", Level::Warning, &["1024", "LimitNOFILE"]);
}
