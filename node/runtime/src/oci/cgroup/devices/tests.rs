//! The program of the rules, run as the kernel would, and given to the kernel itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn rule(
    allow: bool,
    kind: &str,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> DeviceRule {
    DeviceRule { allow, kind: kind.to_owned(), major, minor, access: access.to_owned() }
}

/// Runs a program as the kernel would.
fn allows(rules: &[DeviceRule], kind: i32, access: i32, major: i32, minor: i32) -> bool {
    let program = program(rules).unwrap();
    let mut registers = [0_i64; 11];
    let mut at = 0_usize;
    loop {
        let [code, registers_named, o0, o1, v0, v1, v2, v3] = program[at];
        let (to, from) = ((registers_named & 15) as usize, (registers_named >> 4) as usize);
        let offset = i16::from_le_bytes([o0, o1]);
        let value = i64::from(i32::from_le_bytes([v0, v1, v2, v3]));
        at += 1;
        let jump =
            |taken: bool, at: usize| if taken { at + usize::try_from(offset).unwrap() } else { at };
        match code {
            0x61 => {
                let field = [access << 16 | kind, major, minor][offset as usize / 4];
                registers[to] = i64::from(field);
            }
            0xbf => registers[to] = registers[from],
            0x54 => registers[to] &= value,
            0x74 => registers[to] >>= value,
            0xb7 => registers[to] = value,
            0x15 => at = jump(registers[to] == value, at),
            0x55 => at = jump(registers[to] != value, at),
            0x95 => return registers[0] == 1,
            other => unreachable!("{other:#x}"),
        }
    }
}

const CHARACTER: i32 = 2;
const BLOCK: i32 = 1;

#[test]
fn ordinary_devices_are_always_allowed_and_nothing_else() {
    let none = [rule(false, "a", None, None, "rwm")];
    assert!(allows(&none, CHARACTER, 2, 1, 3));
    assert!(allows(&none, CHARACTER, 6, 136, 7));
    assert!(allows(&none, BLOCK, 1, 8, 0), "making is allowed");
    assert!(!allows(&none, BLOCK, 2, 8, 0));
    assert!(!allows(&none, CHARACTER, 2, 1, 1));
}

#[test]
fn the_last_rule_that_fits_counts() {
    let rules = [
        rule(false, "a", None, None, "rwm"),
        rule(true, "b", Some(8), None, "rw"),
        rule(false, "b", Some(8), Some(1), "w"),
    ];
    assert!(allows(&rules, BLOCK, 6, 8, 0));
    assert!(!allows(&rules, BLOCK, 4, 8, 1));
    assert!(allows(&rules, BLOCK, 2, 8, 1), "only writing was taken away");
}

#[test]
fn everything_is_everything() {
    let rules = [rule(true, "a", None, None, "rwm")];
    assert!(allows(&rules, BLOCK, 6, 8, 0) && allows(&rules, CHARACTER, 2, 1, 1));
    assert_eq!(text(&rules[0]), "a");
    assert_eq!(text(&rule(true, "c", Some(5), None, "r")), "c 5:* r");
}

#[test]
fn the_kernel_takes_the_program() {
    assert!(rustix::process::geteuid().is_root(), "this test loads a program: run as root");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut rows = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = rows.find(|row| row.get(2) == Some(&"cgroup2")).map(|row| row[1].to_owned());
    let mount = mount.expect("no version 2 hierarchy: mount cgroup2 beside the others");
    let group = Path::new(&mount).join(format!("skerry-oci-devices-{}", std::process::id()));
    std::fs::create_dir(&group).unwrap();
    let rules = [
        rule(false, "a", None, None, "rwm"),
        rule(true, "b", Some(8), None, "rw"),
        rule(false, "c", Some(1), Some(11), "w"),
        rule(true, "c", None, Some(3), "m"),
    ];
    let taken = attach(&group, &rules);
    std::fs::remove_dir(&group).unwrap();
    taken.unwrap();
    let everything = program(&[rule(true, "a", None, None, "rwm")]).unwrap();
    sys::load_device_filter(&everything).unwrap();
}
