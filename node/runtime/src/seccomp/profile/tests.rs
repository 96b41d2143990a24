//! What profiles come to. That the kernel keeps them is shown in `tests/containers/filters.rs`.

use serde_json::json;

use super::*;

fn profile(value: serde_json::Value) -> Profile {
    serde_json::from_value(value).unwrap()
}

fn refusal(value: serde_json::Value) -> String {
    filter(&profile(value)).unwrap_err().to_string()
}

#[test]
fn a_profile_as_docker_writes_it_is_understood() {
    let rules = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
            {"names": ["read", "write", "execve", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 2_114_060_288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
        ],
    });
    let (_, architecture) = target().unwrap();
    let program = filter(&profile(rules)).unwrap();
    let number = |name| numbers(target().unwrap().0).unwrap().find(|(n, _)| *n == name).unwrap().1;
    for (name, allowed) in [("read", true), ("clone", true), ("mount", false), ("keyctl", false)] {
        assert_eq!(compile::allows(&program, architecture, number(name)), allowed, "{name}");
    }
}

#[test]
fn calls_that_the_default_filter_never_allows_can_be_named_too() {
    let rules = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["keyctl", "io_uring_setup"], "action": "SCMP_ACT_KILL_PROCESS"}]});
    let (column, architecture) = target().unwrap();
    let program = filter(&profile(rules)).unwrap();
    for (name, number) in numbers(column).unwrap() {
        let forbidden = ["keyctl", "io_uring_setup"].contains(&name);
        assert_eq!(compile::allows(&program, architecture, number), !forbidden, "{name}");
    }
}

#[test]
fn what_has_no_exact_meaning_is_refused() {
    let equal = json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]);
    let refused = refusal(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["mkdirat"], "action": "SCMP_ACT_KILL", "args": equal}]}));
    assert!(refused.contains("'mkdirat' say different things"), "{refused}");
    let refused = refusal(json!({"defaultAction": "SCMP_ACT_ERRNO"}));
    assert!(refused.contains("execve"), "{refused}");
}

#[test]
fn a_filter_longer_than_the_kernel_takes_is_refused() {
    let rule = |value: u32| {
        json!({"names": ["ioctl"], "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 1, "value": value, "op": "SCMP_CMP_EQ"}]})
    };
    let rules: Vec<_> = (0..1000).map(rule).collect();
    let refused = refusal(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    assert!(refused.contains("instructions"), "{refused}");
}
