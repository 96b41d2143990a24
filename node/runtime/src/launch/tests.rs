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
    assert_eq!(launch.stop, Stop { signal: 15, grace_ms: 10_000 });
}

#[test]
fn a_field_nobody_knows_is_not_ignored() {
    let mut value = serde_json::to_value(launch()).unwrap();
    value["privileged"] = true.into();
    assert!(serde_json::from_value::<Launch>(value).is_err());
}

#[test]
fn a_newer_format_is_refused() {
    assert!(refusal(|launch| launch.format = 2).contains("format 2"));
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
