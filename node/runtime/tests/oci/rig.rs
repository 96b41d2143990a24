//! A bundle of busybox with a configuration to change, and a root of its own for containers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const MONITOR: &str = env!("CARGO_BIN_EXE_skerry-monitor");

/// One bundle. Dropping it ends and removes the container.
pub struct Bundle {
    folder: tempfile::TempDir,
    pub id: String,
    pub config: Value,
}

/// How a call went.
pub struct Went {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Bundle {
    /// A container that runs a shell script.
    pub fn script(script: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests make containers: run as root");
        let folder = tempfile::Builder::new().prefix("skerry-oci").tempdir_in("/run").unwrap();
        let root = folder.path().join("rootfs");
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp", "opt/full"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox"))
            .expect("no /bin/busybox: apt-get install busybox-static");
        for name in ["sh", "cat", "sleep", "id", "mkdir", "touch", "grep", "env", "ls", "tty"] {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        std::fs::write(root.join("opt/full/file"), "below\n").unwrap();
        let id = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut bundle = Self { folder, id, config: Value::Null };
        assert_eq!(bundle.call(&["spec", "--bundle", bundle.path().to_str().unwrap()]).code, 0);
        let text = std::fs::read(bundle.path().join("config.json")).unwrap();
        bundle.config = serde_json::from_slice(&text).unwrap();
        bundle.config["process"]["terminal"] = json!(false);
        bundle.config["process"]["args"] = json!(["sh", "-c", script]);
        bundle.config["linux"]["cgroupsPath"] = json!(format!("/skerry-tests/{}", bundle.id));
        bundle
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where containers are kept.
    pub fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(MONITOR);
        command.arg("oci").arg("--root").arg(self.root()).args(args);
        command.current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Calls a verb and waits.
    pub fn call(&self, args: &[&str]) -> Went {
        went(self.command(args).output().unwrap())
    }

    pub fn write_config(&self) {
        let path = self.path().join("config.json");
        std::fs::write(path, self.config.to_string()).unwrap();
    }

    /// `create`, `start` or another verb on the container. What it prints goes nowhere, as the
    /// container would hold the pipe.
    pub fn does(&self, verb: &str) {
        self.write_config();
        let log = self.path().join("log");
        let mut command = self.command(&["--log", log.to_str().unwrap(), verb, &self.id]);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        let said = std::fs::read_to_string(log).unwrap_or_default();
        assert!(status.success(), "{verb}: {status}, {said}");
    }

    pub fn run(&self) -> Went {
        self.write_config();
        self.call(&["run", &self.id])
    }

    pub fn exec(&self, options: &[&str], program: &[&str]) -> Went {
        self.call(&[&["exec"], options, &[&self.id], program].concat())
    }

    pub fn state(&self) -> Value {
        let went = self.call(&["state", &self.id]);
        assert_eq!(went.code, 0, "{}", went.err);
        serde_json::from_str(&went.out).unwrap()
    }

    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    /// Every control group folder of the container that is there.
    pub fn groups(&self) -> Vec<PathBuf> {
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap();
        let roots = hierarchies.map(|entry| entry.unwrap().path());
        let roots = roots.chain([PathBuf::from("/sys/fs/cgroup")]);
        roots.map(|root| root.join("skerry-tests").join(&self.id)).filter(|g| g.is_dir()).collect()
    }

    /// Nothing is left of the container.
    pub fn assert_gone(&self) {
        assert!(!self.root().join(&self.id).exists());
        assert_eq!(self.groups(), Vec::<PathBuf>::new());
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.command(&["delete", "--force", &self.id]).output();
    }
}

fn went(output: Output) -> Went {
    Went {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits for a condition, and fails after a while.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}
