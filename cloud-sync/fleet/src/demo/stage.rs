//! What the demo plays on: a temporary folder, a broker, a node; and how it is cleared away.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use skerry_core::ids::NodeName;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::skerry::Skerry;
use super::traces::Traces;
use crate::files::{self, Readers};
use crate::output;

/// The node's name.
pub const NODE: &str = "box-1";
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(50);
/// How long a process may take to begin or to end.
const PROCESS_MAX: Duration = Duration::from_secs(20);
/// So many lines of the node's log are shown when something fails.
const TAIL: usize = 20;

/// Everything that was started, and where.
pub struct Stage {
    /// The temporary folder.
    pub dir: PathBuf,
    /// The `skerry` program, pointed at the demo's node.
    pub skerry: Skerry,
    /// The sample agent.
    pub sensor: PathBuf,
    /// The control group of the demo alone.
    pub cgroup: String,
    /// Where the broker listens.
    pub port: u16,
    broker: Option<Child>,
    node: Option<Child>,
    step: u32,
}

impl Stage {
    /// An empty stage in a new temporary folder.
    pub fn new(skerry: PathBuf, sensor: PathBuf) -> anyhow::Result<Self> {
        for program in [&skerry, &sensor] {
            if !program.is_file() {
                bail!("there is no program {}", program.display());
            }
        }
        let skerry = fs::canonicalize(&skerry).context("cannot find the skerry program")?;
        let id = std::process::id();
        let dir = std::env::temp_dir().join(format!("skerry-demo-{id}"));
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("cannot find a free port")?
            .port();
        let skerry = Skerry::new(skerry, dir.join("run/api.sock"), dir.join("state"));
        let cgroup = format!("/skerry-demo-{id}");
        Ok(Self { dir, skerry, sensor, cgroup, port, broker: None, node: None, step: 0 })
    }

    /// Begins a step: its number, and what it shows.
    pub fn step(&mut self, title: &str) -> anyhow::Result<()> {
        self.step += 1;
        output::line(&format!("\n{:>2}. {title}", self.step))
    }

    /// The step that was begun last.
    pub fn step_number(&self) -> u32 {
        self.step
    }

    /// The broker's address.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// The node's name.
    pub fn node_name(&self) -> anyhow::Result<NodeName> {
        Ok(NODE.parse()?)
    }

