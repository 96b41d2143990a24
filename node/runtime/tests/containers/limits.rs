//! Limits are what the kernel says, and they hold.

use std::path::Path;

use skerry_runtime::{Device, IoDevice, IoWeight, Limits, State, set_limits, stats};

use crate::rig::{Rig, disk, wait_for};

/// The first of these control files that the agent's groups have.
fn control(state: &State, files: &[&str]) -> String {
    let mut paths =
        files.iter().flat_map(|file| state.cgroups.iter().map(move |dir| dir.join(file)));
    let found = paths.find_map(|path| std::fs::read_to_string(path).ok());
    found.unwrap_or_else(|| panic!("none of {files:?} in {:?}", state.cgroups)).trim().to_owned()
}

#[test]
fn limits_are_read_back_from_the_kernel() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits = Limits {
        memory_bytes: Some(32 << 20),
        cpu_millis: Some(500),
        pids: Some(16),
        ..Limits::default()
    };
    let state = rig.start();
    assert_eq!(state.limits, rig.launch.limits);
    let read = |folder: &Path, file: &str| std::fs::read_to_string(folder.join(file)).ok();
    let found = |file: &str| state.cgroups.iter().find_map(|folder| read(folder, file));
    let memory = found("memory.limit_in_bytes").or_else(|| found("memory.max")).unwrap();
    assert_eq!(memory.trim(), "33554432");
    assert_eq!(found("pids.max").unwrap().trim(), "16");
    let cpu = found("cpu.cfs_quota_us").or_else(|| found("cpu.max")).unwrap();
    assert!(cpu.starts_with("50000"), "{cpu}");
}

#[test]
fn an_odd_memory_limit_is_rounded_down_to_a_page_and_reported_so() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits.memory_bytes = Some((32 << 20) + 5);
    assert_eq!(rig.start().limits.memory_bytes, Some(32 << 20));
}

#[test]
fn too_much_memory_is_told_apart_from_any_other_end() {
    let mut rig = Rig::program(&["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]);
    rig.launch.limits.memory_bytes = Some(16 << 20);
    let exit = rig.run();
    assert_eq!(exit.signal, Some(9), "{exit:?} {:?}", rig.log());
    assert!(exit.oom_killed, "{exit:?}");
    assert!(exit.oom_kills >= 1, "{exit:?}");
}

#[test]
fn a_fork_bomb_is_stopped() {
    let mut rig =
        Rig::script("i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; sleep 1000");
    rig.launch.limits.pids = Some(20);
    rig.start();
    let full = wait_for(|| {
        let pids = stats(&rig.run_dir()).unwrap().pids;
        assert!(pids <= 20, "{pids} processes");
        let refused = rig.log().iter().any(|(_, text)| text.contains("fork"));
        refused.then_some(())
    });
    assert!(full.is_some(), "{:?} {:?}", rig.log(), stats(&rig.run_dir()));
}

#[test]
fn limits_of_a_running_agent_change() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits.memory_bytes = Some(32 << 20);
    rig.start();
    for wanted in [
        Limits {
            memory_bytes: Some(64 << 20),
            cpu_millis: Some(250),
            pids: Some(9),
            ..Limits::default()
        },
        Limits {
            memory_bytes: Some(16 << 20),
            cpu_millis: Some(1500),
            pids: None,
            ..Limits::default()
        },
        Limits::default(),
    ] {
        assert_eq!(set_limits(&rig.run_dir(), &wanted).unwrap(), wanted);
        assert_eq!(rig.state().limits, wanted);
    }
}

#[test]
fn use_is_measured() {
    let mut rig = Rig::script("while true; do :; done");
    rig.launch.limits.pids = Some(10);
    rig.start();
    let used = wait_for(|| {
        let stats = stats(&rig.run_dir()).unwrap();
        (stats.cpu_usec > 20_000 && stats.pids == 1 && stats.memory_bytes > 0).then_some(())
    });
    assert!(used.is_some(), "{:?}", stats(&rig.run_dir()));
}

#[test]
fn a_limit_below_what_is_needed_to_start_fails_in_plain_words() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits.cpu_millis = Some(1);
    let refused = skerry_runtime::spawn(Path::new("/x"), &rig.run_dir(), &rig.launch).unwrap_err();
    assert!(refused.to_string().contains("below 10"), "{refused}");
}

#[test]
fn swap_beyond_memory_is_what_was_asked_for() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits =
        Limits { memory_bytes: Some(32 << 20), swap_bytes: Some(16 << 20), ..Limits::default() };
    let state = rig.start();
    assert_eq!(state.limits, rig.launch.limits);
    let found = control(&state, &["memory.memsw.limit_in_bytes", "memory.swap.max"]);
    assert!([48 << 20, 16 << 20].map(|bytes: u64| bytes.to_string()).contains(&found), "{found}");
    for wanted in [
        Limits { memory_bytes: Some(96 << 20), swap_bytes: Some(1 << 20), ..Limits::default() },
        Limits { memory_bytes: Some(16 << 20), ..Limits::default() },
        Limits::default(),
    ] {
        assert_eq!(set_limits(&rig.run_dir(), &wanted).unwrap(), wanted);
    }
}

#[test]
fn a_weight_for_the_processors_is_set_changed_and_lifted() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits.cpu_weight = Some(10_000);
    let state = rig.start();
    let files = ["cpu.shares", "cpu.weight"];
    assert!(["262144", "10000"].contains(&control(&state, &files).as_str()));
    assert_eq!(state.limits.cpu_weight, Some(10_000));
    for (weight, wanted) in [(Some(1), ["2", "1"]), (None, ["1024", "100"])] {
        let limits = Limits { cpu_weight: weight, ..Limits::default() };
        assert_eq!(set_limits(&rig.run_dir(), &limits).unwrap(), limits);
        assert!(wanted.contains(&control(&state, &files).as_str()));
    }
}

