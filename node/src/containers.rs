//! The agents' containers as the node sees them: one run folder each, judged by evidence.
//!
//! Does one effect per call, through `skerry-runtime`; decides nothing. What was wanted stands in
//! `agent.json` beside the runtime's own records, so that a new node process knows what it adopts.
//! The [`crate::reconciler`] calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use skerry_core::agent::{AgentSpec, EnvValue, Limits};
use skerry_core::desired::{DesiredAgent, plain_instance};
use skerry_core::ids::{AgentName, Digest};
use skerry_core::observed::{Exit, ObservedAgent, Phase};
use skerry_core::time::Tick;
use skerry_core::units::{Cpu, Memory};
use skerry_images::ImageConfig;
use skerry_runtime::launch::{FORMAT, Launch, LogPolicy, Stop, User};
use skerry_runtime::{MonitorHandle, Observation, State};

use crate::config::Config;

const AGENT: &str = "agent.json";
const AGENT_MAX: u64 = 1 << 20;
/// The format of [`AGENT`] that this version writes.
const AGENT_FORMAT: u32 = 2;
/// So many restarts by hand are recognised in a record of the first format.
const OLD_GENERATIONS: u64 = 64;
/// The clock ticks in which the kernel gives the start of a process.
const TICKS_PER_SECOND: u64 = 100;
/// Where programs are looked for when an image sets no PATH, as in Docker.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why something could not be done with an agent's container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The file system refused.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The image says no program and the spec neither.
    #[error("the image has no entrypoint and no command; set command in the spec")]
    NoProgram,
    /// The image's user is a name, which only its own files could resolve.
    #[error("the image's user '{0}' is not numeric; only numeric users are supported")]
    User(String),
    /// The monitor was not started.
    #[error(transparent)]
    Spawn(#[from] skerry_runtime::spawn::SpawnError),
    /// The runtime refused.
    #[error(transparent)]
    Control(#[from] skerry_runtime::control::ControlError),
    /// Something was left behind.
    #[error("cannot clean up completely: {0}")]
    Clean(String),
}

/// What is written beside the runtime's records.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct AgentFile {
    /// 1, and not written, up to version 0.1: then the instance was the digest of the whole spec.
    #[serde(default = "first_format")]
    format: u32,
    instance: Digest,
    spec: AgentSpec,
}

fn first_format() -> u32 {
    1
}

/// One agent as found.
#[derive(Debug, Clone)]
pub struct Found {
    /// For the planner.
    pub seen: ObservedAgent,
    /// The container, while it runs.
    pub state: Option<State>,
}

impl Found {
    /// An agent that could not even be launched.
    pub fn failed(wanted: &DesiredAgent, message: String) -> Self {
        let (instance, spec) = (wanted.instance, wanted.spec.clone());
        Self {
            seen: ObservedAgent { instance, spec, phase: Phase::Failed { message } },
            state: None,
        }
    }
}

/// Where containers are, and how they are made.
pub struct Containers {
    agents: PathBuf,
    logs: PathBuf,
    cgroup: PathBuf,
    log: crate::config::Log,
}

impl Containers {
    /// Containers as the configuration places them.
    ///
    /// # Errors
    /// The folder of run folders cannot be made.
    pub fn new(config: &Config) -> Result<Self, ContainerError> {
        let agents = config.run_dir.join("agents");
        fs::create_dir_all(&agents).map_err(io("create", &agents))?;
        Ok(Self {
            agents,
            logs: config.state_dir.join("logs"),
            cgroup: config.cgroup.join("agents"),
            log: config.log.clone(),
        })
    }

    /// The run folder of an agent.
    pub fn run_dir(&self, name: &AgentName) -> PathBuf {
        self.agents.join(name.as_str())
    }

    /// The folder of an agent's output.
    pub fn log_dir(&self, name: &AgentName) -> PathBuf {
        self.logs.join(name.as_str())
    }

