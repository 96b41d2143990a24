//! What an agent's spec asks of a kernel that has cgroup v2 alone, beyond memory, processors and
//! processes (`limits.rs`): disks, swap, single processors, user ids, devices, sizes of volumes; and
//! the command line of runc.
//!
//! One boot for each group of checks; each check names itself when it fails. Times under emulation mean
//! nothing, shares do: both sides of each are taken from the guest's own clock.

use skerry_tests::Scratch;
use skerry_tests::machine::{Machine, MachineSetup};

use super::first_number;
use super::limits::{equipped, group};

/// Writes an agent down and has it run.
fn apply(machine: &Machine, agent: &str) {
    let write = format!("cat >/run/agent.yaml <<'END'\n{agent}\nEND");
    let _ = machine.sh(&write).ok();
    let _ = machine.cli(["apply", "-f", "/run/agent.yaml"]).ok();
}

/// What a line says within an agent.
fn inside(machine: &Machine, agent: &str, line: &str) -> String {
    machine.cli(["exec", agent, "/bin/sh", "-c", line]).ok().stdout.trim().to_owned()
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn disks_swap_and_single_processors_are_limited() {
    let scratch = Scratch::new();
    let machine = equipped(&scratch, |setup| setup);
    bytes_of_a_disk(&machine);
    shares_of_disks(&machine);
    swap(&machine);
    single_processors(&machine);
}

fn bytes_of_a_disk(machine: &Machine) {
    // The device is the disk of the state; its file is the agent's, to read past the cache.
    let agent = |limit: &str| {
        format!(
            "{{name: reader, image: sensor, security: {{devices: [{{path: /dev/vdb, permissions: r}}]}}, \
             resources: {{limits: {{io: {{devices: [{{path: /dev/vdb{limit}}}]}}}}}}}}"
        )
    };
    apply(machine, &agent(", readBps: 1Mi, writeIops: 50"));
    let pid = machine.until_running("reader");
    let device = machine.sh("cat /sys/block/vdb/dev").ok().stdout.trim().to_owned();
    let in_force = format!("{device} rbps=1048576 wbps=max riops=max wiops=50");
    assert_eq!(group(machine, "reader", "io.max"), in_force);
    let read = "cut -d ' ' -f 1 /proc/uptime; dd if=/dev/vdb of=/dev/null bs=256k count=12 skip=@ \
                iflag=direct 2>/dev/null; cut -d ' ' -f 1 /proc/uptime";
    let time = |skip: &str| {
        let said = inside(machine, "reader", &read.replace('@', skip));
        let (before, after) = said.split_once('\n').expect("two times");
        first_number(after) - first_number(before)
    };
    let slow = time("0");
    assert!((2.0..6.0).contains(&slow), "3 MiB at 1 MiB a second: {slow} s");
    // Changed while it runs.
    apply(machine, &agent(", readBps: 64Mi"));
    machine.until("the limit is another", |machine| {
        group(machine, "reader", "io.max").contains("rbps=67108864").then_some(())
    });
    let fast = time("40");
    assert!(fast * 3.0 < slow, "much faster without: {fast} s to {slow} s");
    assert_eq!(machine.until_running("reader"), pid);
    let _ = machine.cli(["rm", "-f", "reader"]).ok();
}

fn shares_of_disks(machine: &Machine) {
    let agent = "{name: sharer, image: sensor, resources: {limits: {io: {weight: 250}}}}";
    apply(machine, agent);
    // Nothing deals the disks out by weights yet, and a weight that was asked for is a promise.
    let agent = machine.until_agent("sharer", "says why it does not run", |agent| {
        agent["detail"].as_str().is_some_and(|text| text.contains("the disk weight"))
    });
    assert!(agent["detail"].as_str().is_some_and(|text| text.contains("bfq")), "{agent}");
    let _ = machine.sh("echo bfq >/sys/block/vdb/queue/scheduler").ok();
    let _ = machine.until_running("sharer");
    let files = inside_group(machine, "sharer");
    assert!(
        files.contains("io.bfq.weight:default 250") || files.contains("io.bfq.weight:250"),
        "{files}"
    );
    let _ = machine.cli(["rm", "-f", "sharer"]).ok();
    let _ = machine.cli(["run", "--name", "urgent", "--priority", "high", "sensor"]).ok();
    let _ = machine.until_running("urgent");
    assert!(inside_group(machine, "urgent").contains("400"), "by priority");
    assert_eq!(group(machine, "urgent", "cpu.weight"), "400");
    let _ = machine.cli(["rm", "-f", "urgent"]).ok();
    let _ = machine.sh("echo none >/sys/block/vdb/queue/scheduler").ok();
}

/// The weights for disks in an agent's group.
fn inside_group(machine: &Machine, agent: &str) -> String {
    let inspect = machine.cli(["inspect", agent]).ok().json();
    let folder = inspect[0]["cgroups"][0].as_str().expect("an agent has a cgroup");
    machine.sh(&format!("cd {folder} && grep . io.bfq.weight io.weight")).stdout
}

fn swap(machine: &Machine) {
    let file = "/var/lib/skerry/swap";
    let make =
        format!("dd if=/dev/zero of={file} bs=1M count=48 && chmod 600 {file} && mkswap {file}");
    let _ = machine.sh(&format!("{make} && swapon {file}")).ok();
    let hog = ["sensor", "--hog-memory", "40M"];
    let run = |name: &str, limits: &[&str]| {
        let _ =
            machine.cli([&["run", "--name", name, "--restart", "never"], limits, &hog].concat());
    };
    run("without", &["-m", "24Mi"]);
    let without = machine.until_agent("without", "is killed for its memory", |agent| {
        agent["exit"]["oomKilled"] == true
    });
    run("with", &["-m", "24Mi", "--memory-swap", "72Mi"]);
    let _ = machine.until_running("with");
    assert_eq!(group(machine, "with", "memory.swap.max"), (48 << 20).to_string());
    machine.until("it uses swap, and lives", |machine| {
        (first_number(&group(machine, "with", "memory.swap.current")) > 1e6).then_some(())
    });
    let _ = machine.until_running("with");
    assert!(without["exit"].is_object(), "{without}");
    let _ = machine.cli(["rm", "-f", "with", "without"]).ok();
    let _ = machine.sh(&format!("swapoff {file} && rm {file}")).ok();
}

fn single_processors(machine: &Machine) {
    let _ = machine.cli(["run", "--name", "pinned", "--cpuset-cpus", "0", "sensor"]).ok();
    let _ = machine.until_running("pinned");
    assert_eq!(group(machine, "pinned", "cpuset.cpus"), "0");
    assert_eq!(
        inside(machine, "pinned", "grep Cpus_allowed_list /proc/self/status | cut -f 2"),
        "0"
    );
    let said = machine.cli(["run", "--name", "far", "--cpuset-cpus", "63", "sensor"]).refused();
    assert!(said.stderr.contains("names processor 63"), "{said}");
    let _ = machine.cli(["rm", "-f", "pinned"]).ok();
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn user_ids_and_devices_are_an_agents_own() {
    let scratch = Scratch::new();
    let machine = equipped(&scratch, |setup| setup);
    user_ids(&machine);
    devices(&machine);
}

fn user_ids(machine: &Machine) {
    let mut first_ids = Vec::new();
    for name in ["one", "two"] {
        let _ = machine.cli(["run", "--name", name, "--userns", "auto", "sensor"]).ok();
        let pid = machine.until_running(name);
        let map = machine.sh(&format!("cat /proc/{pid}/uid_map")).ok().stdout;
        let words: Vec<u64> = map.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [0, first, count] = words.as_slice() else { panic!("one range from 0: {map}") };
        assert!(*first >= 65_536 && *count >= 65_536, "{map}");
        first_ids.push(*first);
        let owner = machine.sh(&format!("stat -c %u /proc/{pid}")).ok().stdout;
        assert_eq!(owner.trim(), first.to_string(), "its root is nobody on the device");
        assert_eq!(
            inside(machine, name, "id -u; touch /tmp/mine && ls -ln /tmp/mine | cut -c 1-10"),
            "0\n-rw-r--r--"
        );
    }
    assert!(first_ids[0].abs_diff(first_ids[1]) >= 65_536, "ranges do not meet: {first_ids:?}");
    let _ = machine.cli(["rm", "-f", "one", "two"]).ok();
}

fn devices(machine: &Machine) {
    let run = |name: &str, device: &str| {
        let _ = machine
            .cli(["run", "--name", name, "--cap-add", "MKNOD", "--device", device, "sensor"])
            .ok();
        let _ = machine.until_running(name);
    };
    let attempt = |name: &str, line: &str| {
        machine.cli(["exec", name, "/bin/sh", "-c", line]).status.success()
    };
    // The second disk, which holds the state: nothing may be written there by accident.
    let read = "dd if=/dev/disk of=/dev/null bs=512 count=1";
    let write = ": >>/dev/disk";
    let make = "rm -f /tmp/again; mknod /tmp/again b $(cat /sys/block/vdb/dev | tr : ' ')";
    for (name, rights, allowed) in [
        ("reads", "r", [true, false, false]),
        ("writes", "rw", [true, true, false]),
        ("makes", "rwm", [true, true, true]),
    ] {
        run(name, &format!("/dev/vdb:/dev/disk:{rights}"));
        let found = [read, write, make].map(|line| attempt(name, line));
        assert_eq!(found, allowed, "{rights}: read, write, make");
        let other = make.replace("vdb", "vda").replace("again", "other");
        assert!(!attempt(name, &other), "and no other disk");
        let _ = machine.cli(["rm", "-f", name]).ok();
    }
    let said = machine.cli(["run", "--name", "none", "--device", "/dev/nothing", "sensor"]);
    assert!(said.stderr.contains("'/dev/nothing' is not on this device"), "{said}");
    let _ = machine.cli(["rm", "-f", "none"]);
}

/// Whether an agent with a volume of 8 MiB runs, or why not.
fn sized_volume(machine: &Machine) -> Result<(), String> {
    apply(
        machine,
        "{name: keeper, image: sensor, volumes: [{type: volume, source: data, target: /data, size: 8Mi}]}",
    );
    let agent = machine.until_agent("keeper", "runs, or says why not", |agent| {
        agent["state"] == "running"
            || agent["detail"].as_str().is_some_and(|text| text.contains("quota"))
    });
    match agent["state"] == "running" {
        true => Ok(()),
        false => Err(agent["detail"].as_str().unwrap_or_default().to_owned()),
    }
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn a_volumes_size_is_kept_by_the_file_system_or_refused() {
    let scratch = Scratch::new();
    let machine = equipped(&scratch, |setup| setup);
    let why = sized_volume(&machine).expect_err("this disk has no project quotas");
    assert!(why.contains("keeps no project quotas") && why.contains("size"), "{why}");
    drop(machine);

    let scratch = Scratch::new();
    let machine = equipped(&scratch, MachineSetup::project_quotas);
    sized_volume(&machine).expect("this disk has project quotas");
    let fill = |megabytes: u32| {
        let line = format!("dd if=/dev/zero of=/data/file bs=1M count={megabytes} && sync");
        machine.cli(["exec", "keeper", "/bin/sh", "-c", &line])
    };
    let _ = fill(6).ok();
    let said = fill(12).refused();
    assert!(said.stderr.contains("No space left") || said.stderr.contains("quota"), "{said}");
    let used = machine.sh("du -sk /var/lib/skerry/volumes").ok().stdout;
    assert!(first_number(&used) <= 8.5 * 1024.0, "{used}");
    let left = machine.sh("df -k /var/lib/skerry | awk 'NR == 2 { print $4 }'").ok().stdout;
    assert!(first_number(&left) > 32.0 * 1024.0, "the disk itself has room: {left}");
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn the_command_line_of_runc_takes_a_container_through_its_states() {
    let scratch = Scratch::new();
    let machine = equipped(&scratch, |setup| setup);
    let bundle = "mkdir -p /run/bundle/rootfs/bin /run/bundle/rootfs/proc /run/bundle/rootfs/dev /run/bundle/rootfs/sys && \
        cp /bin/busybox /run/bundle/rootfs/bin && ln -s busybox /run/bundle/rootfs/bin/sleep && \
        cd /run/bundle && skerry oci spec && \
        sed -i 's/\"terminal\": *true/\"terminal\": false/; s/\"sh\"/\"sleep\", \"1000\"/' config.json && cat config.json";
    let said = machine.sh(bundle).ok();
    assert!(said.stdout.contains("\"sleep\""), "{said}");
    let status = || machine.sh("skerry oci state box").ok().json()["status"].clone();
    let _ = machine.sh("cd /run/bundle && skerry oci create box </dev/null >/run/box.log 2>&1; cat /run/box.log >&2; skerry oci state box").ok();
    assert_eq!(status(), "created");
    let _ = machine.sh("skerry oci start box").ok();
    assert_eq!(status(), "running");
    let pid = machine.sh("skerry oci state box").ok().json()["pid"].as_u64().expect("a process");
    let line = machine
        .sh(&format!("tr '\\0' ' ' </proc/{pid}/cmdline; cat /proc/{pid}/cgroup"))
        .ok()
        .stdout;
    assert!(line.contains("sleep 1000") && line.contains("0::/"), "{line}");
    let early = machine.sh("skerry oci delete box").refused();
    assert!(early.stderr.contains("not stopped"), "{early}");
    let _ = machine.sh("skerry oci kill box KILL").ok();
    machine.until("it has stopped", |machine| {
        (machine.sh("skerry oci state box").ok().json()["status"] == "stopped").then_some(())
    });
    let _ = machine.sh("skerry oci delete box").ok();
    let gone = machine.sh("skerry oci state box").refused();
    assert!(gone.stderr.contains("does not exist") || gone.stderr.contains("box"), "{gone}");
}
