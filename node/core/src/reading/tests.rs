use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::agent::AgentSpec;
use crate::document::Document;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct Outer {
    name: String,
    #[serde(default)]
    list: Vec<Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct Inner {
    port: u16,
    #[serde(default)]
    kind: Option<Kind>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Small,
    Large,
}

fn told(json: &str) -> String {
    read::<Outer>(json.as_bytes()).unwrap_err().to_string()
}

#[test]
fn the_path_and_plain_words_are_told() {
    for (json, expected) in [
        (r#"{"name":"a","lst":[]}"#, "lst: there is no field 'lst'; did you mean 'list'?"),
        (r#"{"name":"a","else":1}"#, "else: there is no field 'else'; known are name, list"),
        (
            r#"{"name":"a","list":[{"port":1},{"port":70000}]}"#,
            "list[1].port: must be u16, not integer `70000`",
        ),
        (
            r#"{"name":"a","list":[{"port":1},{"prt":1}]}"#,
            "list[1].prt: there is no field 'prt'; did you mean 'port'?",
        ),
        (r#"{"name":"a","list":[{}]}"#, "list[0]: the field 'port' is missing"),
        (
            r#"{"name":"a","list":[{"port":1,"kind":"larg"}]}"#,
            "list[0].kind: 'larg' is none of small, large; did you mean large?",
        ),
        (r#"{"name":7}"#, "name: must be a string, not integer `7`; put it into quotes"),
        (r#"{"name":"a","name":"b"}"#, "name: the field 'name' stands here twice"),
        (
            "{\n \"name\": \"a\",\n \"list\": [\n  {\"port\": true}]}",
            "list[0].port: must be u16, not boolean `true`",
        ),
        (r#"{"name":"a","list":{}}"#, "list: must be a sequence, not map"),
        (r#"{}"#, "the field 'name' is missing"),
        (r#"{"name":"a"} {}"#, "is not JSON: trailing characters, in line 1, column 14"),
    ] {
        assert_eq!(told(json), expected, "{json}");
    }
    assert!(told("").starts_with("is not JSON: EOF"));
}

/// Types that are written as a text must refuse where they stand, not one step later.
#[test]
fn the_last_field_of_a_map_is_told_too() {
    for (json, path) in [
        (r#"{"image":"x","name":"A_b"}"#, "image"),
        (r#"{"name":"A_b"}"#, "name"),
        (r#"{"name":"a","restart":"sometimes"}"#, "restart"),
        (r#"{"name":"a","volumes":[{"mode":"9"}]}"#, "volumes[0].mode"),
        (r#"{"name":"a","resources":{"limits":{"cpuset":"x"}}}"#, "resources.limits.cpuset"),
        (r#"{"name":"a","resources":{"limits":{"memory":"x"}}}"#, "resources.limits.memory"),
        (r#"{"name":"a","dependsOn":{"B_":"started"}}"#, "dependsOn.B_"),
        (r#"{"name":"a","env":{"A":{"from":"x"}}}"#, "env.A.from"),
        (r#"{"name":"a","env":{"A":{"from":"secret"}}}"#, "env.A"),
        (r#"{"name":"a","stop":{"signal":"x"}}"#, "stop.signal"),
        (
            r#"{"name":"a","healthCheck":{"http":{"port":1,"status":"x"}}}"#,
            "healthCheck.http.status",
        ),
        (
            r#"{"name":"a","security":{"devices":[{"path":"/","permissions":"x"}]}}"#,
            "security.devices[0].permissions",
        ),
        (r#"{"name":"a","security":{"seccomp":"x"}}"#, "security.seccomp"),
    ] {
        let error = read::<AgentSpec>(json.as_bytes()).unwrap_err();
        assert_eq!(error.path, path, "{json}: {error}");
    }
}

#[test]
fn what_other_tools_call_it_leads_to_what_it_is_called_here() {
    let told = |field: &str| {
        let json = format!(r#"{{"name":"a","{field}":1}}"#);
        read::<AgentSpec>(json.as_bytes()).unwrap_err().problem
    };
    for (field, expected) in [
        ("ports", "do not exist yet"),
        ("networks", "network: { mode: host }"),
        ("environment", "env: {"),
        ("environment_file", "envFile"),
        ("deploy", "replicas"),
        ("mem_limit", "limits: { memory: 64Mi"),
        ("cpus", "limits"),
        ("livenessProbe", "healthCheck"),
        ("readinessProbe", "readiness"),
        ("startupProbe", "startup"),
        ("securityContext", "security"),
        ("containers", "agents:"),
        ("volumeMounts", "volumes: ["),
        ("imagePullPolicy", "image import"),
        ("cron", "job: { schedule"),
        ("restart_policy", "on-failure"),
        // In other letters it is only a slip.
        ("healthcheck", "did you mean 'healthCheck'?"),
        ("depends_on", "did you mean 'dependsOn'?"),
        ("env_file", "did you mean 'envFile'?"),
    ] {
        assert!(told(field).contains(expected), "{field}: {}", told(field));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read::<Document>(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(at in 0usize..400, byte: u8) {
        let mut bytes = serde_json::to_vec(&serde_json::json!({
            "apiVersion": "skerry/v1", "version": 1, "audience": {"node": "a"},
            "configs": {"c": {"k\\\"\u{e9}": "v"}},
            "agents": [{"name": "a", "image": "x", "env": {"A": {"from": "secret"}},
                "volumes": [{"type": "tmpfs", "target": "/t"}, {"type": "bind"}]}],
        })).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read::<Document>(&bytes);
        let _ = read::<Document>(&bytes[..at]);
    }
}
