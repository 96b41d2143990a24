//! From an agent's spec to what the runtime is asked for: every field, or a refusal that names it.

use std::path::{Path, PathBuf};

use skerry_core::agent::{
    AgentSpec, Cpuset, Io, IoDevice, Limits, NetworkMode, Priority, Seccomp, SeccompProfile, Signal,
};
use skerry_core::desired::DesiredAgent;
use skerry_core::units::{Cpu, Memory};
use skerry_images::{Image, ImageConfig};
use skerry_runtime::launch::{Action, Argument, Compare, Profile, Rule};
use skerry_runtime::{IoWeight, Launch, LogPolicy, Network, State, Stop, User, UserNamespace};

use super::environment::{self, Environment};
use super::{ContainerError, Containers, io, mounts, ranges};
use crate::api::Shortfall;
use crate::durable;

/// Variables from secrets, beside the agent's records and gone with them.
const ENV_FILE: &str = "handed.env";
const SIGTERM: u8 = 15;

impl Containers {
    /// What the runtime is asked for. Writes into the run folder what must not stand in a record.
    pub(super) fn launch(
        &self,
        wanted: &DesiredAgent,
        image: &Image,
        run_dir: &Path,
    ) -> Result<Launch, ContainerError> {
        let (spec, name) = (&wanted.spec, wanted.spec.name.as_str());
        let workdir = spec.workdir.clone().or_else(|| image.config.working_dir.clone());
        let user = user(spec, image)?;
        let ids = self.ids(spec)?;
        let launch = Launch {
            agent: name.to_owned(),
            instance: wanted.instance.to_string(),
            lowers: image.layers.clone(),
            args: program(spec, &image.config)?,
            cwd: workdir.map_or_else(|| PathBuf::from("/"), PathBuf::from),
            hostname: spec.hostname.clone().unwrap_or_else(|| name.to_owned()),
            limits: limits(spec),
            cgroup: self.cgroup.join(name),
            log: self.log_policy(spec),
            stop: stop(spec, &image.config)?,
            volumes: self.mounts(wanted, run_dir, &user)?,
            user,
            oom_score_adj: u16::try_from(spec.priority.oom_score_adj()).ok(),
            user_namespace: ids,
            network: match spec.network.mode {
                NetworkMode::None | NetworkMode::Bridge => Network::None,
                NetworkMode::Host => Network::Host,
            },
            init: spec.init,
            ..Launch::default()
        };
        let launch = self.with_environment(launch, wanted, &image.config, run_dir)?;
        self.in_pod(with_security(launch, spec)?, spec)
    }

    fn ids(&self, spec: &AgentSpec) -> Result<Option<UserNamespace>, ContainerError> {
        if !spec.security.user_namespace {
            return Ok(None);
        }
        let range = ranges::of(&self.state_dir, &spec.name);
        range.map(Some).map_err(io("give user ids from", &self.state_dir))
    }

    fn log_policy(&self, spec: &AgentSpec) -> LogPolicy {
        LogPolicy {
            dir: self.log_dir(&spec.name),
            max_bytes: spec.logging.max_size.unwrap_or(self.log.borrow().max_size).0,
            files: spec.logging.max_files.unwrap_or(self.log.borrow().files),
            rate_limit: spec.logging.rate_limit.map(|rate| rate.0),
        }
    }

    fn mounts(
        &self,
        wanted: &DesiredAgent,
        run_dir: &Path,
        user: &User,
    ) -> Result<Vec<skerry_runtime::Mount>, ContainerError> {
        let (secrets, volumes) = (&self.secrets, &self.volumes);
        mounts::mounts(wanted, &mounts::Sources { run_dir, secrets, volumes, user })
    }

    fn with_environment(
        &self,
        launch: Launch,
        wanted: &DesiredAgent,
        image: &ImageConfig,
        run_dir: &Path,
    ) -> Result<Launch, ContainerError> {
        let (configs, secrets) = (&wanted.configs, &self.secrets);
        let sources = environment::Sources { configs, secrets };
        let made = environment::environment(wanted, image, &self.node, &sources)?;
        let Environment { plain: env, secret } = made;
        if secret.is_empty() {
            return Ok(Launch { env, ..launch });
        }
        let content: String = secret.into_iter().map(|entry| entry + "\0").collect();
        let path = run_dir.join(ENV_FILE);
        durable::write(run_dir, ENV_FILE, content.as_bytes()).map_err(io("write", &path))?;
        Ok(Launch { env, env_file: Some(path), ..launch })
    }
}

/// Command and arguments as Kubernetes combines them with an image's entrypoint and cmd.
pub(super) fn program(
    spec: &AgentSpec,
    image: &ImageConfig,
) -> Result<Vec<String>, ContainerError> {
    let words = match (&spec.command, &spec.args) {
        (Some(command), args) => [command.clone(), args.clone().unwrap_or_default()].concat(),
        (None, Some(args)) => [image.entrypoint.clone(), args.clone()].concat(),
        (None, None) => [image.entrypoint.clone(), image.cmd.clone()].concat(),
    };
    if words.is_empty() { Err(ContainerError::NoProgram) } else { Ok(words) }
}

