//! Each field: it is read, written, and changes the digests that it must.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::agent::AgentSpec;
use crate::ids::Digest;

/// A field, whether it can be changed while its agent runs, and values that differ in everything
/// that can be said below it.
struct Field {
    name: &'static str,
    live: bool,
    values: Vec<Value>,
}

fn made_from(name: &'static str, values: Value) -> Field {
    let Value::Array(values) = values else { panic!("{name}: not a list") };
    Field { name, live: false, values }
}

fn live(name: &'static str, values: Value) -> Field {
    Field { live: true, ..made_from(name, values) }
}

fn probes(also: Value) -> Value {
    let mut all = json!([
        {"tcp": {"port": 1}}, {"tcp": {"port": 2}}, {"command": ["a"]}, {"command": ["a", "b"]},
        {"http": {"port": 1}}, {"http": {"port": 2}}, {"http": {"port": 1, "path": "/x"}},
        {"http": {"port": 1, "scheme": "https"}}, {"http": {"port": 1, "status": "200"}},
        {"http": {"port": 1, "status": "200-299"}}, {"http": {"port": 1, "headers": {"A": "b"}}},
        {"http": {"port": 1, "headers": {"A": "c"}}},
        {"file": {"path": "/a"}}, {"file": {"path": "/b"}}, {"file": {"path": "/a", "maxAge": "1s"}},
        {"tcp": {"port": 1}, "interval": "1s"}, {"tcp": {"port": 1}, "timeout": "1s"},
        {"tcp": {"port": 1}, "retries": 1}, {"tcp": {"port": 1}, "startPeriod": "1s"},
    ]);
    all.as_array_mut().unwrap().extend(also.as_array().unwrap().clone());
    all
}

fn resources() -> Value {
    let device = |more: Value| {
        let mut device = json!({"path": "/dev/a"});
        device.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"limits": {"io": {"devices": [device]}}})
    };
    json!([
        {"tier": "small"}, {"requests": {"memory": "1Mi"}}, {"requests": {"cpu": "10m"}},
        {"limits": {"memory": "64Mi"}}, {"limits": {"memory": "65Mi"}},
        {"limits": {"memory": "64Mi", "swap": "0"}}, {"limits": {"memory": "64Mi", "swap": "1Mi"}},
        {"limits": {"cpu": "500m"}}, {"limits": {"pids": 5}}, {"limits": {"cpuset": "0-1,3"}},
        {"limits": {"io": {"weight": 10}}},
        device(json!({"readBps": "1Mi"})), device(json!({"writeBps": "1Mi"})),
        device(json!({"readIops": 1})), device(json!({"writeIops": 1})),
    ])
}

fn env() -> Value {
    json!([
        {"A": ""}, {"A": "b"}, {"B": "b"},
        {"A": {"from": "config", "name": "c", "key": "k"}},
        {"A": {"from": "secret", "name": "c", "key": "k"}},
        {"A": {"from": "config", "name": "d", "key": "k"}},
        {"A": {"from": "config", "name": "c", "key": "l"}},
        {"A": {"from": "config", "name": "c", "key": "k", "optional": true}},
    ])
}

fn env_files() -> Value {
    json!([
        [{"from": "config", "name": "c", "key": "k"}],
        [{"from": "secret", "name": "c", "key": "k"}],
        [{"from": "config", "name": "d", "key": "k"}],
        [{"from": "config", "name": "c", "key": "l"}],
        [{"from": "config", "name": "c", "key": "k", "optional": true}],
    ])
}

fn volumes() -> Value {
    json!([
        [{"type": "bind", "source": "/a", "target": "/b"}],
        [{"type": "bind", "source": "/b", "target": "/b"}],
        [{"type": "bind", "source": "/a", "target": "/c"}],
        [{"type": "bind", "source": "/a", "target": "/b", "readOnly": true}],
        [{"type": "bind", "source": "/a", "target": "/b", "propagation": "rslave"}],
        [{"type": "bind", "source": "/a", "target": "/b", "propagation": "rprivate"}],
        [{"type": "bind", "source": "/a", "target": "/b", "propagation": "rshared"}],
        [{"type": "bind", "source": "/a", "target": "/b", "create": true}],
        [{"type": "volume", "source": "a", "target": "/b"}],
        [{"type": "volume", "source": "a", "target": "/b", "size": "1Mi"}],
        [{"type": "tmpfs", "target": "/b"}], [{"type": "tmpfs", "target": "/b", "uid": 1}],
        [{"type": "tmpfs", "target": "/b", "gid": 1}], [{"type": "tmpfs", "target": "/b", "mode": "0700"}],
        [{"type": "config", "source": "a", "target": "/b"}],
        [{"type": "secret", "source": "a", "target": "/b"}],
        [{"type": "tmpfs", "target": "/b"}, {"type": "tmpfs", "target": "/c"}],
    ])
}

