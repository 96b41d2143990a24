//! The example of the documentation, on a bare machine, by the commands that stand in it.

use std::fs;
use std::path::Path;

use skerry_tests::process::run;
use skerry_tests::{Node, Scratch};

const RUNNING: [&str; 11] = [
    "web",
    "store",
    "api-0",
    "api-1",
    "api-2",
    "gate",
    "gate-watch",
    "meter",
    "lamp",
    "guest",
    "copier",
];

/// An image named busybox, as the example asks for.
fn pack(node: &Node, scratch: &Scratch) {
    let rootfs = scratch.folder("rootfs");
    let bin = rootfs.join("bin");
    fs::create_dir(&bin).unwrap();
    let busybox = Path::new("/bin/busybox");
    assert!(busybox.is_file(), "/bin/busybox is missing: apt-get install busybox-static");
    let _ = fs::copy(busybox, bin.join("busybox")).unwrap();
    let mut install = std::process::Command::new(busybox);
    let _ = run(install.args(["--install", "-s"]).arg(&bin)).ok();
    for link in fs::read_dir(&bin).unwrap().flatten().map(|entry| entry.path()) {
        if link.is_symlink() {
            fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink("busybox", &link).unwrap();
        }
    }
    let tar = scratch.path().join("busybox.tar");
    let (rootfs, tar) = (rootfs.display().to_string(), tar.display().to_string());
    let words =
        ["image", "pack", &rootfs, "--entrypoint", "/bin/sh", "--name", "busybox", "-o", &tar];
    let _ = node.cli(words).ok();
    let _ = node.cli(["image", "import", &tar]).ok();
}

#[test]
fn it_runs_as_it_is_written_and_is_left_alone_when_applied_again() {
    let scratch = Scratch::new();
    let node = Node::setup(&scratch, "box").start();
    pack(&node, &scratch);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/agents.yaml");
    let text = fs::read_to_string(file).unwrap();
    // Nothing of this machine is touched.
    let text = text.replace("/var/lib/meter", &scratch.path().join("meter").display().to_string());
    let _ = node.cli(["secret", "set", "uplink", "TOKEN=abc"]).ok();
    let _ = node.cli(["secret", "set", "broker", "password=def"]).ok();
    node.apply(&text);

    for name in RUNNING {
        let _ = node.until_state(name, "running");
    }
    let _ = node.until_state("migrate", "completed");
    for name in ["backup", "heartbeat"] {
        let _ = node.until_state(name, "scheduled");
    }
    for name in ["web", "store", "gate"] {
        let _ = node.until_agent(name, "is healthy", |agent| agent["health"] == "healthy");
    }
    assert_eq!(node.inside("web", "wget -q -O - http://127.0.0.1:8080/"), "<h1>It works</h1>");
    assert_eq!(node.inside("api-1", "hostname"), "api-1");

    let before = RUNNING.map(|name| node.pid_of(name));
    let said = node.cli_with_input(["apply", "-f", "-"], text.as_bytes()).ok();
    assert_eq!(said.stdout.matches("unchanged").count(), 12, "{said}");
    assert_eq!(RUNNING.map(|name| node.pid_of(name)), before, "nobody was started anew");
}
