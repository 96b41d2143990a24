//! What an agent may not do and cannot see.

use skerry_runtime::{Seccomp, User};

use crate::rig::{self, Rig};

/// What a script writes to its standard output.
fn output_of(script: &str) -> String {
    let mut rig = Rig::script(script);
    rig.run();
    rig.output()
}

#[test]
fn no_capability_and_no_new_privilege_is_left() {
    let output = output_of("grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(output.contains(&format!("{set}:\t0000000000000000")), "{output}");
    }
    assert!(output.contains("NoNewPrivs:\t1"), "{output}");
    assert!(output.contains("Seccomp:\t2"), "{output}");
    assert!(output.lines().any(|line| line.trim() == "Groups:"), "{output}");
}

#[test]
fn capabilities_that_are_asked_for_are_kept_and_no_others() {
    let mut rig = Rig::script("grep CapEff /proc/self/status");
    rig.launch.capabilities = vec!["CAP_NET_RAW".to_owned()];
    rig.launch.user = User { uid: 1000, gid: 1000, additional_gids: vec![1001] };
    rig.run();
    assert_eq!(rig.output(), "CapEff:\t0000000000002000\n");
}

#[test]
fn a_forbidden_call_fails_with_eperm_under_the_filter_only() {
    // A user namespace needs no capability: only the filter forbids it.
    let script = "unshare -U true; echo code $?";
    let mut rig = Rig::script(script);
    rig.run();
    assert_eq!(rig.output(), "code 1\n");
    let errors = rig.log();
    assert!(errors.iter().any(|(_, text)| text.contains("Operation not permitted")), "{errors:?}");
    let mut rig = Rig::script(script);
    rig.launch.seccomp = Seccomp::Unconfined;
    rig.run();
    assert_eq!(rig.output(), "code 0\n", "{:?}", rig.log());
}

#[test]
fn the_root_is_read_only_and_tmp_is_not() {
    let output = output_of(
        "touch /x 2>/dev/null || echo root refused; touch /bin/x 2>/dev/null || echo bin refused; \
         touch /tmp/x && echo tmp taken; touch /run/x && echo run taken; \
         touch /dev/shm/x && echo shm taken; touch /sys/x 2>/dev/null || echo sys refused; \
         echo 1 2>/dev/null > /proc/sys/kernel/sysrq || echo proc refused",
    );
    assert_eq!(
        output,
        "root refused\nbin refused\ntmp taken\nrun taken\nshm taken\nsys refused\nproc refused\n"
    );
}

#[test]
fn a_writable_root_keeps_changes_from_the_image() {
    let mut rig = Rig::script("echo changed > /bin/new && cat /bin/new");
    rig.launch.read_only_root = false;
    rig.run();
    assert_eq!(rig.output(), "changed\n", "{:?}", rig.log());
    assert!(!rig.folder().join("image/bin/new").exists());
}

#[test]
fn the_loopback_interface_is_up() {
    let output = output_of(
        "echo answer | nc -l -p 4711 & \
         for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
         nc 127.0.0.1 4711 </dev/null && break; sleep 0.1; done",
    );
    assert_eq!(output, "answer\n");
}

#[test]
fn nothing_of_the_host_is_mounted() {
    let output = output_of("cat /proc/self/mountinfo");
    assert!(output.lines().count() > 8, "{output}");
    for line in output.lines() {
        let (mount, kind) = line.split_once(" - ").unwrap();
        let kind = kind.split(' ').next().unwrap();
        let known = ["overlay", "proc", "tmpfs", "devpts", "mqueue", "sysfs"];
        // Masked files are covered by the container's own /dev/null.
        assert!(known.contains(&kind), "{line}");
        assert!(!mount.contains("/run/skerry"), "{line}");
    }
    assert_eq!(output.lines().filter(|line| line.contains(" - overlay ")).count(), 1, "{output}");
}

#[test]
fn every_namespace_is_its_own() {
    let names = ["pid", "mnt", "uts", "ipc", "net", "cgroup"];
    let output =
        output_of("for n in pid mnt uts ipc net cgroup; do readlink /proc/self/ns/$n; done");
    assert_eq!(output.lines().count(), names.len());
    for (name, inside) in names.iter().zip(output.lines()) {
        let outside = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(outside.to_str().unwrap(), inside, "{name}");
    }
}

#[test]
fn the_agent_sees_its_own_name_processes_and_environment_only() {
    let output = output_of("hostname; echo $$; echo $GREETING; env | wc -l; cat /proc/self/cgroup");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..3], ["sample", "1", "hello"]);
    // GREETING, PATH, HOME, and what the shell itself adds: PWD and SHLVL.
    assert!(lines[3].parse::<u32>().unwrap() <= 5, "{output}");
    assert!(!output.contains("skerry-tests"), "{output}");
}

