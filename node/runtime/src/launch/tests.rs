//! Which launches are refused, and that the reason names the field.

use super::*;

fn launch() -> Launch {
    let text = r#"{"format":1,"agent":"a","instance":"i","lowers":["/l"],"args":["x"],
        "hostname":"h","cgroup":"/skerry/a","log":{"dir":"/log","max_bytes":1000000,"files":2}}"#;
    serde_json::from_str(text).unwrap()
}

fn refusal(change: impl FnOnce(&mut Launch)) -> String {
    let mut launch = launch();
    change(&mut launch);
    launch.check().unwrap_err().to_string()
}

#[test]
fn what_is_left_out_is_the_safe_choice() {
    let launch = launch();
    assert!(launch.check().is_ok());
    assert!(launch.read_only_root);
    assert!(launch.capabilities.is_empty());
    assert_eq!(launch.seccomp, Seccomp::Default);
    assert_eq!(launch.stop, Stop { signal: 15, grace_ms: 10_000, pre_stop: None });
}

#[test]
fn a_field_nobody_knows_is_not_ignored() {
    let mut value = serde_json::to_value(launch()).unwrap();
    value["unheard_of"] = true.into();
    assert!(serde_json::from_value::<Launch>(value).is_err());
}

#[test]
fn a_newer_format_is_refused() {
    assert!(refusal(|launch| launch.format = 3).contains("format 3"));
}

#[test]
fn paths_that_could_lead_elsewhere_are_refused() {
    for path in ["relative", "/a/../b", ""] {
        assert!(refusal(|launch| launch.cgroup = path.into()).contains("cgroup"), "{path}");
        assert!(refusal(|launch| launch.lowers = vec![path.into()]).contains("lowers"), "{path}");
    }
    assert!(refusal(|launch| launch.cgroup = "/".into()).contains("root of the hierarchy"));
}

#[test]
fn values_the_kernel_cannot_take_are_refused() {
    assert!(refusal(|launch| launch.args.clear()).contains("args"));
    assert!(refusal(|launch| launch.args = vec!["a\0b".into()]).contains("NUL"));
    assert!(refusal(|launch| launch.env = vec!["NOVALUE".into()]).contains("KEY=value"));
    assert!(refusal(|launch| launch.limits.cpu_millis = Some(9)).contains("cpu_millis"));
    assert!(refusal(|launch| launch.limits.memory_bytes = Some(1)).contains("memory_bytes"));
    assert!(refusal(|launch| launch.limits.pids = Some(0)).contains("pids"));
    assert!(refusal(|launch| launch.log.files = 0).contains("log"));
    assert!(refusal(|launch| launch.stop.signal = 65).contains("signal"));
}

