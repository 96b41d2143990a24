//! A disk that fails: writes to it end with errors for a while. Agents go on, the device says what is
//! wrong and what to do, and all is well again when the errors have ended.
//!
//! The disk of the state is reached through the device mapper, whose table is changed while it is in use.

use std::path::{Path, PathBuf};
use std::process::Command;

use skerry_tests::machine::{Arch, Machine, MachineSetup};
use skerry_tests::process::{need_tool, run};

use super::Around;

/// What the device does before it mounts the disk of its state.
const LAYER: &str = "\
    /kit/dm/ld.so --library-path /kit/dm/lib /kit/dm/dmsetup --noudevsync create state \
        --table \"0 $(cat /sys/block/vdb/size) linear /dev/vdb 0\"
    DISK=/dev/dm-0
";

/// The host's dmsetup with its loader and libraries, as files of the kit.
fn with_device_mapper(mut setup: MachineSetup, scratch: &Path) -> MachineSetup {
    need_tool("dmsetup", "dmsetup");
    let hook = scratch.join("disk");
    std::fs::write(&hook, LAYER).expect("a hook");
    setup = setup.file("disk", &hook);
    let program = run(Command::new("sh").args(["-c", "command -v dmsetup"])).ok().stdout;
    let program = PathBuf::from(program.trim());
    let needed = run(Command::new("ldd").arg(&program)).ok().stdout;
    let files = needed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    for file in files {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let place =
            if name.starts_with("ld-") { "dm/ld.so".to_owned() } else { format!("dm/lib/{name}") };
        setup = setup.tool(&place, &file);
    }
    setup.tool("dm/dmsetup", &program)
}

/// Gives the disk another table while it is in use.
fn table(machine: &Machine, line: &str) {
    let dm = "/kit/dm/ld.so --library-path /kit/dm/lib /kit/dm/dmsetup --noudevsync";
    let size = "$(cat /sys/block/vdb/size)";
    let line = line.replace("SIZE", size);
    let swap = format!(
        "{dm} suspend --noflush --nolockfs state && {dm} reload state --table \"{line}\" && {dm} resume state"
    );
    let _ = machine.sh(&swap).ok();
}

#[test]
#[ignore = "boots a virtual device: run tests/virtual"]
fn agents_go_on_while_writes_fail_and_all_is_well_when_they_do_no_more() {
    let around = Around::new(Arch::X86_64);
    let setup = with_device_mapper(around.setup(), around.scratch.path());
    let mut machine = around.join(setup);
    let pids = around.roll_out(&machine, &["one", "two"]);

    table(&machine, "0 SIZE flakey /dev/vdb 0 0 3600 1 error_writes");
    let alive = |machine: &Machine| {
        let _ = machine.sh(&format!("kill -0 {} && kill -0 {}", pids[0], pids[1])).ok();
    };
    // Something that must be kept, so that the disk is asked.
    let said = machine.cli(["run", "--name", "more", "sensor"]);
    assert!(!said.status.success(), "what cannot be kept is refused: {said}");
    let told = machine.until("status says what is wrong", |machine| {
        let troubles = machine.status()["troubles"].clone();
        let mut all = troubles.as_array().cloned().unwrap_or_default().into_iter();
        all.find(|one| ["disk-read-only", "store"].iter().any(|kind| one["kind"] == *kind))
    });
    let next = told["next"].as_str().unwrap_or_default();
    assert!(next.contains("kernel's log"), "and what to do: {told}");
    let check = machine.cli(["check"]);
    assert!(check.stdout.contains("kernel's log"), "{check}");
    alive(&machine);
    // A new document cannot be kept, and is not in force; the fleet hears why.
    let missed = around.publish(&["one", "two", "three"]);
    let row =
        around.row_when("the trouble", |row| !row["troubles"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(row["document"], 1, "{row}");
    alive(&machine);
    assert_eq!(machine.status()["document"]["version"], 1);

    // The errors end. The file system took itself out of use, so the device is switched off and on.
    table(&machine, "0 SIZE linear /dev/vdb 0");
    machine.boot();
    machine.until_document(missed);
    for name in ["one", "two", "three"] {
        let _ = machine.until_running(name);
    }
    assert!(machine.status()["troubles"].is_null(), "{}", machine.status());
    assert!(machine.agent("more").is_none(), "refused is refused");
}