#[test]
fn only_standard_devices_exist_and_a_disk_cannot_be_opened() {
    let mut rig = Rig::script(
        "echo x > /dev/null && echo null; head -c 4 /dev/urandom | wc -c; \
         mknod /dev/disk b 254 0 2>/dev/null || echo refused",
    );
    rig.launch.capabilities = vec!["CAP_MKNOD".to_owned()];
    let state = rig.start();
    rig.exit();
    // The capability is there, and the rules of the control group are not for this device.
    assert_eq!(rig.output(), "null\n4\nrefused\n", "{:?}", rig.log());
    assert!(state.devices_enforced);
}

#[test]
fn no_descriptor_leaks_into_the_agent() {
    assert_eq!(output_of("ls /proc/self/fd | wc -l"), "4\n");
}

#[test]
fn signals_arrive_as_in_a_new_process() {
    // Without a shell, which ignores some itself.
    let mut rig = Rig::program(&["/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
    rig.run();
    let output = rig.output();
    assert_eq!(output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

/// This program's own file, and a way for it to stay for long within the container: it waits for
/// somebody to write to a pipe in the image. The loader and libraries of the host are in the image, as
/// a hostile one would bring its own.
fn hostile() -> (Rig, Vec<&'static str>) {
    let own = vec!["/proc/self/exe", "spawn", "/run/none", "/pipe"];
    let rig = Rig::script("sleep 1000");
    let image = rig.launch.lowers[0].clone();
    rig::host("mkfifo", &[image.join("pipe").to_str().unwrap()]);
    let needed = rig::host("sh", &["-c", &format!("ldd {} || true", rig::MONITOR)]);
    for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
        let place = image.join(library.trim_start_matches('/'));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(library, place).unwrap();
    }
    (rig, own)
}

/// Opens the host's program through a process that runs it, and that again for writing.
const OVERWRITE: &str = "for tries in $(seq 500); do for p in /proc/[0-9]*; do \
    grep -q spawn $p/cmdline 2>/dev/null && grep -qv grep $p/comm && \
    readlink $p/exe | grep -qv busybox && exec 9<$p/exe && break 2; done; sleep 0.02; done; \
    echo found $(head -c 4 <&9 | tail -c 3); (: >/proc/self/fd/9) 2>&1";

fn overwrites(rig: &Rig) -> String {
    let said = rig.exec(&["sh", "-c", OVERWRITE]);
    String::from_utf8(said.stdout).unwrap()
}

fn stays_whole(said: &str, before: std::time::SystemTime) {
    // Not "Text file busy": that would be luck, and only for as long as it runs.
    assert!(said.contains("found ELF") && said.contains("Read-only file system"), "{said}");
    assert_eq!(std::fs::metadata(rig::MONITOR).unwrap().modified().unwrap(), before);
}

#[test]
fn an_agent_whose_program_is_the_monitors_own_cannot_write_to_it() {
    let before = std::fs::metadata(rig::MONITOR).unwrap().modified().unwrap();
    let (mut rig, own) = hostile();
    rig.launch.args = own.iter().map(|arg| (*arg).to_owned()).collect();
    rig.start();
    stays_whole(&overwrites(&rig), before);
}

#[test]
fn a_script_that_names_the_monitors_program_cannot_write_to_it_either() {
    let before = std::fs::metadata(rig::MONITOR).unwrap().modified().unwrap();
    for init in [false, true] {
        let (mut rig, _) = hostile();
        let script = rig.launch.lowers[0].join("spawn");
        std::fs::write(&script, "#!/proc/self/exe spawn\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        rig.launch.init = init;
        rig.launch.args = vec!["/spawn".to_owned(), "/pipe".to_owned()];
        rig.start();
        stays_whole(&overwrites(&rig), before);
    }
}

#[test]
fn a_program_beside_the_agent_that_is_the_hosts_cannot_be_written_to() {
    let before = std::fs::metadata(rig::MONITOR).unwrap().modified().unwrap();
    let (mut rig, own) = hostile();
    rig.start();
    let run_dir = rig.run_dir();
    let mut command = std::process::Command::new(rig::MONITOR);
    let mut beside = command.arg("exec").arg(run_dir).arg("0").args(own).spawn().unwrap();
    let said = overwrites(&rig);
    beside.kill().unwrap();
    beside.wait().unwrap();
    stays_whole(&said, before);
}