/// Whom the program runs as: what the spec says before what the image says.
pub(super) fn user(spec: &AgentSpec, image: &Image) -> Result<User, ContainerError> {
    let security = &spec.security;
    let (field, text) = match (security.run_as_user, &spec.user, &image.config.user) {
        (Some(uid), _, _) => ("security.runAsUser", uid.to_string()),
        (None, Some(text), _) => ("user", text.clone()),
        (None, None, Some(text)) => ("the image's user", text.clone()),
        (None, None, None) => ("user", "0:0".to_owned()),
    };
    let mut user = skerry_runtime::resolve_user(&image.layers, &text)
        .map_err(|error| ContainerError::field(field, error.to_string()))?;
    user.gid = security.run_as_group.unwrap_or(user.gid);
    for gid in &security.supplemental_groups {
        if !user.additional_gids.contains(gid) {
            user.additional_gids.push(*gid);
        }
    }
    Ok(user)
}

fn stop(spec: &AgentSpec, image: &ImageConfig) -> Result<Stop, ContainerError> {
    let of_image = image.stop_signal.as_deref().map(str::parse::<Signal>).transpose();
    let of_image = of_image.map_err(|why| {
        ContainerError::field("stop.signal", format!("the image's {why}; say another one here"))
    });
    let signal = match spec.stop.signal {
        Some(signal) => signal,
        None => of_image?.unwrap_or(Signal(SIGTERM)),
    };
    Ok(Stop {
        signal: i32::from(signal.0),
        grace_ms: spec.stop.grace.millis,
        pre_stop: spec.stop.pre_stop.as_ref().map(|hook| hook.command.clone()),
    })
}

/// The limits of a spec, with the weights of its priority.
pub(super) fn limits(spec: &AgentSpec) -> skerry_runtime::Limits {
    let limits = &spec.resources.limits;
    // The kernel's own weights are those of `normal`.
    let prefers = spec.priority != Priority::Normal;
    let by_priority = prefers.then(|| spec.priority.io_weight());
    let io_weight = match limits.io.weight {
        Some(value) => Some(IoWeight { value, required: true }),
        None => by_priority.map(|value| IoWeight { value, required: false }),
    };
    let device = |device: &IoDevice| skerry_runtime::IoDevice {
        path: PathBuf::from(&device.path),
        read_bps: device.read_bps.map(|rate| rate.0),
        write_bps: device.write_bps.map(|rate| rate.0),
        read_iops: device.read_iops,
        write_iops: device.write_iops,
    };
    skerry_runtime::Limits {
        memory_bytes: limits.memory.map(|m| m.0),
        swap_bytes: limits.swap.map(|m| m.0),
        cpu_millis: limits.cpu.map(|c| c.millis),
        cpu_weight: prefers.then(|| spec.priority.cpu_weight()),
        cpuset: limits.cpuset.as_ref().map(Cpuset::to_string),
        pids: limits.pids,
        io_weight,
        io_devices: limits.io.devices.iter().map(device).collect(),
    }
}

/// The limits that the kernel was found to enforce.
pub fn limits_in_force(state: &State) -> Limits {
    let found = &state.limits;
    let device = |device: &skerry_runtime::IoDevice| IoDevice {
        path: device.path.display().to_string(),
        read_bps: device.read_bps.map(Memory),
        write_bps: device.write_bps.map(Memory),
        read_iops: device.read_iops,
        write_iops: device.write_iops,
    };
    Limits {
        memory: found.memory_bytes.map(Memory),
        cpu: found.cpu_millis.map(|millis| Cpu { millis }),
        pids: found.pids,
        swap: found.swap_bytes.map(Memory),
        cpuset: found.cpuset.as_deref().and_then(|set| set.parse().ok()),
        io: Io {
            weight: found.io_weight.map(|weight| weight.value),
            devices: found.io_devices.iter().map(device).collect(),
        },
    }
}

/// What need not be in force, and is not.
pub fn shortfalls(state: &State) -> Vec<Shortfall> {
    let told = |found: &skerry_runtime::Shortfall| Shortfall {
        field: path_of(&found.field).to_owned(),
        why: found.why.clone(),
    };
    state.shortfalls.iter().map(told).collect()
}

