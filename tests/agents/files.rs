//! Every kind of volume, as seen from inside, and what becomes of named ones.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;
use skerry_tests::{Node, Scratch};

#[test]
fn binds_are_the_host_s_own_and_read_only_if_they_are_to_be() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let shared = scratch.folder("shared");
    fs::write(shared.join("note"), "from outside\n").unwrap();
    let (shared, made) = (shared.display(), scratch.path().join("made/by/node"));
    node.apply(&format!(
        "{{name: one, image: sensor, volumes: [\
          {{type: bind, source: {shared}, target: /rw}}, \
          {{type: bind, source: {shared}, target: /ro, readOnly: true}}, \
          {{type: bind, source: {}, target: /made, create: true}}]}}",
        made.display()
    ));
    let _ = node.until_state("one", "running");
    assert_eq!(node.inside("one", "cat /rw/note"), "from outside");
    assert_eq!(node.inside("one", "echo in > /rw/reply; cat /ro/reply"), "in");
    let refused = node.inside("one", "echo x > /ro/x || echo refused");
    assert_eq!(refused, "refused");
    let _ = node.inside("one", "echo kept > /made/file");
    assert_eq!(fs::read_to_string(made.join("file")).unwrap(), "kept\n");

    node.apply("{name: two, image: sensor, volumes: [{type: bind, source: /no/such, target: /x}]}");
    let told = node.until_agent("two", "lacks its source", |agent| {
        agent["detail"].as_str().is_some_and(|detail| detail.contains("volumes[0].source"))
    });
    assert!(told["detail"].as_str().unwrap().contains("create: true"), "{told}");
}

#[test]
fn what_one_volume_has_made_another_may_mount() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let folder = scratch.folder("parent").join("made");
    let volume = |target: &str, create: bool| json!({"type": "bind", "source": folder, "target": target, "create": create});
    // The one that makes it comes last.
    let wish = json!({"name": "one", "image": "sensor", "volumes": [volume("/a", false), volume("/b", true)]});
    node.apply(&wish.to_string());
    let _ = node.until_state("one", "running");
    assert_eq!(node.inside("one", "touch /b/x && ls /a"), "x");
}

#[test]
fn a_named_volume_outlives_its_agents_and_is_shared() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: one, image: sensor, user: '1000:100', \
          volumes: [{type: volume, source: data, target: /data, mode: '0750'}]}",
    );
    let _ = node.until_state("one", "running");
    let _ = node.inside("one", "echo kept > /data/file");
    let _ = node.cli(["run", "--name", "two", "-u", "1000", "-v", "data:/in:ro", "sensor"]).ok();
    assert_eq!(node.inside("two", "cat /in/file"), "kept");
    assert_eq!(node.inside("two", "echo x > /in/x || echo refused"), "refused");

    let used = node.cli(["volume", "rm", "data"]).refused();
    assert!(used.stderr.contains("used by one, two"), "{used}");
    let listed = node.cli(["volume", "ls", "--format", "json"]).ok().json();
    assert_eq!(listed["data"]["agents"], serde_json::json!(["one", "two"]));
    assert!(listed["data"]["bytes"].as_u64().unwrap() > 0, "{listed}");
    let path = node.folder().join("state/volumes/data");
    let root = fs::metadata(&path).unwrap();
    assert_eq!((root.uid(), root.gid(), root.mode() & 0o7777), (1000, 100, 0o750));

    let _ = node.cli(["rm", "-f", "one", "two"]).ok();
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "kept\n");
    assert_eq!(node.cli(["volume", "rm", "data"]).ok().stdout, "data\n");
    assert!(!path.exists());
    assert!(node.cli(["volume", "rm", "data"]).refused().stderr.contains("volume 'data'"));
}

#[test]
fn memory_configs_and_secrets_are_files_with_owners_and_modes() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    let _ = node.cli(["secret", "set", "db", "PASSWORD=hush"]).ok();
    node.apply(
        "configs: {app: {app.conf: 'x=1'}}\n\
         agents:\n\
         - name: one\n\
         \x20 image: sensor\n\
         \x20 user: '1000:100'\n\
         \x20 volumes:\n\
         \x20 - {type: tmpfs, target: /scratch, size: 1Mi, mode: '0700', uid: 1000, gid: 100}\n\
         \x20 - {type: config, source: app, target: /etc/app}\n\
         \x20 - {type: secret, source: db, target: /secret}\n",
    );
    let _ = node.until_state("one", "running");
    let stat = |path: &str| node.inside("one", &format!("busybox stat -c '%u:%g %a' {path}"));
    assert_eq!(stat("/scratch"), "1000:100 700");
    assert_eq!(node.inside("one", "cat /etc/app/app.conf"), "x=1");
    assert_eq!(node.inside("one", "cat /secret/PASSWORD"), "hush");
    assert_eq!(stat("/secret/PASSWORD"), "1000:100 400");
    assert_eq!(
        node.inside("one", "echo x > /secret/PASSWORD 2>/dev/null || echo refused"),
        "refused"
    );
    assert_eq!(node.inside("one", "echo x > /etc/app/new 2>/dev/null || echo refused"), "refused");
    let full =
        "busybox dd if=/dev/zero of=/scratch/f bs=64k count=32 2>&1 | busybox grep -c 'No space'";
    assert_eq!(node.inside("one", full), "1", "its size is enforced");
    let kind =
        node.inside("one", "busybox df -T /secret | busybox tail -n 1 | busybox awk '{print $2}'");
    assert_eq!(kind, "tmpfs", "a secret is in memory only");
}

#[test]
fn a_size_is_kept_by_the_file_system_or_refused_with_the_reason() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    node.with_sensor(&scratch);
    node.apply(
        "{name: one, image: sensor, \
          volumes: [{type: volume, source: data, target: /data, size: 1Mi}]}",
    );
    let seen = node.until_agent("one", "runs, or is refused", |agent| {
        let refused = agent["detail"].as_str().is_some_and(|text| text.contains("volumes[0].size"));
        refused || agent["state"] == "running"
    });
    if seen["state"] == "running" {
        let full =
            "busybox dd if=/dev/zero of=/data/f bs=64k count=32 2>&1 | busybox grep -c 'No space'";
        assert_eq!(node.inside("one", full), "1");
        let listed = node.cli(["volume", "ls", "--format", "json"]).ok().json();
        assert_eq!(listed["data"]["limitBytes"], 1 << 20, "{listed}");
    } else {
        assert!(seen["detail"].as_str().unwrap().contains("quota"), "{seen}");
    }
}
