//! What is read of a configuration, and what libcontainer gets to see of it.
#![allow(clippy::unwrap_used)]
use serde_json::json;

use super::*;

#[test]
fn null_is_nothing() {
    let mut value = json!({ "hooks": { "prestart": null }, "mounts": [{ "options": null }] });
    drop_nulls(&mut value);
    assert_eq!(value, json!({ "hooks": {}, "mounts": [{}] }));
    let config: Config = typed(&value, "").unwrap();
    assert!(config.hooks.prestart.is_empty());
}

#[test]
fn libcontainer_sees_nothing_that_it_drops() {
    let value = json!({
        "process": { "args": ["/bin/id"], "user": { "uid": 7 }, "rlimits": [], "cwd": "/x",
            "capabilities": {}, "noNewPrivileges": true },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [{ "destination": "/tmp", "type": "tmpfs", "options": ["ro", "tmpcopyup", "nodev"] }],
        "linux": { "seccomp": {}, "resources": {}, "rootfsPropagation": "rslave",
            "namespaces": [{ "type": "pid", "path": "" }] },
    });
    let copy = for_libcontainer(&value, Path::new("/root"), Path::new("/a/b"), &json!({}));
    assert_eq!(copy["process"]["user"], json!({ "uid": 0, "gid": 0 }));
    for name in ["rlimits", "capabilities", "noNewPrivileges"] {
        assert!(copy["process"].get(name).is_none(), "{name}");
    }
    for name in ["seccomp", "resources"] {
        assert!(copy["linux"].get(name).is_none(), "{name}");
    }
    assert_eq!(copy["linux"]["rootfsPropagation"], "slave");
    assert_eq!(copy["linux"]["cgroupsPath"], "/a/b");
    assert_eq!(copy["linux"]["namespaces"], json!([{ "type": "pid" }]));
    assert_eq!(copy["mounts"][0]["options"], json!(["nodev"]));
    assert_eq!(copy["root"], json!({ "path": "/root", "readonly": true }));
}