fn with_security(launch: Launch, spec: &AgentSpec) -> Result<Launch, ContainerError> {
    let security = &spec.security;
    let rlimit = |limit: &skerry_core::agent::Rlimit| skerry_runtime::Rlimit {
        soft: Some(limit.soft).filter(|value| *value < u64::MAX),
        hard: Some(limit.hard).filter(|value| *value < u64::MAX),
    };
    let device = |device: &skerry_core::agent::Device| skerry_runtime::Device {
        path: PathBuf::from(&device.path),
        target: device.target.as_ref().map(PathBuf::from),
        read: device.permissions.read,
        write: device.permissions.write,
        mknod: device.permissions.mknod,
    };
    let paths = |paths: &Option<Vec<String>>| {
        paths.as_ref().map(|paths| paths.iter().map(PathBuf::from).collect())
    };
    let granted = security.capabilities.granted();
    for (index, device) in security.devices.iter().enumerate() {
        if !Path::new(&device.path).exists() {
            let why = format!("'{}' is not on this device", device.path);
            return Err(ContainerError::field(format!("security.devices[{index}].path"), why));
        }
    }
    Ok(Launch {
        capabilities: granted.into_iter().map(|name| format!("CAP_{name}")).collect(),
        read_only_root: security.read_only_root_filesystem.unwrap_or(true),
        no_new_privileges: security.no_new_privileges.unwrap_or(true),
        seccomp: match &security.seccomp {
            Seccomp::Default => skerry_runtime::Seccomp::Default,
            Seccomp::Unconfined => skerry_runtime::Seccomp::Unconfined,
            Seccomp::Profile(profile) => skerry_runtime::Seccomp::Profile(filter(profile)?),
        },
        devices: security.devices.iter().map(device).collect(),
        rlimits: security.rlimits.iter().map(|(name, l)| (name.clone(), rlimit(l))).collect(),
        sysctls: security.sysctls.clone(),
        masked_paths: paths(&security.masked_paths),
        readonly_paths: paths(&security.readonly_paths),
        privileged: security.privileged,
        ..launch
    })
}

/// A profile in the runtime's words; the spec has been checked, so each word is known.
fn filter(profile: &SeccompProfile) -> Result<Profile, ContainerError> {
    let fail = |why| ContainerError::field("security.seccomp", why);
    let rule = |rule: &skerry_core::agent::SyscallRule| {
        let args = rule.args.iter().map(|arg| {
            Ok(Argument {
                index: u32::from(arg.index),
                value: arg.value,
                value_two: arg.value_two.unwrap_or_default(),
                op: compare(&arg.op).ok_or_else(|| format!("'{}' is unknown", arg.op))?,
            })
        });
        Ok(Rule {
            names: rule.names.clone(),
            action: action(&rule.action)?,
            errno_ret: rule.errno_ret,
            args: args.collect::<Result<_, String>>()?,
        })
    };
    let rules: Result<_, String> = profile.syscalls.iter().map(rule).collect();
    Ok(Profile {
        default_action: action(&profile.default_action).map_err(fail)?,
        default_errno_ret: profile.default_errno_ret,
        architectures: profile.architectures.clone(),
        syscalls: rules.map_err(fail)?,
    })
}

fn action(word: &str) -> Result<Action, String> {
    match word {
        "SCMP_ACT_ALLOW" => Ok(Action::Allow),
        "SCMP_ACT_ERRNO" => Ok(Action::Errno),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(Action::KillThread),
        "SCMP_ACT_KILL_PROCESS" => Ok(Action::KillProcess),
        "SCMP_ACT_LOG" => Ok(Action::Log),
        "SCMP_ACT_TRAP" => Ok(Action::Trap),
        other => Err(format!("'{other}' cannot be enforced")),
    }
}

fn compare(word: &str) -> Option<Compare> {
    Some(match word {
        "SCMP_CMP_NE" => Compare::NotEqual,
        "SCMP_CMP_LT" => Compare::Less,
        "SCMP_CMP_LE" => Compare::LessOrEqual,
        "SCMP_CMP_EQ" => Compare::Equal,
        "SCMP_CMP_GE" => Compare::GreaterOrEqual,
        "SCMP_CMP_GT" => Compare::Greater,
        "SCMP_CMP_MASKED_EQ" => Compare::MaskedEqual,
        _ => return None,
    })
}

/// The spec's path of a field of the launch.
pub(super) fn path_of(field: &str) -> &str {
    match field {
        "args" => "command",
        "args, env or hostname" => "command, args, env or hostname",
        "cwd" => "workdir",
        "limits.memory_bytes" => "resources.limits.memory",
        "limits.swap_bytes" => "resources.limits.swap",
        "limits.cpu_millis" => "resources.limits.cpu",
        "limits.cpu_weight" | "oom_score_adj" => "priority",
        "limits.cpuset" => "resources.limits.cpuset",
        "limits.pids" => "resources.limits.pids",
        "limits.io_weight" => "resources.limits.io.weight",
        "limits.io_devices" => "resources.limits.io.devices",
        "log" => "logging",
        "log.rate_limit" => "logging.rateLimit",
        "stop.pre_stop" => "stop.preStop",
        "capabilities" => "security.capabilities",
        "read_only_root" => "security.readOnlyRootFilesystem",
        "seccomp" => "security.seccomp",
        "devices" => "security.devices",
        "rlimits" => "security.rlimits",
        "sysctls" => "security.sysctls",
        "no_new_privileges" => "security.noNewPrivileges",
        "masked_paths" => "security.maskedPaths",
        "readonly_paths" => "security.readonlyPaths",
        "privileged" => "security.privileged",
        "user_namespace" => "security.userNamespace",
        "network" => "network.mode",
        "ipc" | "uts" => "pod",
        other => other,
    }
}

#[cfg(test)]
mod tests;
