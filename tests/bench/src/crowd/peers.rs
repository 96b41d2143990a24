//! The peers of a crowd: runc in a loop, as a script would, and podman, one command an agent.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Crowd, Flood, command, each};
use crate::cost::{memory, processor_ms, running};
use crate::error::Error;
use crate::ground::Ground;
use crate::process::run;
use crate::sandbox::{CGROUP_PARENT, CPU_QUOTA, MEMORY, PIDS};

/// The longest that a flood may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody else who can run a crowd.
pub trait Peer {
    /// Starts so many, and stops them.
    ///
    /// # Errors
    /// When one does not start or stop.
    fn crowd(&mut self, count: usize) -> Result<Crowd, Error>;

    /// Copies a flood of output, if it copies output.
    ///
    /// # Errors
    /// When it does not run.
    fn flood(&mut self, mebibytes: u32) -> Result<Option<Flood>, Error>;
}

/// `runc run --detach` for each, one after another.
pub struct Runc {
    program: PathBuf,
    root: PathBuf,
    bundles: PathBuf,
    errors: PathBuf,
}

impl Runc {
    /// A loop over this program, for so many at the most.
    ///
    /// # Errors
    /// When a bundle cannot be written.
    pub fn new(ground: &Ground, program: PathBuf, most: usize) -> Result<Self, Error> {
        let bundles = ground.run.join("bundles").join("crowd");
        for number in 0..most {
            ground.waiting_bundle(&bundles, &name(number))?;
        }
        Ok(Self { program, root: ground.run.join("crowd-runc"), bundles, errors: ground.errors() })
    }

    fn run(&self, words: &[&str]) -> Result<(), Error> {
        let root = self.root.display().to_string();
        let all: Vec<String> =
            ["--root", &root].into_iter().chain(words.iter().copied()).map(str::to_owned).collect();
        let mut command = command(&self.program, &all);
        run(command.stdout(std::process::Stdio::null()), &self.errors)
    }
}

impl Peer for Runc {
    fn crowd(&mut self, count: usize) -> Result<Crowd, Error> {
        let bundle = |number| self.bundles.join(name(number)).display().to_string();
        let start =
            each(count, |n| self.run(&["run", "--detach", "--bundle", &bundle(n), &name(n)]))?;
        let stop = each(count, |n| self.run(&["delete", "--force", &name(n)]))?;
        // Nothing stays with a container: nobody keeps its output or its exit code either.
        Ok(Crowd { name: "runc in a loop", count, start, stop, beside: None })
    }

    fn flood(&mut self, _: u32) -> Result<Option<Flood>, Error> {
        Ok(None)
    }
}

fn name(number: usize) -> String {
    format!("crowd-{number}")
}

/// `podman run --detach` for each, one after another, in a store of its own.
pub struct Podman {
    program: PathBuf,
    options: Vec<String>,
    conmon: PathBuf,
    errors: PathBuf,
}

const IMAGE: &str = "localhost/bench-probe:latest";

impl Podman {
    /// Podman with the probe as an image.
    ///
    /// # Errors
    /// When the image cannot be made.
    pub fn new(ground: &Ground, program: PathBuf) -> Result<Self, Error> {
        let place = |name: &str| ground.run.join(name).display().to_string();
        let options = [
            "--root",
            &ground.data.join("podman").display().to_string(),
            "--runroot",
            &place("podman"),
            "--tmpdir",
            &place("podman-tmp"),
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "none",
            "--runtime",
            "runc",
        ];
        let options = options.map(str::to_owned).to_vec();
        let conmon = PathBuf::from("/usr/bin/conmon");
        let podman = Self { program, options, conmon, errors: ground.errors() };
        let tar = ground.run.join("probe.tar");
        let mut pack = std::process::Command::new("tar");
        run(pack.arg("-C").arg(ground.rootfs()).arg("-cf").arg(&tar).arg("."), &podman.errors)?;
        podman.run(&["import", &tar.display().to_string(), IMAGE])?;
        Ok(podman)
    }

    fn run(&self, words: &[&str]) -> Result<(), Error> {
        let words = words.iter().map(|word| (*word).to_owned());
        let all: Vec<String> = self.options.iter().cloned().chain(words).collect();
        let mut command = command(&self.program, &all);
        run(command.stdout(std::process::Stdio::null()), &self.errors)
    }

    fn begin(&self, name: &str, words: &[&str]) -> Result<(), Error> {
        let (memory, quota) = (MEMORY.to_string(), CPU_QUOTA.to_string());
        let pids = PIDS.to_string();
        let parent = format!("/{CGROUP_PARENT}/podman");
        let mut all = vec![
            "run",
            "--detach",
            "--name",
            name,
            "--network",
            "none",
            "--log-driver",
            "k8s-file",
            "--cgroup-parent",
            &parent,
            "--read-only",
            "--memory",
            &memory,
            "--cpu-quota",
            &quota,
            "--pids-limit",
            &pids,
            // Its own defaults are more than this process may have, where that is limited.
            "--ulimit",
            "nofile=1024:4096",
            "--ulimit",
            "nproc=4096:4096",
            IMAGE,
            "/probe",
        ];
        all.extend(words);
        self.run(&all)
    }
}

impl Peer for Podman {
    fn crowd(&mut self, count: usize) -> Result<Crowd, Error> {
        let start = each(count, |n| self.begin(&name(n), &["wait"]))?;
        let mut pss = 0;
        for conmon in running(&self.conmon) {
            pss += memory(conmon)?.pss;
        }
        let stop = each(count, |n| self.run(&["rm", "--force", "--time", "1", &name(n)]))?;
        let beside = super::figures::number(pss) / super::figures::number(count as u64);
        Ok(Crowd { name: "podman in a loop", count, start, stop, beside: Some(beside) })
    }

    fn flood(&mut self, mebibytes: u32) -> Result<Option<Flood>, Error> {
        self.begin("flood", &["flood", &mebibytes.to_string()])?;
        let watched = watch(|| running(&self.conmon).first().copied())?;
        self.run(&["rm", "--force", "flood"])?;
        Ok(Some(Flood::of("conmon (podman)", mebibytes, watched)))
    }
}

/// For how long a process ran, in seconds, and on how much processor time, in milliseconds.
pub(super) struct Watched {
    seconds: f64,
    processor: f64,
}

/// Watches the one process until it is gone. It was begun a moment before, with what it copies.
pub(super) fn watch(mut find: impl FnMut() -> Option<u32>) -> Result<Watched, Error> {
    let begin = Instant::now();
    let mut processor = 0.0;
    while begin.elapsed() < PATIENCE {
        match find().and_then(|pid| processor_ms(pid).ok()) {
            Some(so_far) => processor = so_far,
            None if processor > 0.0 => {
                return Ok(Watched { seconds: begin.elapsed().as_secs_f64(), processor });
            }
            None => {}
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(Error::Late { object: "the end of a flood".into(), seconds: PATIENCE.as_secs() })
}

impl Flood {
    pub(super) fn of(name: &'static str, mebibytes: u32, watched: Watched) -> Self {
        let mebibytes = f64::from(mebibytes);
        Self { name, rate: mebibytes / watched.seconds, cost: watched.processor / mebibytes }
    }
}
