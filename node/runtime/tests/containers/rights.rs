//! What an agent is given on top of the usual: devices, limits of resources, parameters, privileges.
//! Each is seen from inside the container, and is missing there when it is not asked for.

use skerry_runtime::{Device, Rlimit, Seccomp, User};

use crate::rig::{Rig, disk};

fn device(path: &str, read: bool, write: bool, mknod: bool) -> Device {
    Device { path: path.into(), target: None, read, write, mknod }
}

#[test]
fn resource_limits_are_those_of_the_launch() {
    let script = "grep -E '^Max (open files|core)' /proc/self/limits";
    let mut rig = Rig::script(script);
    rig.launch.user = User { uid: 1000, gid: 1000, additional_gids: vec![] };
    rig.launch.rlimits.insert("nofile".into(), Rlimit { soft: Some(77), hard: Some(99) });
    rig.launch.rlimits.insert("core".into(), Rlimit { soft: Some(0), hard: Some(4096) });
    rig.start();
    let output = rig.finished_output();
    let squeezed = output.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = "Max core file size 0 4096 bytes Max open files 77 99 files";
    assert_eq!(squeezed, wanted);
}

#[test]
fn a_resource_limit_above_the_nodes_own_is_told() {
    let mut rig = Rig::script("ulimit -n");
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let may_raise = std::fs::read_to_string("/proc/self/status").unwrap();
    let may_raise = may_raise.lines().find(|line| line.starts_with("CapEff")).unwrap().to_owned();
    let may_raise = u64::from_str_radix(may_raise.split('\t').nth(1).unwrap(), 16).unwrap();
    let wanted = own.unwrap() + 1;
    rig.launch.rlimits.insert("nofile".into(), Rlimit { soft: Some(wanted), hard: Some(wanted) });
    rig.spawn();
    if may_raise & (1 << 24) == 0 {
        let failure = rig.failure();
        assert!(failure.message.contains("cannot set rlimit nofile"), "{failure:?}");
        assert!(failure.message.contains("CAP_SYS_RESOURCE"), "{failure:?}");
    } else {
        assert_eq!(rig.finished_output(), format!("{wanted}\n"));
    }
}

#[test]
fn parameters_of_its_own_namespaces_are_set() {
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax";
    let mut rig = Rig::script(script);
    rig.launch.sysctls.insert("net.ipv4.ip_forward".into(), "1".into());
    rig.launch.sysctls.insert("kernel.msgmax".into(), "4321".into());
    let before = std::fs::read_to_string("/proc/sys/kernel/msgmax").unwrap();
    rig.run();
    assert_eq!(rig.output(), "1\n4321\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/msgmax").unwrap(), before);
}

#[test]
fn a_parameter_that_the_kernel_refuses_fails_by_name() {
    let mut rig = Rig::script("true");
    rig.launch.sysctls.insert("net.ipv4.no_such_thing".into(), "1".into());
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("no_such_thing"), "{failure:?}");
}

#[test]
fn the_score_for_the_memory_killer_is_set_and_inherited() {
    let mut rig = Rig::script("cat /proc/self/oom_score_adj; sleep 1000");
    rig.launch.oom_score_adj = Some(321);
    let state = rig.start();
    let score = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", state.init.pid));
    assert_eq!(score.unwrap(), "321\n");
    rig.until_output("321\n");
    let beside = rig.exec(&["cat", "/proc/self/oom_score_adj"]);
    assert_eq!(String::from_utf8(beside.stdout).unwrap(), "321\n");
}

#[test]
fn without_the_promise_a_program_may_gain_privileges() {
    let script = "grep -E '^(NoNewPrivs|Seccomp:|CapEff|CapPrm)' /proc/self/status; unshare -U true || echo filtered";
    let mut rig = Rig::script(script);
    rig.launch.user = User { uid: 1000, gid: 1000, additional_gids: vec![] };
    rig.launch.no_new_privileges = false;
    rig.run();
    let none = "0000000000000000";
    let wanted =
        format!("CapPrm:\t{none}\nCapEff:\t{none}\nNoNewPrivs:\t0\nSeccomp:\t2\nfiltered\n");
    assert_eq!(rig.output(), wanted, "{:?}", rig.log());
}

