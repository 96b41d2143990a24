//! Files are damaged or gone: the node begins with what it can prove, and says so.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use skerry_tests::agents::{PATIENCE, lives};
use skerry_tests::{Node, Scratch, until};

/// Damages the database of a node that was killed, and looks at what it makes of it.
fn damaged(damage: impl Fn(PathBuf)) -> Option<String> {
    let scratch = Scratch::new();
    let mut node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    for name in ["one", "two", "gone"] {
        let _ = node.cli(["run", "--name", name, "sensor"]).ok();
    }
    let _ = node.cli(["stop", "two"]).ok();
    let _ = node.cli(["rm", "-f", "gone"]).ok();
    let pid = node.pid_of("one");
    node.kill9();
    damage(node.folder().join("state/state/sled"));
    node.restart();

    let states = |node: &Node| {
        let agents = node.cli(["ps", "-a", "--format", "json"]).ok().json();
        let agents = agents.as_array().unwrap();
        let state = |a: &Value| format!("{} {}", a["name"], a["state"]).replace('"', "");
        agents.iter().map(state).collect::<Vec<_>>()
    };
    assert_eq!(states(&node), ["one running", "two stopped"], "{}", node.log());
    assert_eq!(node.pid_of("one"), pid, "what ran runs on");
    let notice = node.cli(["status", "--format", "json"]).ok().json()["storeNotice"].clone();
    let _ = node.cli(["run", "--name", "more", "sensor"]).ok();
    node.restart();
    assert_eq!(states(&node), ["more running", "one running", "two stopped"]);
    assert_eq!(node.pid_of("one"), pid);
    let after = node.cli(["status", "--format", "json"]).ok().json();
    assert!(after["storeNotice"].is_null(), "said once, not for ever: {after}");
    notice.as_str().map(str::to_owned)
}

fn is_told(notice: Option<String>) {
    let notice = notice.expect("`status` tells that state was made again");
    assert!(notice.contains("export") && notice.contains("sled.bad"), "{notice}");
}

#[test]
fn a_database_overwritten_with_rubbish_is_made_again() {
    is_told(damaged(|sled| {
        let db = sled.join("db");
        let size = usize::try_from(fs::metadata(&db).unwrap().len()).unwrap();
        fs::write(&db, vec![0xAA; size]).unwrap();
    }));
}

#[test]
fn a_database_cut_short_is_made_again() {
    is_told(damaged(|sled| {
        fs::write(sled.join("db"), b"").unwrap();
    }));
}

#[test]
fn a_database_that_is_gone_is_made_again() {
    is_told(damaged(|sled| fs::remove_dir_all(sled).unwrap()));
}

#[test]
fn a_database_with_a_damaged_configuration_loses_no_wish() {
    let _ = damaged(|sled| fs::write(sled.join("conf"), b"rubbish").unwrap());
}

#[test]
fn an_unfinished_snapshot_is_passed_over() {
    let notice = damaged(|sled| {
        fs::write(sled.join("snap.00000000000001A2.generating"), b"half").unwrap();
    });
    assert_eq!(notice, None);
}

#[test]
fn single_bytes_overwritten_anywhere_lose_no_wish() {
    // Each run flips a stretch elsewhere. The node may notice or not; it must not lose or invent.
    for eighth in 0..4 {
        let _ = damaged(|sled| {
            let db = sled.join("db");
            let mut bytes = fs::read(&db).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            let start = used * eighth / 4;
            let end = (start + 16).min(bytes.len());
            bytes[start..end].iter_mut().for_each(|byte| *byte ^= 0x5A);
            fs::write(&db, bytes).unwrap();
        });
    }
}

#[test]
fn after_a_reboot_agents_run_from_state_with_no_network() {
    let scratch = Scratch::new();
    let setup = Node::setup(&scratch, "box").broker("mqtt://broker.invalid:1883");
    let mut node = setup.start();
    node.with_sensor(&scratch);
    let _ = node.cli(["run", "--name", "one", "-m", "32Mi", "sensor"]).ok();
    let _ = node.cli(["run", "--name", "two", "sensor"]).ok();
    let _ = node.cli(["run", "--name", "off", "sensor"]).ok();
    let _ = node.cli(["stop", "off"]).ok();
    let before = [node.pid_of("one"), node.pid_of("two")];
    node.kill9();
    power_off(&scratch, &node);
    assert!(before.iter().all(|pid| !lives(*pid)));

    node.restart();
    for name in ["one", "two"] {
        let _ = node.until_state(name, "running");
    }
    assert_eq!(node.agent("off").unwrap()["state"], "stopped");
    assert_eq!(node.inspect("one")["limitsInForce"]["memory"], "32Mi");
    let link = node.cli(["status", "--format", "json"]).ok().json()["link"].clone();
    assert_ne!(link, "connected");
}

/// Ends everything and takes away what does not survive a reboot.
fn power_off(scratch: &Scratch, node: &Node) {
    let monitors = processes_naming(&node.folder().join("run"));
    let kill = |pid: u32| {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::KILL);
    };
    monitors.into_iter().for_each(kill);
    scratch.contained().into_iter().for_each(kill);
    until("everything has ended", PATIENCE, || scratch.contained().is_empty().then_some(()));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    for point in points.filter(|point| point.starts_with(node.folder().to_str().unwrap())) {
        rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
    fs::remove_dir_all(node.folder().join("run")).unwrap();
}

fn processes_naming(folder: &std::path::Path) -> Vec<u32> {
    let needle = folder.to_str().unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(needle)
        })
        .collect()
}
