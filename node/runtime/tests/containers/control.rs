//! Stopping, killing, cleaning up, and running something beside the agent.

use std::process::{Command, Output};

use skerry_runtime::{Observation, clean, kill_all, observe, stop};

use crate::rig::{MONITOR, Rig, wait_for};

fn exec(rig: &Rig, timeout_ms: u32, args: &[&str]) -> Output {
    let mut command = Command::new(MONITOR);
    command.arg("exec").arg(rig.run_dir()).arg(timeout_ms.to_string()).args(args);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn stop_sends_the_signal_and_waits_for_an_orderly_end() {
    let mut rig =
        Rig::script("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done");
    rig.start();
    wait_for(|| rig.output().contains("ready").then_some(())).unwrap();
    stop(&rig.run_dir()).unwrap();
    let exit = rig.exit();
    assert_eq!((exit.code, exit.stop_requested), (Some(5), true));
    assert!(rig.output().ends_with("bye\n"));
}

#[test]
fn stop_kills_after_the_grace_period() {
    let mut rig = Rig::script("trap '' TERM; while :; do sleep 1000; done");
    rig.launch.stop.grace_ms = 100;
    rig.start();
    stop(&rig.run_dir()).unwrap();
    let exit = rig.exit();
    assert_eq!((exit.signal, exit.stop_requested, exit.oom_killed), (Some(9), true, false));
}

#[test]
fn kill_all_and_clean_leave_nothing() {
    let mut rig = Rig::script("sleep 1000 & sleep 1000 & sleep 1000");
    let state = rig.start();
    kill_all(&rig.run_dir()).unwrap();
    rig.exit();
    for folder in &state.cgroups {
        assert!(!folder.exists(), "{}", folder.display());
    }
    assert!(wait_for(|| clean(&rig.run_dir()).is_empty().then_some(())).is_some());
    assert!(!rig.run_dir().exists());
    assert_eq!(observe(&rig.run_dir()).unwrap(), Observation::Absent);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let id = rig.folder().file_name().unwrap().to_str().unwrap();
    assert!(!mounts.contains(id), "{mounts}");
}

#[test]
fn nothing_that_lives_is_cleaned_away() {
    let mut rig = Rig::script("sleep 1000");
    rig.start();
    let refused = clean(&rig.run_dir());
    assert_eq!(refused.len(), 1);
    assert!(refused[0].to_string().contains("still lives"), "{}", refused[0]);
    assert!(matches!(observe(&rig.run_dir()).unwrap(), Observation::Running(_)));
}

#[test]
fn a_run_folder_in_use_is_refused() {
    let mut rig = Rig::script("sleep 1000");
    rig.start();
    let again = skerry_runtime::spawn(MONITOR.as_ref(), &rig.run_dir(), &rig.launch).unwrap_err();
    assert!(again.to_string().contains("belongs to a monitor that lives"), "{again}");
}

#[test]
fn a_program_runs_beside_the_agent_and_its_code_comes_back() {
    let mut rig = Rig::script("sleep 1000");
    rig.start();
    let output = exec(&rig, 0, &["/bin/sh", "-c", "hostname; echo $GREETING; echo no >&2; exit 9"]);
    assert_eq!(output.status.code(), Some(9));
    assert_eq!(text(&output.stdout), "sample\nhello\n");
    assert_eq!(text(&output.stderr), "no\n");
}

#[test]
fn a_program_beside_the_agent_is_in_the_same_cage() {
    let mut rig = Rig::script("sleep 1000");
    rig.launch.limits.pids = Some(10);
    let state = rig.start();
    let script = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp:)' /proc/self/status; \
                  for n in pid mnt uts ipc net cgroup; do readlink /proc/1/ns/$n; readlink /proc/self/ns/$n; done; \
                  unshare -U true; touch /x";
    let output = exec(&rig, 0, &["sh", "-c", script]);
    let out = text(&output.stdout);
    for wanted in
        ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        assert!(out.contains(wanted), "{out}");
    }
    let namespaces: Vec<&str> = out.lines().skip(4).collect();
    assert_eq!(namespaces.len(), 12, "{out}");
    for pair in namespaces.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    let errors = text(&output.stderr);
    assert!(errors.contains("Operation not permitted") && errors.contains("Read-only"), "{errors}");
    // In the agent's control group: its number on the host is in the list while it runs.
    let mut beside = Command::new(MONITOR);
    beside.arg("exec").arg(rig.run_dir()).args(["0", "sleep", "1000"]);
    let mut beside = beside.spawn().unwrap();
    let procs = state.cgroups.iter().map(|folder| folder.join("cgroup.procs"));
    for file in procs {
        let both = || std::fs::read_to_string(&file).unwrap().lines().count() == 2;
        assert!(wait_for(|| both().then_some(())).is_some(), "{}", file.display());
    }
    beside.kill().unwrap();
    beside.wait().unwrap();
    // It dies with the one who asked for it.
    assert!(
        wait_for(|| (skerry_runtime::stats(&rig.run_dir()).unwrap().pids == 1).then_some(()))
            .is_some()
    );
}

#[test]
fn a_program_beside_the_agent_has_only_so_much_time() {
    let mut rig = Rig::script("sleep 1000");
    rig.start();
    let output = exec(&rig, 100, &["sh", "-c", "sleep 1000 & sleep 1000"]);
    assert_eq!(output.status.code(), Some(124));
}

#[test]
fn a_program_that_is_missing_beside_the_agent_is_named() {
    let mut rig = Rig::script("sleep 1000");
    rig.start();
    let output = exec(&rig, 0, &["no-such-program"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        text(&output.stderr).contains("no program 'no-such-program'"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn nothing_runs_beside_an_agent_that_has_ended() {
    let mut rig = Rig::script("exit 0");
    rig.run();
    let output = exec(&rig, 0, &["true"]);
    assert!(text(&output.stderr).contains("is not running"), "{}", text(&output.stderr));
}

#[test]
fn a_program_beside_the_agent_gets_a_terminal_of_the_container() {
    let mut rig = Rig::script("sleep 1000");
    rig.start();
    let script = "test -t 0 && test -t 1 && echo terminal; readlink /proc/self/fd/0; exit 6";
    let mut command = Command::new(MONITOR);
    command.arg("exec").arg(rig.run_dir()).args(["0", "sh", "-c", script]).env("SKERRY_TTY", "1");
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "terminal\r\n/dev/pts/0\r\n");
}
