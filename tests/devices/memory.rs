//! What the node and its monitors hold in memory, by the kernel's word, on each architecture.
//!
//! `tests/virtual -E 'test(memory)'` prints the tables that docs/devices.md shows. The bounds are wide:
//! they are there to notice what becomes several times as large.

use skerry_tests::Machine;
use skerry_tests::machine::Arch;

use super::Around;

/// Memory of processes in KiB, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Memory {
    processes: u64,
    resident: u64,
    proportional: u64,
    private_dirty: u64,
}

impl Memory {
    /// Of all processes `skerry PART …`, by whatever name the program was started.
    fn of(machine: &Machine, part: &str) -> Self {
        let script = format!(
            "for place in /proc/[0-9]*; do
                 set -- $(tr '\\0' ' ' <$place/cmdline 2>/dev/null)
                 case \"$1:$2\" in *:{part}) cat $place/smaps_rollup && echo process: 1 ;; esac
             done"
        );
        let said = machine.sh(&script).stdout;
        let sum = |name: &str| {
            let values = said.lines().filter_map(|line| line.strip_prefix(name));
            values.filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).sum()
        };
        Self {
            processes: sum("process:"),
            resident: sum("Rss:"),
            proportional: sum("Pss:"),
            private_dirty: sum("Private_Dirty:"),
        }
    }

    fn line(self, what: &str) -> String {
        let one = |sum: u64| sum / self.processes.max(1);
        let [resident, proportional, dirty] =
            [one(self.resident), one(self.proportional), one(self.private_dirty)];
        format!("{what:<34} {resident:>7} {proportional:>7} {dirty:>14}")
    }
}

/// The node once it is at rest: nothing changes between two looks.
fn at_rest(machine: &Machine) -> Memory {
    let mut last = Memory::default();
    machine.until("the node's memory is steady", |machine| {
        let _ = machine.sh("sleep 3").ok();
        let now = Memory::of(machine, "node");
        let steady = now == last;
        last = now;
        steady.then_some(now)
    })
}

fn table(arch: Arch) {
    let around = Around::new(arch);
    let machine = around.join(around.setup());
    let names: Vec<String> = (0..10).map(|number| format!("agent-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lines = Vec::new();
    for count in [0, 1, 10] {
        let agents = names.get(..count).expect("so many names");
        if count > 0 {
            let _ = around.roll_out(&machine, agents);
        }
        let node = at_rest(&machine);
        assert_eq!(node.processes, 1, "one node");
        lines.push(node.line(&format!("node, {count} agents")));
        assert!(node.proportional < 24 << 10, "{node:?}");
        if count > 0 {
            let monitors = Memory::of(&machine, "monitor-wait");
            assert_eq!(monitors.processes, count as u64, "a monitor for each agent");
            lines.push(monitors.line(&format!("one monitor, {count} agents")));
            assert!(monitors.private_dirty / monitors.processes < 1 << 10, "{monitors:?}");
        }
    }
    println!("{:<34} {:>7} {:>7} {:>14}", format!("{arch}, KiB"), "RSS", "PSS", "private dirty");
    lines.iter().for_each(|line| println!("{line}"));
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn of_node_and_monitors_on_x86_64() {
    table(Arch::X86_64);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn of_node_and_monitors_on_aarch64() {
    table(Arch::Aarch64);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn of_node_and_monitors_on_armv7() {
    table(Arch::Armv7);
}