fn security() -> Value {
    let profile =
        |rule: Value| json!({"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}});
    let with =
        |arg: Value| profile(json!({"names": ["a"], "action": "SCMP_ACT_ERRNO", "args": [arg]}));
    json!([
        {"runAsUser": 0}, {"runAsUser": 1}, {"runAsUser": 1, "runAsGroup": 1}, {"supplementalGroups": [1]},
        {"readOnlyRootFilesystem": false}, {"readOnlyRootFilesystem": true},
        {"capabilities": {"add": ["NET_RAW"]}}, {"capabilities": {"drop": ["ALL"]}},
        {"noNewPrivileges": false}, {"noNewPrivileges": true}, {"seccomp": "unconfined"},
        {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}},
        {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 2}},
        {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"]}},
        profile(json!({"names": ["a"], "action": "SCMP_ACT_ALLOW"})),
        profile(json!({"names": ["a", "b"], "action": "SCMP_ACT_ALLOW"})),
        profile(json!({"names": ["a"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2})),
        with(json!({"index": 0, "value": 1, "op": "SCMP_CMP_EQ"})),
        with(json!({"index": 1, "value": 1, "op": "SCMP_CMP_EQ"})),
        with(json!({"index": 0, "value": 2, "op": "SCMP_CMP_EQ"})),
        with(json!({"index": 0, "value": 1, "op": "SCMP_CMP_NE"})),
        with(json!({"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"})),
        {"userNamespace": true}, {"maskedPaths": []}, {"maskedPaths": ["/a"]}, {"readonlyPaths": ["/a"]},
        {"devices": [{"path": "/dev/a"}]}, {"devices": [{"path": "/dev/a", "target": "/dev/b"}]},
        {"devices": [{"path": "/dev/a", "permissions": "r"}]},
        {"devices": [{"path": "/dev/a", "permissions": "rwm"}]}, {"privileged": true},
        {"sysctls": {"net.a": "1"}}, {"sysctls": {"net.a": "2"}},
        {"rlimits": {"nofile": {"soft": 1, "hard": 2}}}, {"rlimits": {"nofile": {"soft": 2, "hard": 2}}},
        {"rlimits": {"core": {"soft": 1, "hard": 2}}},
    ])
}

/// All of them. `the_list_is_complete` holds it against the spec.
fn fields() -> Vec<Field> {
    vec![
        made_from("name", json!(["a", "b"])),
        made_from("image", json!([Digest::of(b"x"), Digest::of(b"y")])),
        made_from("command", json!([["a"], ["a", "b"]])),
        made_from("args", json!([[], ["a"], ["a", "b"]])),
        made_from("workdir", json!(["/", "/a"])),
        made_from("user", json!(["1", "1:2", "app:www"])),
        made_from("hostname", json!(["h", "i"])),
        live("labels", json!([{"a": "b"}, {"a": "c"}])),
        live("nodeSelector", json!([{"a": "b"}, {"a": "c"}])),
        live("annotations", json!([{"a": "b"}, {"a": "c"}])),
        made_from("env", env()),
        made_from("envFile", env_files()),
        made_from("volumes", volumes()),
        live("resources", resources()),
        made_from("priority", json!(["low", "high", "critical"])),
        live("restart", json!(["always", "unless-stopped", "on-failure", "on-failure:3", "never"])),
        live("restartBackoff", json!([{"initial": "1s"}, {"max": "1m"}, {"resetAfter": "1s"}])),
        live(
            "healthCheck",
            probes(json!([
                {"tcp": {"port": 1}, "onUnhealthy": "report"},
                {"tcp": {"port": 1}, "onUnhealthy": "restart"},
            ])),
        ),
        live("readiness", probes(json!([]))),
        live("startup", probes(json!([]))),
        live(
            "dependsOn",
            json!([{"b": "started"}, {"b": "healthy"}, {"b": "completed"}, {"c": "started"}]),
        ),
        made_from(
            "stop",
            json!([{"grace": "1s"}, {"signal": "SIGINT"}, {"preStop": {"command": ["a"]}},
                {"preStop": {"command": ["b"]}}]),
        ),
        made_from("init", json!([true])),
        live("replicas", json!([0, 1, 2])),
        made_from("pod", json!(["p", "q"])),
        live(
            "job",
            json!([
                {}, {"schedule": "@daily"}, {"schedule": "@every 1m"}, {"retries": 1}, {"deadline": "1m"},
                {"schedule": "@daily", "timeZone": "Europe/Berlin"}, {"history": 6},
                {"schedule": "@daily", "concurrency": "allow"},
                {"schedule": "@daily", "concurrency": "replace"},
            ]),
        ),
        made_from("security", security()),
        made_from("logging", json!([{"maxSize": "1Mi"}, {"maxFiles": 2}, {"rateLimit": "1Mi"}])),
        made_from("network", json!([{"mode": "host"}])),
    ]
}

fn spec_of(parts: &[(&str, &Value)]) -> AgentSpec {
    let mut object = json!({"name": "n", "image": Digest::of(b"n")});
    for (name, value) in parts {
        object[*name] = (*value).clone();
    }
    crate::reading::read(object.to_string().as_bytes()).unwrap_or_else(|e| panic!("{object}: {e}"))
}

/// Every key below a value.
fn keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            keys(value, into);
        }),
        Value::Array(items) => items.iter().for_each(|item| keys(item, into)),
        _ => {}
    }
}

