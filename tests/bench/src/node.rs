//! A real node under measurement: how soon it answers, and what it costs with ten idle agents.
//! It is offline: no broker is configured. It never judges; `report.rs` does.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::contestant::{Contestant, Mode, said_by};
use crate::cost::{Counters, Memory, counters, memory, running, threads};
use crate::error::Error;
use crate::ground::{Ground, make_dir, write};
use crate::process::{now, run, wait};
use crate::race::milliseconds;
use crate::sandbox::{CGROUP_PARENT, CPU_QUOTA, MEMORY, PIDS};
use crate::stats::{Spread, spread};

mod figures;

/// What a client asks to know whether the node answers.
const QUESTION: &[u8] = b"GET /v1/status HTTP/1.1\r\nHost: skerry\r\nConnection: close\r\n\r\n";
/// How many agents are idle while the cost is taken.
pub const AGENTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(20);

/// A node process of ours, and how to talk to it.
pub struct Node {
    program: PathBuf,
    config: PathBuf,
    socket: PathBuf,
    state: PathBuf,
    errors: PathBuf,
    child: Child,
}

/// What was measured of a node.
#[derive(Clone, Debug)]
pub struct NodeFigures {
    /// Milliseconds until the first answer of a node that has no state yet.
    pub first_ready: f64,
    /// The same, of a node that finds its agents running.
    pub ready_again: Option<Spread>,
    /// Memory of the node process.
    pub node: Memory,
    /// How many threads it has.
    pub threads: usize,
    /// Memory of each monitor.
    pub monitors: Vec<Memory>,
    /// How long it was watched while idle, in seconds.
    pub seconds: f64,
    /// What the node did in that time.
    pub node_did: Counters,
    /// What all monitors did together in that time.
    pub monitors_did: Counters,
}

impl Node {
    /// Starts a node without any state and waits until it answers; says how long that took.
    ///
    /// # Errors
    /// When it does not start, or does not answer in time.
    pub fn first_start(ground: &Ground, program: &Path) -> Result<(Self, f64), Error> {
        let own = ground.device();
        std::fs::copy(program, &own).map_err(|e| Error::at("copy", program, e))?;
        let (state, run) = (ground.data.join("state"), ground.run.join("node"));
        make_dir(&state)?;
        make_dir(&run)?;
        let config = ground.run.join("skerry.toml");
        let text = format!(
            "node = \"bench\"\nstate_dir = {state:?}\nrun_dir = {run:?}\n\
             cgroup = \"/{CGROUP_PARENT}/node\"\n",
        );
        write(&config, &text)?;
        let errors = ground.run.join("node-errors");
        let begin = now();
        let child = spawn(&own, &config, &errors)?;
        let socket = run.join("api.sock");
        let mut node = Self { program: own, config, socket, state, errors, child };
        let ready = node.ready_since(begin)?;
        Ok((node, ready))
    }

    /// Ends the node process, as an upgrade does, and starts it again.
    fn restart(&mut self) -> Result<f64, Error> {
        self.stop()?;
        let begin = now();
        self.child = spawn(&self.program, &self.config, &self.errors)?;
        self.ready_since(begin)
    }