/// A refusal of what JSON adds to the launch.
fn refusal_of(fields: serde_json::Value) -> String {
    let mut value = serde_json::to_value(launch()).unwrap();
    for (key, field) in fields.as_object().unwrap() {
        value[key] = field.clone();
    }
    match serde_json::from_value::<Launch>(value) {
        Ok(launch) => launch.check().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    use serde_json::json;
    let volume = |target: &str| json!({"volumes": [{"tmpfs": {"target": target}}]});
    for (fields, wanted) in [
        (json!({"limits": {"swap_bytes": 1}}), "limits.swap_bytes needs memory_bytes"),
        (json!({"limits": {"cpu_weight": 0}}), "limits.cpu_weight is not from 1 to 10000"),
        (json!({"limits": {"io_weight": {"value": 10001}}}), "limits.io_weight is not from"),
        (json!({"limits": {"cpuset": "3-1"}}), "limits.cpuset '3-1' is no list"),
        (json!({"limits": {"cpuset": "0,"}}), "limits.cpuset '0,' is no list"),
        (json!({"limits": {"io_devices": [{"path": "/dev/x"}]}}), "/dev/x has no limit"),
        (json!({"rlimits": {"nofiles": {"soft": 1, "hard": 1}}}), "'nofiles' is none of as, core"),
        (json!({"rlimits": {"core": {"soft": 2, "hard": 1}}}), "core: the soft limit is above"),
        (json!({"log": {"dir": "/l", "max_bytes": 70000, "files": 1, "rate_limit": 1}}), "128"),
        (json!({"stop": {"signal": 1, "grace_ms": 1, "pre_stop": []}}), "stop.pre_stop is empty"),
        (json!({"oom_score_adj": 1001}), "oom_score_adj 1001 is not from 0 to 1000"),
        (volume("/proc/self"), "volumes /proc/self must stay what it is"),
        (volume("/dev"), "volumes /dev must stay"),
        (volume("/a/../b"), "not an absolute path"),
        (json!({"volumes": [{"files": {"target": "/f", "files": {"a/b": "/x"}}}]}), "no name"),
        (json!({"devices": [{"path": "/dev/x", "read": false, "write": false}]}), "even be read"),
        (json!({"devices": [{"path": "/x", "read": true, "write": true}]}), "not below /dev"),
        (json!({"sysctls": {"kernel.panic": "1"}}), "'kernel.panic' is not of a namespace"),
        (json!({"sysctls": {"net..x": "1"}}), "'net..x' is no name"),
        (json!({"sysctls": {"net.core.somaxconn": "1"}, "network": "host"}), "host's network"),
        (json!({"network": {"join": "x"}}), "network 'x' is not an absolute path"),
    ] {
        let refused = refusal_of(fields.clone());
        assert!(refused.contains(wanted), "{fields}: {refused}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    use serde_json::json;
    let ids = json!({"uid_start": 100_000, "gid_start": 100_000, "count": 1000});
    let profile = json!({"profile": {"defaultAction": "SCMP_ACT_ALLOW"}});
    let twice = json!([{"tmpfs": {"target": "/a"}}, {"tmpfs": {"target": "/a"}}]);
    for (fields, wanted) in [
        (json!({"volumes": twice}), "name /a twice"),
        (json!({"privileged": true, "seccomp": profile}), "privileged excludes"),
        (json!({"privileged": true, "user_namespace": ids}), "user_namespace excludes privileged"),
        (json!({"ipc": {"join": "/x"}, "user_namespace": ids}), "cannot join"),
        (json!({"user": {"uid": 1000, "gid": 0}, "user_namespace": ids}), "has no id 1000"),
    ] {
        let refused = refusal_of(fields.clone());
        assert!(refused.contains(wanted), "{fields}: {refused}");
    }
}

#[test]
fn words_of_a_profile_that_cannot_be_kept_are_refused() {
    use serde_json::json;
    let of = |profile| refusal_of(json!({"seccomp": {"profile": profile}}));
    assert!(of(json!({"defaultAction": "SCMP_ACT_NOTIFY"})).contains("SCMP_ACT_NOTIFY"));
    let listener = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"});
    assert!(of(listener).contains("listenerPath"));
    let rule = json!({"names": ["read"], "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]});
    let refused = of(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}));
    assert!(refused.contains("an argument of read that there is not"), "{refused}");
    let errno = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000});
    assert!(of(errno).contains("an error above 4095"));
}

#[test]
fn lists_of_processors_are_read_as_the_kernel_reads_them() {
    assert_eq!(limits::processors("0-2,5,1"), Some(vec![0, 1, 2, 5]));
    for list in ["", "a", "1-", "-1", "1,,2", "+1", "9999"] {
        assert_eq!(limits::processors(list), None, "{list}");
    }
}

#[test]
fn variables_of_a_file_go_before_others_and_stand_in_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("handed.env");
    std::fs::write(&file, "WORD=hush\0LINES=a\nb\0").unwrap();
    let mut launch = launch();
    launch.env = vec!["WORD=plain".into(), "OTHER=1".into()];
    launch.env_file = Some(file.clone());
    assert!(launch.check().is_ok());
    let whole = launch.with_env_file().unwrap();
    assert_eq!(whole.env, ["OTHER=1", "WORD=hush", "LINES=a\nb"]);
    assert!(!serde_json::to_string(&launch).unwrap().contains("hush"));
    std::fs::write(&file, "no value\0").unwrap();
    assert!(launch.with_env_file().is_err());
}
