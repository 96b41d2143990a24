//! The flashable image when something about it is wrong: the boot loader and pid 1 together have to find
//! a way. What a device is after an ordinary boot is in `skeleton.rs`.

use skerry_tests::machine::{Arch, Boot, Disk};
use skerry_tests::{Machine, Scratch};

/// What the boot loader keeps of the slots: both have proven themselves.
const BOTH_GOOD: &str = "# GRUB Environment Block\nORDER=a b\na_OK=1\na_TRY=0\nb_OK=1\nb_TRY=0\n";
const MIB: u64 = 1 << 20;

/// A device with the image that has booted once, by its firmware.
fn flashed(scratch: &Scratch, name: &str) -> Machine {
    Machine::setup(scratch, name).arch(Arch::X86_64).boot(Boot::Firmware).start()
}

fn key(machine: &Machine) -> String {
    machine.status()["publicKey"].as_str().expect("a node has a key").to_owned()
}

fn slot(machine: &Machine) -> String {
    let line = machine.sh("cat /proc/cmdline").ok().stdout;
    let slot = line.split_whitespace().find_map(|word| word.strip_prefix("skerry.slot="));
    slot.expect("the boot loader names the slot").to_owned()
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn of_two_disks_with_it_the_one_that_the_firmware_chose_is_used() {
    let scratch = Scratch::new();
    let machine = flashed(&scratch, "box");
    let ours = key(&machine);
    // It has booted elsewhere; here it comes first in the kernel's order.
    let mut stranger = flashed(&scratch, "stranger");
    assert_ne!(key(&stranger), ours);
    stranger.cut_power();
    let other = Disk::copy_of(stranger.data().path(), &scratch.path().join("other.disk"));

    let mut machine = machine.changed(|setup| setup.beside(other));
    machine.boot();
    let disks = machine.sh("ls /sys/class/block; grep ' /data ' /proc/mounts").ok().stdout;
    assert!(disks.contains("vda4") && disks.contains("/dev/vdc4 /data"), "{disks}");
    assert_eq!(key(&machine), ours);
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn a_proven_slot_whose_root_is_damaged_is_given_up_for_the_other() {
    let scratch = Scratch::new();
    let mut machine = flashed(&scratch, "box");
    let ours = key(&machine);
    assert_eq!(slot(&machine), "a");
    machine.cut_power();
    let disk = machine.data();
    let ((a, length), (b, _)) = (disk.partition("skerry-a"), disk.partition("skerry-b"));
    disk.write(b, &disk.read(a, usize::try_from(length).expect("a slot fits into memory")));
    // The node's program is among the last files before the tables; the kernel is among the first.
    let tables = disk.read(a + 64, 8).try_into().map(u64::from_le_bytes).expect("eight bytes");
    disk.write(a + tables - 3 * MIB / 2, &[0x5a; MIB as usize]);
    let mut good = BOTH_GOOD.as_bytes().to_vec();
    good.resize(1024, b'#');
    disk.boot_file("EFI/skerry/grubenv", &good);

    // The first try ends in a restart, which is the end of a virtual device.
    let why = machine.try_boot().expect_err("slot a can't come up");
    assert!(why.contains("the device is gone"), "{why}");
    machine.boot();
    assert_eq!(slot(&machine), "b");
    assert_eq!(key(&machine), ours, "the state is the same");
}
