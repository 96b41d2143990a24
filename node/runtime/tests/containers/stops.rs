//! What is run before the stop signal, and what becomes of it.

use skerry_runtime::stop;

use crate::rig::Rig;

fn with_pre_stop(script: &str, before: &str) -> Rig {
    let mut rig = Rig::script(script);
    rig.launch.stop.pre_stop = Some(["sh", "-c", before].map(str::to_owned).to_vec());
    rig
}

const WAITS: &str = "trap 'cat /tmp/before; exit 5' TERM; echo ready; while :; do sleep 0.05; done";

#[test]
fn it_runs_in_the_container_before_the_signal() {
    let mut rig = with_pre_stop(WAITS, "hostname > /tmp/before; echo chatter; exit 3");
    rig.start();
    rig.until_output("ready\n");
    stop(&rig.run_dir()).unwrap();
    // Twice is as once.
    let _ = stop(&rig.run_dir());
    let exit = rig.exit();
    assert_eq!(exit.code, Some(5), "{exit:?} {}", rig.said());
    assert_eq!((exit.pre_stop_code, exit.stop_requested), (Some(3), true));
    assert_eq!(rig.output(), "ready\nsample\n");
    assert_eq!(rig.said(), "", "what it says is nobody's");
}

#[test]
fn it_has_the_grace_period_and_no_more() {
    let mut rig = with_pre_stop(WAITS, "echo late > /tmp/before; sleep 1000");
    rig.launch.stop.grace_ms = 300;
    rig.start();
    rig.until_output("ready\n");
    stop(&rig.run_dir()).unwrap();
    let exit = rig.exit();
    // The agent still gets its signal, and a moment for it.
    assert_eq!((exit.code, exit.pre_stop_code), (Some(5), Some(124)), "{exit:?}");
    assert_eq!(rig.output(), "ready\nlate\n");
}

#[test]
fn an_agent_that_ignores_both_is_killed() {
    let mut rig = with_pre_stop("trap '' TERM; echo ready; while :; do sleep 1000; done", "exit 0");
    rig.launch.stop.grace_ms = 300;
    rig.start();
    rig.until_output("ready\n");
    stop(&rig.run_dir()).unwrap();
    let exit = rig.exit();
    assert_eq!((exit.signal, exit.pre_stop_code), (Some(9), Some(0)));
}

#[test]
fn one_that_cannot_be_run_stops_no_stop() {
    let mut rig = with_pre_stop(WAITS, "");
    rig.launch.stop.pre_stop = Some(vec!["no-such-program".into()]);
    rig.start();
    rig.until_output("ready\n");
    stop(&rig.run_dir()).unwrap();
    let exit = rig.exit();
    assert_eq!((exit.code, exit.pre_stop_code), (Some(5), Some(125)));
    assert!(rig.said().contains("no program 'no-such-program'"), "{}", rig.said());
}

#[test]
fn an_agent_that_ends_meanwhile_is_not_waited_for() {
    let mut rig = with_pre_stop(
        "while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 8",
        "touch /tmp/go; sleep 1000",
    );
    rig.launch.stop.grace_ms = 100_000;
    rig.start();
    stop(&rig.run_dir()).unwrap();
    let exit = rig.exit();
    assert_eq!((exit.code, exit.stop_requested), (Some(8), true));
}
