//! Own lists of system calls are kept, inside and beside the agent.

use serde_json::json;
use skerry_runtime::{Seccomp, User};

use crate::rig::Rig;

fn with_profile(script: &str, profile: serde_json::Value) -> Rig {
    let mut rig = Rig::script(script);
    rig.launch.seccomp = Seccomp::Profile(serde_json::from_value(profile).unwrap());
    rig
}

/// No folders, with an error of its own; no pipes with a name, with another; one mode is not set.
fn deny() -> serde_json::Value {
    let mode = json!([{"index": 2, "value": 0o777, "op": "SCMP_CMP_EQ"}]);
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
        {"names": ["mknod", "mknodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["umount2"], "action": "SCMP_ACT_KILL_PROCESS"},
        {"names": ["fchmodat"], "action": "SCMP_ACT_ERRNO", "args": mode},
    ]})
}

#[test]
fn calls_fail_with_the_errors_of_the_profile() {
    let mut rig = with_profile(
        "mkdir /tmp/x; mkfifo /tmp/y; echo alive; umount /tmp; echo $?; \
         grep Seccomp: /proc/self/status",
        deny(),
    );
    let state = rig.start();
    rig.exit();
    assert!(state.seccomp);
    assert_eq!(rig.output(), "alive\n159\nSeccomp:\t2\n", "{:?}", rig.log());
    let errors: Vec<String> = rig.log().into_iter().map(|(_, text)| text).collect();
    assert!(errors.iter().any(|text| text.contains("not supported")), "{errors:?}");
    assert!(errors.iter().any(|text| text.contains("No space left")), "{errors:?}");
}

#[test]
fn a_program_beside_the_agent_is_under_the_same_list() {
    let mut rig = with_profile("sleep 1000", deny());
    rig.start();
    let beside = rig.exec(&["mkdir", "/tmp/x"]);
    assert!(String::from_utf8_lossy(&beside.stderr).contains("not supported"));
}

#[test]
fn a_list_is_kept_without_the_promise_too() {
    let mut rig = with_profile(
        "mkdir /tmp/x || echo refused; grep -E '^(NoNewPrivs|CapPrm)' /proc/self/status",
        deny(),
    );
    rig.launch.no_new_privileges = false;
    rig.launch.user = User { uid: 5, gid: 5, additional_gids: vec![] };
    rig.run();
    let wanted = "refused\nCapPrm:\t0000000000000000\nNoNewPrivs:\t0\n";
    assert_eq!(rig.output(), wanted, "{:?}", rig.log());
}

#[test]
fn a_list_that_blocks_the_giving_up_of_rights_is_refused_without_the_promise() {
    let mut profile = deny();
    profile["syscalls"][0]["names"] = json!(["capset"]);
    let mut rig = with_profile("echo fine", profile);
    rig.launch.no_new_privileges = false;
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("must allow capset"), "{failure:?}");
    rig.launch.no_new_privileges = true;
    let mut again = Rig::script("echo fine");
    again.launch.seccomp = rig.launch.seccomp.clone();
    again.run();
    assert_eq!(again.output(), "fine\n");
}

#[test]
fn a_list_under_which_nothing_starts_is_refused() {
    let mut rig = with_profile("true", json!({"defaultAction": "SCMP_ACT_ERRNO"}));
    rig.spawn();
    let failure = rig.failure();
    assert!(failure.message.contains("forbids execve"), "{failure:?}");
    assert_eq!(failure.operation, "prepare what the agent may do");
}