#[test]
fn the_list_is_complete() {
    let (mut listed, mut known) = (BTreeSet::new(), BTreeSet::new());
    for field in fields() {
        listed.insert(field.name.to_owned());
        field.values.iter().for_each(|value| keys(value, &mut listed));
    }
    crate::schema::properties(&crate::schema::agent(), &mut known);
    // Another way to write a text.
    known.remove("value");
    let missing: Vec<_> = known.difference(&listed).collect();
    assert!(missing.is_empty(), "fields without a value in this list: {missing:?}");
}

#[test]
fn every_difference_changes_the_digest() {
    let base = spec_of(&[]);
    for field in fields() {
        let specs: Vec<_> = field.values.iter().map(|v| (v, spec_of(&[(field.name, v)]))).collect();
        for (index, (value, spec)) in specs.iter().enumerate() {
            assert_ne!(spec.digest(), base.digest(), "{}: {value}", field.name);
            for (other_value, other) in &specs[..index] {
                assert_ne!(spec.digest(), other.digest(), "{}: {value}, {other_value}", field.name);
            }
        }
    }
}

#[test]
fn what_can_change_while_it_runs_changes_no_container() {
    let base = spec_of(&[]).container_digest();
    for field in fields() {
        for value in &field.values {
            let same = spec_of(&[(field.name, value)]).container_digest() == base;
            assert_eq!(same, field.live, "{}: {value}", field.name);
        }
    }
}

/// A choice of fields, each with a choice among its values.
fn any_spec() -> impl Strategy<Value = AgentSpec> {
    let choices: Vec<_> = fields()
        .into_iter()
        .map(|field| {
            let name = field.name;
            proptest::option::weighted(0.3, prop::sample::select(field.values))
                .prop_map(move |value| value.map(|value| (name, value)))
        })
        .collect();
    choices.prop_map(|chosen| {
        let parts: Vec<_> = chosen.iter().flatten().map(|(name, value)| (*name, value)).collect();
        spec_of(&parts)
    })
}

proptest! {
    #[test]
    fn what_was_written_reads_back_as_it_was(spec in any_spec()) {
        let bytes = serde_json::to_vec(&spec).unwrap();
        let again: AgentSpec = crate::reading::read(&bytes).unwrap();
        prop_assert_eq!(&again, &spec);
        prop_assert_eq!(again.digest(), spec.digest());
        prop_assert_eq!(again.check().is_ok(), spec.check().is_ok());
        // Written by hand, it says the same.
        let mut manifest = crate::manifest::Manifest::default();
        manifest.read_document("a", std::str::from_utf8(&bytes).unwrap());
        prop_assert_eq!(&manifest.agents, &[spec]);
    }

    #[test]
    fn live_changes_leave_the_container_alone(spec in any_spec(), other in any_spec()) {
        let mut changed = spec.clone();
        changed.resources = other.resources;
        changed.restart = other.restart;
        changed.restart_backoff = other.restart_backoff;
        changed.health_check = other.health_check;
        changed.readiness = other.readiness;
        changed.startup = other.startup;
        changed.depends_on = other.depends_on;
        changed.labels = other.labels;
        changed.annotations = other.annotations;
        changed.replicas = other.replicas;
        changed.job = other.job;
        prop_assert_eq!(changed.container_digest(), spec.container_digest());
    }
}