    /// Starts this program's broker, and waits until it listens.
    pub async fn start_broker(&mut self) -> anyhow::Result<u32> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.args(["broker", "--listen", &format!("127.0.0.1:{}", self.port)]);
        let child = self.spawn(command, "broker.log")?;
        let pid = child.id().unwrap_or_default();
        self.broker = Some(child);
        let (port, log) = (self.port, self.dir.join("broker.log"));
        let broker = &mut self.broker;
        until("the broker listens", PROCESS_MAX, async || {
            if let Some(ended) = broker.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                bail!("the broker ended ({ended}): {}", tail(&log));
            }
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok())
        })
        .await?;
        Ok(pid)
    }

    /// Starts the node, and waits until it answers.
    pub async fn start_node(&mut self) -> anyhow::Result<u32> {
        let mut command = Command::new(self.skerry.program());
        command.arg("node").arg("--config").arg(self.dir.join("skerry.toml"));
        let child = self.spawn(command, "node.log")?;
        let pid = child.id().unwrap_or_default();
        self.node = Some(child);
        let (node, skerry) = (&mut self.node, &self.skerry);
        until("the node answers on its socket", PROCESS_MAX, async || {
            if let Some(ended) = node.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                bail!("the node ended ({ended})");
            }
            Ok(skerry.status().await.ok())
        })
        .await?;
        Ok(pid)
    }

    /// A child in a process group of its own, so that Ctrl-C reaches us alone.
    fn spawn(&self, mut command: Command, log: &str) -> anyhow::Result<Child> {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SKERRY_") {
                command.env_remove(name);
            }
        }
        let path = self.dir.join(log);
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot open {}", path.display()))?;
        let other = log.try_clone().context("cannot use the log twice")?;
        command.stdin(Stdio::null()).stdout(log).stderr(other).process_group(0).kill_on_drop(true);
        let shown = command.as_std().get_program().display().to_string();
        command.spawn().with_context(|| format!("cannot start {shown}"))
    }

    /// Ends the broker as a power cut would.
    pub async fn kill_broker(&mut self) -> anyhow::Result<()> {
        end(&mut self.broker, End::Kill).await.context("cannot end the broker")
    }

    /// Ends the node as a power cut would.
    pub async fn kill_node(&mut self) -> anyhow::Result<()> {
        end(&mut self.node, End::Kill).await.context("cannot end the node")
    }

    /// Asks the node to end, and waits for it.
    pub async fn stop_node(&mut self) -> anyhow::Result<()> {
        end(&mut self.node, End::Ask).await.context("cannot end the node")
    }

    /// Asks the broker to end, and waits for it.
    pub async fn stop_broker(&mut self) -> anyhow::Result<()> {
        end(&mut self.broker, End::Ask).await.context("cannot end the broker")
    }

    /// What is left of the demo on this machine, by the kernel's word.
    pub fn traces(&self) -> Traces {
        Traces::of(&self.dir, &self.cgroup)
    }

    /// The last lines of the node's log.
    pub fn node_log_tail(&self) -> String {
        format!("the last lines of the node's log:\n{}", tail(&self.dir.join("node.log")))
    }

    /// Removes everything, however far the demo came, and returns what could not be removed.
    pub async fn clean_up(&mut self, keep: bool) -> Vec<String> {
        let mut problems = Vec::new();
        for ended in [self.stop_node().await, self.stop_broker().await] {
            problems.extend(ended.err().map(|error| format!("{error:#}")));
        }
        problems.extend(self.traces().remove().await);
        if keep {
            // Told even when nobody reads; there is nothing to be done about it.
            let _ = output::line(&format!("\nThe folder {} is kept.", self.dir.display()));
        } else if let Err(error) = fs::remove_dir_all(&self.dir) {
            problems.push(format!("cannot remove {}: {error}", self.dir.display()));
        }
        problems
    }

    /// Writes a file of the stage.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(name);
        files::write(&path, text.as_bytes(), Readers::All)?;
        Ok(path)
    }
}

/// One line of evidence.
pub fn fact(text: &str) -> anyhow::Result<()> {
    output::line(&format!("      {text}"))
}

/// Looks again and again until there is something to see, or the time is over.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if Instant::now() > end {
            bail!("waited {} s in vain until {what}", limit.as_secs());
        }
        sleep(LOOK).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Ask,
    Kill,
}

/// Ends a child that may have ended already. One that does not listen is killed, and that is told.
async fn end(child: &mut Option<Child>, how: End) -> anyhow::Result<()> {
    let Some(mut child) = child.take() else { return Ok(()) };
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { return Ok(()) };
    let signal = match how {
        End::Ask => rustix::process::Signal::TERM,
        End::Kill => rustix::process::Signal::KILL,
    };
    match rustix::process::kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(error.into()),
    }
    if let Ok(ended) = timeout(PROCESS_MAX, child.wait()).await {
        ended?;
        return Ok(());
    }
    child.kill().await?;
    bail!("it did not end within {} s, and was killed", PROCESS_MAX.as_secs())
}

fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL);
    let lines: Vec<_> = lines.iter().skip(from).map(|line| format!("  | {line}")).collect();
    if lines.is_empty() { "  | (empty)".to_owned() } else { lines.join("\n") }
}

/// Makes sure that a file is there, to fail early with its name.
pub fn readable(path: &Path) -> anyhow::Result<()> {
    File::open(path).map(drop).with_context(|| format!("cannot read {}", path.display()))
}
