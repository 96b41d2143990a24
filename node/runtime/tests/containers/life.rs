//! From start to end: exit codes, records, failing, surviving the one who asked.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use skerry_runtime::{Observation, observe};

use crate::rig::{MONITOR, Rig, wait_for};

#[test]
fn an_exit_code_of_zero_is_recorded() {
    let mut rig = Rig::script("echo out; echo err >&2");
    let exit = rig.run();
    assert_eq!((exit.code, exit.signal), (Some(0), None), "{}", rig.said());
    assert_eq!(exit.instance, "sha256:1");
    assert!(exit.started_at_ms <= exit.finished_at_ms);
    let lines = rig.log();
    assert!(lines.contains(&("stdout".to_owned(), "out".to_owned())), "{lines:?}");
    assert!(lines.contains(&("stderr".to_owned(), "err".to_owned())), "{lines:?}");
    assert_eq!(rig.said(), "");
}

#[test]
fn an_exit_code_of_three_is_recorded() {
    assert_eq!(Rig::script("exit 3").run().code, Some(3));
}

#[test]
fn the_signal_that_ended_an_agent_is_recorded() {
    let mut rig = Rig::script("echo ready; sleep 1000");
    rig.start();
    skerry_runtime::signal(&rig.run_dir(), 9).unwrap();
    let exit = rig.exit();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert!(!exit.oom_killed);
}

#[test]
fn an_agent_that_ends_at_once_is_recorded_every_time() {
    for _ in 0..10 {
        assert_eq!(Rig::program(&["/bin/true"]).run().code, Some(0));
    }
}

#[test]
fn an_image_that_is_missing_is_named() {
    let mut rig = Rig::program(&["/bin/true"]);
    rig.launch.lowers = vec!["/nonexistent/layer".into()];
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("image layer /nonexistent/layer is missing"), "{failure:?}");
    assert_eq!(failure.errno, Some(2));
    assert_eq!(failure.instance.as_deref(), Some("sha256:1"));
}

#[test]
fn a_program_that_is_missing_is_named() {
    let mut rig = Rig::program(&["no-such-program"]);
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("there is no program 'no-such-program'"), "{failure:?}");
}

#[test]
fn a_program_in_an_unknown_format_is_named() {
    let mut rig = Rig::program(&["/bin/garbage"]);
    let garbage = rig.folder().join("image/bin/garbage");
    std::fs::write(&garbage, "\x01\x02garbage").unwrap();
    std::fs::set_permissions(&garbage, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("cannot run /bin/garbage"), "{failure:?}");
    assert_eq!(failure.errno, Some(8));
}

#[test]
fn a_working_folder_that_is_missing_is_a_failure() {
    let mut rig = Rig::program(&["/bin/true"]);
    rig.launch.cwd = "/no/such/folder".into();
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("failed to chdir (e: ENOENT)"), "{failure:?}");
}

/// The node is a program of its own here, and is killed while its agent runs.
fn start_from_a_node_that_is_killed(rig: &Rig) {
    let launch = rig.folder().join("wanted.json");
    std::fs::write(&launch, serde_json::to_vec(&rig.launch).unwrap()).unwrap();
    let mut node = Command::new(MONITOR)
        .arg("spawn")
        .arg(rig.run_dir())
        .arg(&launch)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let running = wait_for(|| match observe(&rig.run_dir()).unwrap() {
        Observation::Running(state) => Some(state),
        _ => None,
    });
    assert!(running.is_some(), "{}", rig.said());
    node.kill().unwrap();
    node.wait().unwrap();
}

#[test]
fn agents_outlive_the_one_who_asked_and_their_end_is_known() {
    let rig = Rig::script("while [ ! -e /tmp/go ]; do sleep 0.01; done; echo done; exit 7");
    start_from_a_node_that_is_killed(&rig);
    assert!(matches!(observe(&rig.run_dir()).unwrap(), Observation::Running(_)));
    let mut touch = Command::new(MONITOR);
    touch.arg("exec").arg(rig.run_dir()).args(["0", "touch", "/tmp/go"]);
    assert!(touch.status().unwrap().success());
    assert_eq!(rig.exit().code, Some(7));
    assert_eq!(rig.output(), "done\n");
}

#[test]
fn a_monitor_that_is_killed_leaves_its_agent_lost_but_seen() {
    let mut rig = Rig::script("sleep 1000");
    let state = rig.start();
    let monitor = rustix::process::Pid::from_raw(state.monitor.pid).unwrap();
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).unwrap();
    let lost = wait_for(|| match observe(&rig.run_dir()).unwrap() {
        Observation::Lost { state: Some(_), init_lives } => Some(init_lives),
        _ => None,
    });
    assert_eq!(lost, Some(true));
    skerry_runtime::kill_all(&rig.run_dir()).unwrap();
    let gone = wait_for(|| match observe(&rig.run_dir()).unwrap() {
        Observation::Lost { init_lives: false, .. } => Some(()),
        _ => None,
    });
    assert!(gone.is_some());
    assert!(skerry_runtime::clean(&rig.run_dir()).is_empty());
}

#[test]
fn a_folder_without_a_run_is_absent() {
    assert_eq!(observe(Path::new("/run/skerry-no-such-folder")).unwrap(), Observation::Absent);
}

#[test]
fn the_monitor_is_collected_when_it_has_ended() {
    let mut rig = Rig::program(&["/bin/true"]);
    rig.run();
    let monitor = rig.monitor.as_mut().unwrap();
    let timeout = rustix::event::Timespec::try_from(Duration::from_secs(20)).unwrap();
    let mut fds = [rustix::event::PollFd::new(&monitor.pidfd, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut fds, Some(&timeout)).unwrap(), 1);
    assert!(monitor.collect().unwrap());
}