#[test]
fn an_agent_runs_on_its_processors_only() {
    let mut rig = Rig::script("nproc; sleep 1000");
    rig.launch.limits.cpuset = Some("0".into());
    let state = rig.start();
    rig.until_output("1\n");
    assert_eq!(state.limits.cpuset.as_deref(), Some("0"));
    assert_eq!(control(&state, &["cpuset.cpus"]), "0");
    let processors = std::thread::available_parallelism().unwrap().get();
    set_limits(&rig.run_dir(), &Limits::default()).unwrap();
    let lifted = rig.exec(&["nproc"]);
    assert_eq!(String::from_utf8(lifted.stdout).unwrap(), format!("{processors}\n"));
}

#[test]
fn processors_that_are_not_there_are_refused() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits.cpuset = Some("0,4000".into());
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("processors"), "{failure:?}");
}

#[test]
fn limits_of_processors_and_disks_reach_an_agent_that_started_without() {
    let mut rig = Rig::script("sleep 1000 & sleep 1000");
    let state = rig.start();
    assert!(!state.cgroups.iter().any(|dir| dir.to_str().unwrap().contains("cpuset")));
    let disk = disk(1);
    let device =
        IoDevice { path: disk.path().into(), read_bps: Some(1 << 20), ..IoDevice::default() };
    let wanted = Limits { cpuset: Some("0".into()), io_devices: vec![device], ..Limits::default() };
    assert_eq!(set_limits(&rig.run_dir(), &wanted).unwrap(), wanted);
    // Every process of it is moved, and a new one too.
    for pid in skerry_runtime::cgroup::Group::at(
        &skerry_runtime::Kernel::probe().unwrap(),
        &rig.launch.cgroup,
    )
    .pids()
    .unwrap()
    {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    }
    assert_eq!(rig.exec(&["nproc"]).stdout, b"1\n");
    assert!(
        control(&rig.state(), &["blkio.throttle.read_bps_device", "io.max"]).contains("1048576")
    );
    assert_eq!(set_limits(&rig.run_dir(), &Limits::default()).unwrap(), Limits::default());
    let left = control(&rig.state(), &["blkio.throttle.read_bps_device", "io.max"]);
    assert_eq!(left, "");
    let state = rig.state();
    drop(rig);
    assert!(state.cgroups.iter().all(|dir| !dir.exists()), "{:?}", state.cgroups);
}

#[test]
fn reading_a_disk_takes_as_long_as_its_limit_says() {
    let disk = disk(8);
    let path = disk.path();
    let timed = format!(
        "cut -d' ' -f1 /proc/uptime; dd if={path} of=/dev/null bs=65536 count=48 iflag=direct \
         2>/dev/null || echo failed; cut -d' ' -f1 /proc/uptime"
    );
    let mut rig = Rig::script(&timed);
    rig.launch.devices =
        vec![Device { path: path.into(), target: None, read: true, write: false, mknod: false }];
    let device = IoDevice {
        path: path.into(),
        read_bps: Some(2 << 20),
        write_bps: Some(3 << 20),
        read_iops: Some(1000),
        write_iops: Some(2000),
    };
    rig.launch.limits.io_devices = vec![device];
    let state = rig.start();
    assert_eq!(state.limits, rig.launch.limits);
    let output = rig.finished_output();
    let times: Vec<f64> = output.lines().map(|line| line.parse().unwrap()).collect();
    // 3 MiB at 2 MiB a second, less what the kernel lets through at first.
    assert!(times[1] - times[0] > 0.9, "{output}");
}

#[test]
fn a_disk_that_is_none_is_told() {
    let mut rig = Rig::script("true");
    let device = IoDevice { path: "/dev/null".into(), read_bps: Some(1), ..IoDevice::default() };
    rig.launch.limits.io_devices = vec![device];
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("/dev/null is no disk"), "{failure:?}");
}

/// In one test, as it changes a scheduler of the machine, which decides.
#[test]
fn a_weight_for_disks_is_in_force_where_a_scheduler_keeps_it_and_told_where_not() {
    let schedulers = || {
        let disks = std::fs::read_dir("/sys/block").unwrap().flatten();
        let texts = disks.map(|disk| std::fs::read_to_string(disk.path().join("queue/scheduler")));
        texts.flatten().collect::<String>()
    };
    let keeps_none = !["[bfq]", "[cfq]"].iter().any(|word| schedulers().contains(word));
    let weight = |required| Some(IoWeight { value: 500, required });
    if keeps_none {
        let mut rig = Rig::script("sleep 1000");
        rig.launch.limits.io_weight = weight(false);
        let state = rig.start();
        assert_eq!(state.limits.io_weight, None);
        assert_eq!(state.shortfalls[0].field, "limits.io_weight");
        let required = Limits { io_weight: weight(true), ..Limits::default() };
        let refused = set_limits(&rig.run_dir(), &required).unwrap_err().to_string();
        assert!(refused.contains("the disk weight cannot be enforced"), "{refused}");
    }
    if schedulers().contains("bfq") {
        let disk = disk(1);
        let name = disk.path().trim_start_matches("/dev/");
        let file = format!("/sys/block/{name}/queue/scheduler");
        std::fs::write(&file, "bfq").unwrap();
        let mut rig = Rig::script("sleep 1000");
        rig.launch.limits.io_weight = weight(true);
        let state = rig.start();
        assert_eq!((state.limits.io_weight, state.shortfalls.len()), (weight(true), 0));
        let found = control(&state, &["blkio.bfq.weight", "io.bfq.weight"]);
        assert!(found.ends_with("500"), "{found}");
        std::fs::write(&file, "none").unwrap();
    }
}