    /// The names of all agents that left any trace.
    pub fn names(&self) -> Vec<AgentName> {
        let entries = fs::read_dir(&self.agents).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// Where all of this is, for [`crate::sweep`].
    pub fn base(&self) -> (PathBuf, PathBuf, PathBuf) {
        (self.agents.clone(), self.agents.with_file_name("pods"), self.cgroup.clone())
    }

    /// The names of run folders that say whose they are. A record that cannot be read at this moment
    /// counts as one that says so: what is not known is left alone.
    ///
    /// # Errors
    /// The folder of run folders cannot be read: nothing is known.
    pub fn owned(&self) -> std::io::Result<BTreeSet<String>> {
        let mut owned = BTreeSet::new();
        for entry in fs::read_dir(&self.agents)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let says = match fs::metadata(entry.path().join(AGENT)) {
                Ok(_) => read_agent(&entry.path()).is_some() || !is_readable(&entry.path()),
                Err(error) => error.kind() != std::io::ErrorKind::NotFound,
            };
            if says && name.parse::<AgentName>().is_ok() {
                owned.insert(name);
            }
        }
        Ok(owned)
    }

    /// Looks at one agent.
    pub fn look(&self, name: &AgentName) -> Option<Found> {
        let run_dir = self.run_dir(name);
        if !run_dir.exists() {
            return None;
        }
        let file = read_agent(&run_dir)?;
        let (phase, state) = match skerry_runtime::observe(&run_dir) {
            Ok(Observation::Absent) => {
                let message = "it was never launched".to_owned();
                (Phase::Failed { message }, None)
            }
            Ok(Observation::Starting { .. }) => (Phase::Starting, None),
            Ok(Observation::Running(state)) => (running(&state), Some(state)),
            Ok(Observation::Exited(exit)) => (Phase::Exited(exited(&exit)), None),
            Ok(Observation::Failed(failure)) => {
                let message = format!("cannot start: {}: {}", failure.operation, failure.message);
                (Phase::Failed { message }, None)
            }
            Ok(Observation::Lost { init_lives, state }) => {
                (Phase::Lost { alive: init_lives }, state)
            }
            Err(error) => (Phase::Failed { message: error.to_string() }, None),
        };
        let seen = ObservedAgent { instance: file.instance, spec: Arc::new(file.spec), phase };
        Some(Found { seen, state })
    }

    /// Starts an agent. What becomes of it is seen by [`Self::look`].
    ///
    /// # Errors
    /// It cannot be launched at all.
    pub fn start(
        &self,
        wanted: &DesiredAgent,
        image: &skerry_images::Image,
    ) -> Result<MonitorHandle, ContainerError> {
        let run_dir = self.run_dir(&wanted.spec.name);
        let launch = self.launch(wanted, image)?;
        fs::create_dir_all(&run_dir).map_err(io("create", &run_dir))?;
        write_agent(&run_dir, wanted)?;
        Ok(skerry_runtime::spawn(Path::new("/proc/self/exe"), &run_dir, &launch)?)
    }

    /// Gives a running agent what can be changed without a restart: its limits in the kernel, and the
    /// rest in its record.
    ///
    /// # Errors
    /// The kernel refuses a limit; the record then stays as it was.
    pub fn adjust(&self, wanted: &DesiredAgent) -> Result<(), ContainerError> {
        let run_dir = self.run_dir(&wanted.spec.name);
        skerry_runtime::set_limits(&run_dir, &runtime_limits(&wanted.spec))?;
        write_agent(&run_dir, wanted)
    }

    /// Asks an agent's program to end.
    ///
    /// # Errors
    /// It does not run, or the kernel refuses.
    pub fn terminate(&self, name: &AgentName) -> Result<(), ContainerError> {
        Ok(skerry_runtime::signal(&self.run_dir(name), Stop::default().signal)?)
    }

    /// Kills every process of an agent.
    ///
    /// # Errors
    /// Some are left.
    pub fn kill(&self, name: &AgentName) -> Result<(), ContainerError> {
        Ok(skerry_runtime::kill_all(&self.run_dir(name))?)
    }

