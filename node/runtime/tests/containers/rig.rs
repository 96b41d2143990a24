//! A rig for tests on real containers: a root file system of busybox, a run folder, clean-up.
//!
//! Needs root and busybox-static, and says so. Waits for conditions, never for a guessed time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use skerry_runtime::{
    Exit, Failure, Launch, LogPolicy, MonitorHandle, Observation, State, Stop, clean, kill_all,
    observe, spawn,
};

pub const MONITOR: &str = env!("CARGO_BIN_EXE_skerry-monitor");

/// One agent under test. Dropping it kills and removes everything.
pub struct Rig {
    folder: tempfile::TempDir,
    pub launch: Launch,
    pub monitor: Option<MonitorHandle>,
}

impl Rig {
    /// An agent that runs a shell script.
    pub fn script(script: &str) -> Self {
        Self::program(&["/bin/sh", "-c", script])
    }

    pub fn program(args: &[&str]) -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests make containers: run as root");
        let folder = tempfile::Builder::new().prefix("skerry-rt").tempdir_in("/run").unwrap();
        let image = folder.path().join("image");
        make_image(&image);
        let id = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
        let launch = Launch {
            agent: "sample".to_owned(),
            instance: "sha256:1".to_owned(),
            lowers: vec![image],
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: vec!["GREETING=hello".to_owned()],
            hostname: "sample".to_owned(),
            cgroup: Path::new("/skerry-tests").join(id),
            log: LogPolicy {
                dir: folder.path().join("log"),
                max_bytes: 1 << 20,
                files: 3,
                rate_limit: None,
            },
            stop: Stop { grace_ms: 2000, ..Stop::default() },
            ..Launch::default()
        };
        Self { folder, launch, monitor: None }
    }

    pub fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the agent and returns at once.
    pub fn spawn(&mut self) -> &mut Self {
        self.monitor = Some(spawn(Path::new(MONITOR), &self.run_dir(), &self.launch).unwrap());
        self
    }

    /// Starts the agent and waits until its program runs.
    pub fn start(&mut self) -> State {
        self.spawn();
        self.state()
    }

    /// Starts the agent and waits until it has ended, which it must have done in an orderly way.
    pub fn run(&mut self) -> Exit {
        self.spawn();
        self.exit()
    }

    pub fn state(&self) -> State {
        self.until("a running container", |seen| match seen {
            Observation::Running(state) => Some(state),
            Observation::Failed(failure) => panic!("did not start: {failure:?}"),
            _ => None,
        })
    }

    pub fn exit(&self) -> Exit {
        self.until("an exit record", |seen| match seen {
            Observation::Exited(exit) => Some(exit),
            Observation::Failed(failure) => panic!("did not start: {failure:?} {}", self.said()),
            _ => None,
        })
    }

    pub fn failure(&self) -> Failure {
        self.until("a failure record", |seen| match seen {
            Observation::Failed(failure) => Some(failure),
            Observation::Exited(exit) => panic!("ran and ended: {exit:?}"),
            _ => None,
        })
    }

    fn until<T>(&self, what: &str, mut judge: impl FnMut(Observation) -> Option<T>) -> T {
        let mut last = None;
        let found = wait_for(|| {
            let seen = observe(&self.run_dir()).unwrap();
            last = Some(seen.clone());
            judge(seen)
        });
        found.unwrap_or_else(|| panic!("no {what}; last seen {last:?}; {}", self.said()))
    }

    /// What the agent has written when it has ended.
    pub fn finished_output(&self) -> String {
        self.exit();
        self.output()
    }

    /// Waits until the agent has written this.
    pub fn until_output(&self, wanted: &str) {
        let written = wait_for(|| (self.output() == wanted).then_some(()));
        assert!(written.is_some(), "{:?} is not {wanted:?}", self.output());
    }

    /// Runs a program beside the agent.
    pub fn exec(&self, args: &[&str]) -> Output {
        let mut command = Command::new(MONITOR);
        command.arg("exec").arg(self.run_dir()).arg("0").args(args).output().unwrap()
    }

    /// What the monitor itself has said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.run_dir().join("monitor.log")).unwrap_or_default()
    }

    /// The text of the log so far, oldest file first, as `(stream, text)`.
    pub fn log(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        for age in (0..20).rev() {
            let name = if age == 0 { "agent.log".into() } else { format!("agent.log.{age}") };
            let Ok(text) = std::fs::read_to_string(self.launch.log.dir.join(name)) else {
                continue;
            };
            for line in text.lines() {
                let mut parts = line.splitn(4, ' ');
                let (_, stream) = (parts.next().unwrap(), parts.next().unwrap());
                let text = parts.nth(1).unwrap_or_default();
                lines.push((stream.to_owned(), text.to_owned()));
            }
        }
        lines
    }

    /// What the agent wrote to its standard output.
    pub fn output(&self) -> String {
        let lines = self.log();
        let lines = lines.iter().filter(|(stream, _)| stream == "stdout");
        lines.map(|(_, text)| format!("{text}\n")).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !self.run_dir().join("launch.json").exists() {
            return;
        }
        let _ = kill_all(&self.run_dir());
        wait_for(|| match observe(&self.run_dir()) {
            Ok(Observation::Running(_) | Observation::Starting { .. }) => None,
            _ => Some(()),
        });
        wait_for(|| clean(&self.run_dir()).is_empty().then_some(()));
        for root in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let _ = std::fs::remove_dir(root.path().join("skerry-tests"));
        }
    }
}

/// Looks again and again for up to 20 seconds.
pub fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A tool of the host that tests need.
pub fn host(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A disk of so many MiB, which is a file; gone when it is dropped.
pub struct Disk {
    device: String,
    _file: tempfile::NamedTempFile,
}

pub fn disk(mebibytes: u64) -> Disk {
    let file = tempfile::Builder::new().prefix("skerry-rt-disk").tempfile_in("/var/tmp").unwrap();
    file.as_file().set_len(mebibytes << 20).unwrap();
    let device = host("losetup", &["--find", "--show", file.path().to_str().unwrap()]);
    Disk { device, _file: file }
}

impl Disk {
    /// Its device file.
    pub fn path(&self) -> &str {
        &self.device
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        host("losetup", &["--detach", &self.device]);
    }
}

fn make_image(image: &Path) {
    let busybox = Path::new("/bin/busybox");
    assert!(busybox.exists(), "busybox is needed: apt-get install busybox-static");
    std::fs::create_dir_all(image.join("bin")).unwrap();
    std::fs::copy(busybox, image.join("bin/busybox")).unwrap();
    std::fs::set_permissions(image, PermissionsExt::from_mode(0o755)).unwrap();
    for applet in [
        "sh", "cat", "sleep", "echo", "id", "ip", "ls", "mkdir", "mount", "ping", "nc", "yes",
        "head", "dd", "true", "touch", "hostname", "ps", "readlink", "seq", "kill", "nproc",
        "unshare", "chroot", "mknod", "env", "pwd", "test", "tail", "wc", "grep", "stat", "df",
        "sysctl", "find", "cut", "sort", "rm", "mkfifo", "umount", "chmod", "ln", "su",
    ] {
        std::os::unix::fs::symlink("busybox", image.join("bin").join(applet)).unwrap();
    }
}
