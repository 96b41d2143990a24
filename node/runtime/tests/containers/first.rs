//! The first process of an agent that wants one: invisible to whoever looks at how the agent ends.

use skerry_runtime::{Seccomp, User, stop};

use crate::rig::{Rig, wait_for};

fn with_first(script: &str) -> Rig {
    let mut rig = Rig::script(script);
    rig.launch.init = true;
    rig
}

#[test]
fn the_program_is_not_the_first_process_and_ends_as_ever() {
    let mut rig = with_first("cat /proc/1/comm; test $$ -ne 1 && echo second; exit 7");
    let exit = rig.run();
    assert_eq!((exit.code, exit.signal), (Some(7), None), "{}", rig.said());
    assert_eq!(rig.output(), "init\nsecond\n");
}

#[test]
fn the_signal_that_ended_the_program_is_recorded_as_one() {
    let exit = with_first("kill -9 $$").run();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    let exit = with_first("exit 137").run();
    assert_eq!((exit.code, exit.signal), (Some(137), None));
}

#[test]
fn orphans_are_collected() {
    // The shell's child leaves a child of its own behind, which ends as the first process's.
    let mut rig = with_first("sh -c 'sh -c \"exit 3\" & echo $!' ; sleep 1000");
    rig.start();
    let orphan = wait_for(|| rig.output().trim().parse::<u32>().ok()).unwrap();
    let gone = wait_for(|| {
        let seen = rig.exec(&["ls", &format!("/proc/{orphan}")]);
        (!seen.status.success()).then_some(())
    });
    assert!(gone.is_some());
}

#[test]
fn signals_reach_the_program() {
    let mut rig =
        with_first("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done");
    rig.start();
    rig.until_output("ready\n");
    stop(&rig.run_dir()).unwrap();
    let exit = rig.exit();
    assert_eq!((exit.code, exit.stop_requested), (Some(5), true));
    assert!(rig.output().ends_with("bye\n"));
}

#[test]
fn a_real_time_signal_reaches_the_program_whatever_user_it_is() {
    // A first process itself would not even notice it.
    let mut rig = with_first("echo ready; sleep 1000");
    rig.launch.user = User { uid: 1000, gid: 1000, additional_gids: vec![] };
    rig.start();
    rig.until_output("ready\n");
    skerry_runtime::signal(&rig.run_dir(), 37).unwrap();
    assert_eq!(rig.exit().signal, Some(37), "{:?}", rig.log());
}

#[test]
fn the_end_of_the_first_process_by_force_is_a_signal() {
    let mut rig = with_first("sleep 1000");
    rig.start();
    skerry_runtime::signal(&rig.run_dir(), 9).unwrap();
    assert_eq!(rig.exit().signal, Some(9));
}

#[test]
fn a_program_that_is_missing_is_named_all_the_same() {
    let mut rig = with_first("true");
    rig.launch.args = vec!["no-such-program".into()];
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("there is no program 'no-such-program'"), "{failure:?}");
}

#[test]
fn the_agent_cannot_reach_the_first_process() {
    // Root of the container, without a filter: only the process itself is in the way.
    let mut rig = with_first(
        "readlink /proc/1/exe || echo unseen; (: >> /proc/1/exe) 2>/dev/null || echo unwritten; \
         cat /proc/1/environ 2>/dev/null | wc -c; readlink /proc/1/fd/* 2>/dev/null | wc -l; \
         grep -E '^(CapEff|CapPrm)' /proc/1/status; grep CapEff /proc/self/status",
    );
    rig.launch.seccomp = Seccomp::Unconfined;
    rig.run();
    let kill_only = "0000000000000020";
    let wanted = format!(
        "unseen\nunwritten\n0\n0\nCapPrm:\t{kill_only}\nCapEff:\t{kill_only}\n\
         CapEff:\t0000000000000000\n"
    );
    assert_eq!(rig.output(), wanted, "{:?}", rig.log());
}

#[test]
fn no_descriptor_leaks_past_the_first_process() {
    let mut rig = with_first("ls /proc/self/fd | wc -l; ls -l /proc/self/fd");
    rig.run();
    assert!(rig.output().starts_with("4\n"), "{}", rig.output());
}
