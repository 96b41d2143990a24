//! A disk that is full: agents go on, the node says so, and all is well again when there is space.

use skerry_tests::Machine;
use skerry_tests::machine::Arch;

use super::Around;

/// Takes the last byte of the disk that holds the node's state.
fn fill(machine: &Machine) {
    let fill = "dd if=/dev/zero of=/var/lib/skerry/filler bs=1M 2>/dev/null; \
                dd if=/dev/zero of=/var/lib/skerry/filler2 bs=512 2>/dev/null; \
                sync; df -k /var/lib/skerry | awk 'NR == 2 { print $4 }'";
    let left = machine.sh(fill).ok().stdout;
    assert_eq!(left.trim(), "0", "KiB left");
}

fn empty(machine: &Machine) {
    let _ = machine.sh("rm -f /var/lib/skerry/filler*; sync").ok();
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn agents_go_on_the_node_says_so_and_recovers() {
    let around = Around::new(Arch::X86_64);
    let mut machine = around.join(around.setup().disk_size(64));
    let pids = around.roll_out(&machine, &["one", "two"]);

    fill(&machine);
    let missed = around.publish(&["one", "two", "three"]);
    std::thread::sleep(std::time::Duration::from_secs(10));
    println!("{}", machine.log());
    println!("{}", machine.sh("skerry status; skerry ps -a; skerry image import /kit/sensor.tar; skerry run --name x sensor; skerry restart x; skerry logs one | tail -2; skerry ps -a").stdout);
    println!("{:?}", machine.sh("skerry run --name x2 sensor;"));
    println!("{}", machine.sh("kill -9 $(cat /run/node.pid); sleep 5; skerry status; skerry ps -a; tail -20 /run/node.log").stdout);
    empty(&machine);
    std::thread::sleep(std::time::Duration::from_secs(15));
    println!("{}", machine.sh("skerry status; skerry ps -a; tail -20 /run/node.log").stdout);
    machine.boot();
    println!("{}", machine.sh("skerry status; skerry ps -a; tail -20 /run/node.log").stdout);
    let _ = (pids, missed);
    panic!();
}