    /// Removes the traces of a run that ended.
    ///
    /// # Errors
    /// Something was left behind.
    pub fn clean(&self, name: &AgentName) -> Result<(), ContainerError> {
        let run_dir = self.run_dir(name);
        let errors = skerry_runtime::clean(&run_dir);
        if run_dir.exists() && errors.is_empty() {
            fs::remove_dir_all(&run_dir).map_err(io("remove", &run_dir))?;
        }
        match errors.first() {
            None => Ok(()),
            Some(first) => Err(ContainerError::Clean(first.to_string())),
        }
    }

    /// Removes the output of an agent that nobody wants any more.
    ///
    /// # Errors
    /// The file system refused.
    pub fn forget(&self, name: &AgentName) -> Result<(), ContainerError> {
        let folder = self.log_dir(name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io("remove", &folder)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the control groups of agents and monitors, as far as nothing lives in them: a folder
    /// that holds anything refuses to go. The one above goes too, unless it is a systemd unit's.
    pub fn leave(&self, kernel: &skerry_runtime::Kernel) {
        let monitors = self.cgroup.with_file_name("monitors");
        let base = self.cgroup.parent().filter(|base| base.extension().is_none());
        for group in [Some(self.cgroup.as_path()), Some(&monitors), base].into_iter().flatten() {
            for folder in skerry_runtime::cgroup::Group::at(kernel, group).paths() {
                let _ = fs::remove_dir(folder);
            }
        }
    }

    fn launch(
        &self,
        wanted: &DesiredAgent,
        image: &skerry_images::Image,
    ) -> Result<Launch, ContainerError> {
        let (spec, name) = (&wanted.spec, wanted.spec.name.as_str());
        let workdir = spec.workdir.clone().or_else(|| image.config.working_dir.clone());
        Ok(Launch {
            format: FORMAT,
            agent: name.to_owned(),
            instance: wanted.instance.to_string(),
            lowers: image.layers.clone(),
            args: program(spec, &image.config)?,
            env: environment(spec, &image.config),
            cwd: workdir.map_or_else(|| PathBuf::from("/"), PathBuf::from),
            user: user(image.config.user.as_deref())?,
            hostname: name.to_owned(),
            limits: runtime_limits(spec),
            cgroup: self.cgroup.join(name),
            log: LogPolicy {
                dir: self.log_dir(&spec.name),
                max_bytes: self.log.max_size.0,
                files: self.log.files,
            },
            stop: Stop { grace_ms: spec.stop.grace.millis, ..Stop::default() },
            capabilities: Vec::new(),
            read_only_root: true,
            seccomp: skerry_runtime::Seccomp::Default,
        })
    }
}

/// The limits that the kernel was found to enforce.
pub fn limits_in_force(state: &State) -> Limits {
    Limits {
        memory: state.limits.memory_bytes.map(Memory),
        cpu: state.limits.cpu_millis.map(|millis| Cpu { millis }),
        pids: state.limits.pids,
        ..Limits::default()
    }
}

fn runtime_limits(spec: &AgentSpec) -> skerry_runtime::Limits {
    let limits = &spec.resources.limits;
    skerry_runtime::Limits {
        memory_bytes: limits.memory.map(|m| m.0),
        cpu_millis: limits.cpu.map(|c| c.millis),
        pids: limits.pids,
    }
}

fn write_agent(run_dir: &Path, wanted: &DesiredAgent) -> Result<(), ContainerError> {
    let file = AgentFile {
        format: AGENT_FORMAT,
        instance: wanted.instance,
        spec: AgentSpec::clone(&wanted.spec),
    };
    // Names, numbers and lists always serialise.
    let content = serde_json::to_vec(&file).unwrap_or_default();
    let (path, aside) = (run_dir.join(AGENT), run_dir.join(".agent.json.new"));
    fs::write(&aside, content).map_err(io("write", &aside))?;
    fs::rename(&aside, &path).map_err(io("rename", &aside))
}

/// Command and arguments as Kubernetes combines them with an image's entrypoint and cmd.
fn program(spec: &AgentSpec, image: &ImageConfig) -> Result<Vec<String>, ContainerError> {
    let words = match (&spec.command, &spec.args) {
        (Some(command), args) => [command.clone(), args.clone().unwrap_or_default()].concat(),
        (None, Some(args)) => [image.entrypoint.clone(), args.clone()].concat(),
        (None, None) => [image.entrypoint.clone(), image.cmd.clone()].concat(),
    };
    if words.is_empty() { Err(ContainerError::NoProgram) } else { Ok(words) }
}

fn environment(spec: &AgentSpec, image: &ImageConfig) -> Vec<String> {
    let mut variables: BTreeMap<&str, &str> = BTreeMap::new();
    variables.extend(PATH.split_once('='));
    variables.extend(image.env.iter().filter_map(|entry| entry.split_once('=')));
    variables.extend(spec.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Text(text) => Some((name.as_str(), text.as_str())),
        EnvValue::From(_) => None,
    }));
    variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn user(text: Option<&str>) -> Result<User, ContainerError> {
    let Some(text) = text else { return Ok(User::default()) };
    let (user, group) = text.split_once(':').unwrap_or((text, "0"));
    let number = |text: &str| match text {
        "root" => Ok(0),
        digits => digits.parse().map_err(|_| ContainerError::User(text.to_owned())),
    };
    Ok(User { uid: number(user)?, gid: number(group)?, additional_gids: Vec::new() })
}

fn running(state: &State) -> Phase {
    let since = Tick(state.init.start_time.saturating_mul(1000 / TICKS_PER_SECOND));
    Phase::Running { pid: u32::try_from(state.init.pid).unwrap_or_default(), since }
}

fn exited(exit: &skerry_runtime::Exit) -> Exit {
    Exit {
        code: exit.code,
        signal: exit.signal,
        oom_killed: exit.oom_killed,
        ran_ms: exit.finished_at_ms.saturating_sub(exit.started_at_ms),
        finished_at_ms: i64::try_from(exit.finished_at_ms).unwrap_or(i64::MAX),
    }
}

fn read_agent(run_dir: &Path) -> Option<AgentFile> {
    use std::io::Read;
    let mut content = Vec::new();
    let file = fs::File::open(run_dir.join(AGENT)).ok()?;
    file.take(AGENT_MAX).read_to_end(&mut content).ok()?;
    let file: AgentFile = serde_json::from_slice(&content).ok()?;
    Some(if file.format == 1 { upgrade(file, &content) } else { file })
}

/// Whether the bytes of the record can be had, whatever they say.
fn is_readable(run_dir: &Path) -> bool {
    fs::read(run_dir.join(AGENT)).is_ok()
}

/// In the first format an instance was the digest of the whole spec as it was written. What runs
/// since then is recognised, and left alone.
fn upgrade(file: AgentFile, content: &[u8]) -> AgentFile {
    #[derive(Deserialize)]
    struct AsWritten<'a> {
        #[serde(borrow)]
        spec: &'a RawValue,
    }
    let Ok(AsWritten { spec }) = serde_json::from_slice(content) else { return file };
    let whole = Digest::of(spec.get().as_bytes());
    let was = |generation: &u64| match generation {
        0 => whole == file.instance,
        count => Digest::of(format!("{whole}#{count}").as_bytes()) == file.instance,
    };
    match (0..=OLD_GENERATIONS).find(was) {
        Some(generation) => {
            let instance = plain_instance(&file.spec, generation);
            AgentFile { format: AGENT_FORMAT, instance, ..file }
        }
        None => file,
    }
}

fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ContainerError {
    let path = path.to_owned();
    move |source| ContainerError::Io { operation, path, source }
}

#[cfg(test)]
mod tests;