#[test]
fn masked_and_read_only_paths_are_those_of_the_launch() {
    let script = "head -c 1 /proc/uptime | wc -c; head -c 1 /proc/interrupts | wc -c; \
        (echo 1 > /proc/sys/kernel/msgmax) 2>/dev/null && echo written; \
        (echo 1 > /proc/sys/net/ipv4/ip_forward) 2>/dev/null || echo kept";
    let mut rig = Rig::script(script);
    rig.launch.masked_paths = Some(vec!["/proc/uptime".into()]);
    rig.launch.readonly_paths = Some(vec!["/proc/sys/net".into()]);
    rig.run();
    assert_eq!(rig.output(), "0\n1\nwritten\nkept\n", "{:?}", rig.log());
}

#[test]
fn a_capability_that_the_node_lacks_is_refused_by_name() {
    let mut rig = Rig::script("true");
    rig.launch.capabilities = vec!["CAP_SWIM".into()];
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("there is no capability 'CAP_SWIM'"), "{failure:?}");
}

#[test]
fn a_device_can_be_read_and_not_written_as_the_launch_says() {
    let disk = disk(2);
    let path = disk.path();
    let script = format!(
        "head -c 3 {path} | wc -c; (echo x > {path}) 2>/dev/null || echo no write; \
         mknod /dev/again b $((0x$(stat -c %t {path}))) $((0x$(stat -c %T {path}))) 2>/dev/null || echo no making"
    );
    let mut rig = Rig::script(&script);
    rig.launch.capabilities = vec!["CAP_MKNOD".into()];
    rig.launch.devices = vec![device(path, true, false, false)];
    rig.run();
    assert_eq!(rig.output(), "3\nno write\nno making\n", "{:?}", rig.log());

    let mut rig = Rig::script(&script);
    rig.launch.capabilities = vec!["CAP_MKNOD".into()];
    rig.launch.devices = vec![device(path, true, true, true)];
    let state = rig.start();
    assert!(state.devices_enforced);
    assert_eq!(rig.finished_output(), "3\n", "{:?}", rig.log());
}

#[test]
fn a_device_has_the_name_that_the_launch_gives_it() {
    let mut rig = Rig::script("head -c 1 /dev/my/zero | wc -c; ls /dev/my; ls /dev/kmsg");
    let target = Some("/dev/my/zero".into());
    rig.launch.devices = vec![Device { target, ..device("/dev/zero", true, true, false) }];
    rig.run();
    assert_eq!(rig.output(), "1\nzero\n", "{:?}", rig.log());
}

#[test]
fn a_device_that_is_missing_or_none_is_told() {
    for (path, wanted) in [
        ("/dev/no-such-device", "device /dev/no-such-device is not there; plug it in"),
        ("/dev/shm", "/dev/shm is no device; mount it as a volume"),
    ] {
        let mut rig = Rig::script("true");
        rig.launch.devices = vec![device(path, true, false, false)];
        rig.spawn();
        let failure = rig.failure();
        assert!(failure.message.contains(wanted), "{failure:?}");
    }
}

#[test]
fn a_privileged_agent_has_everything() {
    let disk = disk(2);
    let path = disk.path();
    let script = format!(
        "grep -E '^(CapEff|Seccomp:)' /proc/self/status; head -c 2 {path} | wc -c; \
         echo x > {path} && echo written; unshare -U true && echo unfiltered; \
         grep -c ' /sys sysfs rw' /proc/self/mounts; head -c 1 /proc/interrupts | wc -c; \
         echo 4321 > /proc/sys/kernel/msgmax && echo set"
    );
    let mut rig = Rig::script(&script);
    rig.launch.privileged = true;
    let state = rig.start();
    assert!(!state.devices_enforced && !state.seccomp);
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find(|line| line.starts_with("CapEff")).unwrap();
    let wanted = format!("{own}\nSeccomp:\t0\n2\nwritten\nunfiltered\n1\n1\nset\n");
    assert_eq!(rig.finished_output(), wanted, "{:?}", rig.log());
}

#[test]
fn a_program_beside_the_agent_has_its_limits_and_promise() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.no_new_privileges = false;
    rig.launch.rlimits.insert("nofile".into(), Rlimit { soft: Some(66), hard: Some(66) });
    rig.launch.seccomp = Seccomp::Default;
    rig.start();
    let beside = rig.exec(&["sh", "-c", "ulimit -n; grep NoNewPrivs /proc/self/status"]);
    assert_eq!(String::from_utf8(beside.stdout).unwrap(), "66\nNoNewPrivs:\t0\n");
}