    /// Ends the node process; its agents run on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<(), Error> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|e| Error::of("end", "the node", e))?;
        wait(&mut self.child, "skerry node").map(|_| ())
    }

    fn ready_since(&mut self, begin: u64) -> Result<f64, Error> {
        let late = Instant::now() + PATIENCE;
        while Instant::now() < late {
            if answers(&self.socket) {
                return Ok(milliseconds(now() - begin));
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let said = std::fs::read_to_string(&self.errors).unwrap_or_default();
                return Err(Error::Command {
                    command: "skerry node".into(),
                    status: status.to_string(),
                    said,
                });
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err(Error::Late { object: "the node's answer".into(), seconds: PATIENCE.as_secs() })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processes that watch over its agents.
    pub fn monitors(&self) -> Vec<u32> {
        let mut pids = running(&self.program);
        pids.retain(|pid| *pid != self.child.id());
        pids
    }

    /// Where it keeps the names of its images.
    pub fn images(&self) -> PathBuf {
        self.state.join("images")
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// When it does not answer, or not in JSON.
    pub fn status(&self) -> Result<serde_json::Value, Error> {
        let mut stream = UnixStream::connect(&self.socket)
            .map_err(|e| Error::at("connect to", &self.socket, e))?;
        let mut answer = String::new();
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.write_all(QUESTION))
            .and_then(|()| stream.read_to_string(&mut answer))
            .map_err(|e| Error::at("ask", &self.socket, e))?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|_| Error::form("the node's status", &answer))
    }

    /// What talks to this node.
    pub fn client(&self) -> Client {
        Client {
            program: self.program.clone(),
            socket: self.socket.clone(),
            state: self.state.clone(),
            errors: self.errors.with_extension("client"),
        }
    }

    /// Runs ten idle agents, and takes what they and the node cost.
    ///
    /// # Errors
    /// When the agents do not run, or a figure cannot be had.
    pub fn figures(&mut self, first_ready: f64, idle: Duration) -> Result<NodeFigures, Error> {
        let names: Vec<String> = (0..AGENTS).map(|number| format!("idle-{number}")).collect();
        let client = self.client();
        for name in &names {
            client.run(name, "wait")?;
        }
        let node = self.child.id();
        let monitors = self.await_monitors()?;
        std::thread::sleep(Duration::from_secs(3));
        let before = (counters(node)?, sum(&monitors)?);
        let begin = Instant::now();
        std::thread::sleep(idle);
        let seconds = begin.elapsed().as_secs_f64();
        let (node_did, monitors_did) =
            (counters(node)?.since(before.0), sum(&monitors)?.since(before.1));
        let mut figures = NodeFigures {
            first_ready,
            ready_again: None,
            node: memory(node)?,
            threads: threads(node),
            monitors: monitors.iter().map(|pid| memory(*pid)).collect::<Result<_, _>>()?,
            seconds,
            node_did,
            monitors_did,
        };
        let again = (0..10).map(|_| self.restart()).collect::<Result<Vec<_>, _>>()?;
        figures.ready_again = spread(&again);
        for name in &names {
            client.remove(name)?;
        }
        Ok(figures)
    }

    fn await_monitors(&self) -> Result<Vec<u32>, Error> {
        let late = Instant::now() + PATIENCE;
        while Instant::now() < late {
            let pids = self.monitors();
            if pids.len() == AGENTS {
                return Ok(pids);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Error::Late { object: "ten monitors".into(), seconds: PATIENCE.as_secs() })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn spawn(program: &Path, config: &Path, errors: &Path) -> Result<Child, Error> {
    let file = std::fs::File::create(errors).map_err(|e| Error::at("create", errors, e))?;
    Command::new(program)
        .arg("node")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .map_err(|e| Error::at("start", program, e))
}

fn answers(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let mut answer = [0_u8; 12];
    let asked = stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .and_then(|()| stream.write_all(QUESTION))
        .and_then(|()| stream.read_exact(&mut answer));
    asked.is_ok() && answer.ends_with(b" 200")
}

fn sum(pids: &[u32]) -> Result<Counters, Error> {
    let mut total = Counters::default();
    for pid in pids {
        let one = counters(*pid)?;
        total.switches += one.switches;
        total.written += one.written;
    }
    Ok(total)
}

/// Skerry's own command line, pointed at our node.
#[derive(Clone)]
pub struct Client {
    program: PathBuf,
    socket: PathBuf,
    state: PathBuf,
    errors: PathBuf,
}

impl Client {
    /// A command line of it, with this node named.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.socket).arg("--state-dir").arg(&self.state);
        command.args(arguments).stdout(Stdio::null());
        command
    }

    /// Packs the probe in one mode as the image `bench-MODE`.
    ///
    /// # Errors
    /// When it cannot be packed.
    pub fn pack(&self, rootfs: &Path, mode: &str) -> Result<(), Error> {
        // The flood's size comes as an argument.
        let entrypoint = format!(r#"["/probe","{mode}"]"#);
        let name = format!("bench-{mode}");
        let mut command = self.command(&["image", "pack", "--name", &name, "--entrypoint"]);
        run(command.arg(entrypoint).arg(rootfs), &self.errors)
    }

    /// Runs an agent within the limits that all contestants have.
    fn run(&self, name: &str, mode: &str) -> Result<(), Error> {
        let (memory, cpus) = (format!("{}Mi", MEMORY >> 20), format!("{}m", CPU_QUOTA / 100));
        let (pids, image) = (PIDS.to_string(), format!("bench-{mode}"));
        let arguments =
            ["run", "--name", name, "--restart", "never", "--memory", &memory, "--cpus"];
        let mut command = self.command(&arguments);
        run(command.args([&cpus, "--pids-limit", &pids, &image]), &self.errors)
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        run(&mut self.command(&["rm", "--force", name]), &self.errors)
    }

    fn logs(&self, name: &str) -> Result<String, Error> {
        said_by(&mut self.command(&["logs", name]), &self.errors)
    }
}

/// The whole way: a command line asks the node, which starts a monitor, which starts the probe.
pub struct WholeWay {
    client: Client,
    count: usize,
}

impl WholeWay {
    /// A contestant that goes through this client's node.
    pub fn new(client: Client) -> Self {
        Self { client, count: 0 }
    }

    /// Another name each time, so that no log is taken for another's.
    fn agent(&self) -> String {
        format!("bench-{}", self.count)
    }
}

impl Contestant for WholeWay {
    fn name(&self) -> &'static str {
        "skerry run"
    }

    fn how(&self) -> String {
        "skerry run --name N IMAGE (command line, node, monitor)".into()
    }

    fn start(&mut self, mode: Mode) -> Result<String, Error> {
        self.count += 1;
        // `skerry run` waits until the agent runs, so it has to be one that stays.
        let (image, end) = match mode {
            Mode::Once => ("wait", "\n"),
            Mode::Show => ("both", "== end"),
        };
        self.client.run(&self.agent(), image)?;
        let late = Instant::now() + PATIENCE;
        while Instant::now() < late {
            let said = self.client.logs(&self.agent())?;
            if said.contains("probe ") && said.contains(end) {
                return Ok(said);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(Error::Late { object: "the agent's log".into(), seconds: PATIENCE.as_secs() })
    }

    fn clear(&mut self) -> Result<(), Error> {
        self.client.remove(&self.agent())
    }
}
