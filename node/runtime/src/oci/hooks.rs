//! Programs that the configuration wants run at turns of a container's life.
//!
//! Each gets the container's state on its standard input, and no longer than its time. Hooks of the
//! stages that libcontainer reaches in the middle of its work run in `skerry oci hook`, which it
//! starts as if that were the hook ([`Hooks::relayed`]): so all of them see the same state.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::args::Call;
use super::config::Mount;
use super::late;
use super::log::Log;
use super::state::Container;
use super::{OciError, Result, refused, system};

/// Bytes of the state that libcontainer hands over; it is a few hundred.
const STATE_MAX: u64 = 1 << 20;

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    pub prestart: Vec<Hook>,
    pub create_runtime: Vec<Hook>,
    pub create_container: Vec<Hook>,
    pub start_container: Vec<Hook>,
    pub poststart: Vec<Hook>,
    pub poststop: Vec<Hook>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Hook {
    pub path: String,
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub timeout: Option<i64>,
}

impl Hooks {
    /// Every stage with its name.
    fn stages(&self) -> [(&'static str, &Vec<Hook>); 6] {
        [
            ("prestart", &self.prestart),
            ("createRuntime", &self.create_runtime),
            ("createContainer", &self.create_container),
            ("startContainer", &self.start_container),
            ("poststart", &self.poststart),
            ("poststop", &self.poststop),
        ]
    }

    /// The hooks of a stage.
    fn of(&self, stage: &str) -> &[Hook] {
        let found = self.stages().into_iter().find(|(name, _)| *name == stage);
        found.map(|(_, hooks)| hooks.as_slice()).unwrap_or_default()
    }

    pub fn check(&self) -> Result<()> {
        for (stage, hooks) in self.stages() {
            for hook in hooks {
                if !hook.path.starts_with('/') {
                    return refused(format!("{stage} hook path '{}' is not absolute", hook.path));
                }
                if hook.timeout.is_some_and(|seconds| seconds <= 0) {
                    return refused(format!("{stage} hook {}: timeout must be above 0", hook.path));
                }
            }
        }
        Ok(())
    }

    /// How long the stages before the start may take; `None` if one of them has no limit.
    pub fn patience(&self) -> Option<Duration> {
        let early = [&self.prestart, &self.create_runtime, &self.create_container];
        let times = early.into_iter().flatten().map(|hook| hook.timeout);
        let sum: Option<i64> = times.sum();
        sum.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
    }

    /// Hooks for libcontainer's copy of the configuration, which lead back here.
    pub fn relayed(&self, container: &Container, late: &[Mount]) -> Value {
        let state = container.oci_state("creating", 0);
        let order = Order {
            dir: container.dir.clone(),
            hooks: self.clone(),
            state,
            root: container.record.rootfs.clone(),
            late: late.to_vec(),
        };
        let order = json!(order).to_string();
        let relay = |stage: &str| json!([{ "path": "/proc/self/exe", "args": ["skerry-oci", "hook", stage, order] }]);
        let mut hooks = json!({});
        if !(self.prestart.is_empty() && self.create_runtime.is_empty() && late.is_empty()) {
            hooks["createRuntime"] = relay("createRuntime");
        }
        if !self.create_container.is_empty() {
            hooks["createContainer"] = relay("createContainer");
        }
        hooks
    }
}

/// How a hook ended, in Go's words.
fn how(ended: ExitStatus) -> String {
    let name = match ended.signal() {
        Some(nix::libc::SIGSYS) => "bad system call",
        Some(nix::libc::SIGKILL) => "killed",
        Some(nix::libc::SIGTERM) => "terminated",
        Some(nix::libc::SIGSEGV) => "segmentation fault",
        Some(number) => return format!("signal: {number}"),
        None => return format!("exit status {}", ended.code().unwrap_or_default()),
    };
    format!("signal: {name}")
}

/// What a relayed stage has to do; in a user namespace it may not read the container's folder.
#[derive(Serialize, Deserialize)]
struct Order {
    dir: PathBuf,
    hooks: Hooks,
    state: Value,
    root: PathBuf,
    late: Vec<Mount>,
}

/// Runs all hooks of a stage, in order; stops at the first that fails.
pub fn run(hooks: &Hooks, stage: &str, state: &Value, env: Option<&[String]>) -> Result<()> {
    for (at, hook) in hooks.of(stage).iter().enumerate() {
        run_one(hook, state, env).map_err(|error| {
            let error = super::sentence(&error);
            OciError::Refused(format!("error running {stage} hook #{at}: {error}"))
        })?;
    }
    Ok(())
}

/// The same for stages whose failure changes nothing.
pub fn run_anyway(hooks: &Hooks, stage: &str, state: &Value, log: &Log) {
    for hook in hooks.of(stage) {
        if let Err(error) = run_one(hook, state, None) {
            let error = super::sentence(&error);
            log.warn(&format!("error running {stage} hook {}: {error}", hook.path));
        }
    }
}

fn run_one(hook: &Hook, state: &Value, env: Option<&[String]>) -> Result<()> {
    let mut command = Command::new(&hook.path);
    command.env_clear();
    let env = if hook.env.is_empty() { env.unwrap_or_default() } else { &hook.env };
    for entry in env {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        command.env(name, value);
    }
    if let Some((arg0, args)) = hook.args.split_first() {
        command.arg0(arg0).args(args);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(system(format!("fork/exec {}", hook.path)))?;
    if let Some(mut input) = child.stdin.take() {
        // A hook that does not read its state may end before it is written; how it ends counts.
        let _ = input.write_all(state.to_string().as_bytes());
    }
    wait(child, hook)
}

fn wait(mut child: Child, hook: &Hook) -> Result<()> {
    let watch = system("cannot watch a hook");
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).map_err(watch)?;
    // Its output is kept for the message if it fails; a hook that leaves children behind which
    // hold the pipe must not be waited for.
    let mut output = super::console::Tail::new(child.stdout.take(), child.stderr.take());
    let until = hook.timeout.and_then(|seconds| {
        let time = Duration::from_secs(u64::try_from(seconds).ok()?);
        std::time::Instant::now().checked_add(time)
    });
    loop {
        let left = until.map(|at| at.saturating_duration_since(std::time::Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        fds.extend(output.poll_fds());
        let woken = poll(&mut fds, left.as_ref());
        let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        match woken {
            Ok(0) => {
                let _ = child.kill();
                let _ = child.wait();
                return refused(format!("hook {} ran past timeout", hook.path));
            }
            Ok(_) => output.take(),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(system("cannot wait for a hook")(errno)),
        }
        if ended {
            break;
        }
    }
    output.take();
    let ended = child.wait().map_err(system("cannot collect a hook"))?;
    match ended.success() {
        true => Ok(()),
        false => {
            refused(format!("error running hook: {}, stdout/stderr: {}", how(ended), output.text()))
        }
    }
}

/// `skerry oci hook STAGE ORDER`: the hooks of a stage, on behalf of libcontainer, which has started
/// this in the namespaces that the stage is about, with its idea of the state on standard input.
pub fn relay(call: &Call) -> Result<u8> {
    let [stage, order] = call.words.as_slice() else { return refused("hook STAGE ORDER") };
    let order: Value = serde_json::from_slice(order.as_bytes()).unwrap_or_default();
    let Ok(Order { dir, hooks, mut state, root, late }) = Order::deserialize(&order) else {
        return refused("hook STAGE ORDER");
    };
    let mut theirs = Vec::new();
    // What cannot be read is no state.
    let _ = std::io::stdin().take(STATE_MAX).read_to_end(&mut theirs);
    let theirs: Value = serde_json::from_slice(&theirs).unwrap_or_default();
    // In the container's process namespace its first process is this one's parent.
    let parent = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
    let pid = theirs.get("pid").and_then(Value::as_i64).filter(|pid| *pid > 0);
    state["pid"] = json!(pid.unwrap_or_else(|| i64::from(parent)));
    let told = |error: OciError| {
        // libcontainer says no more than the exit code.
        let _ = std::fs::write(dir.join(FAILED), super::sentence(&error));
        error
    };
    if stage == "createRuntime" {
        let init = pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(parent);
        late::place(&late, &root, init).map_err(told)?;
        run(&hooks, "prestart", &state, None).map_err(told)?;
    }
    if stage == "createContainer" {
        std::env::set_current_dir(&root).map_err(system("cannot enter the root file system"))?;
    }
    run(&hooks, stage, &state, None).map_err(told)?;
    Ok(0)
}

/// Why a relayed hook failed.
pub const FAILED: &str = "hook-failed";
