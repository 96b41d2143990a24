//! Many agents at once: how soon they run and are gone, what each costs while idle, what a flood of
//! output costs, and what a node does when nothing is to be done. It never judges; `report.rs` does.

mod figures;
mod peers;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::cost::{Counters, children, counters, memory, processor_ms};
use crate::error::Error;
use crate::ground::{Ground, make_dir, write};
use crate::node::Node;
use crate::process::run;
use crate::sandbox::{CPU_QUOTA, MEMORY, PIDS};

pub use peers::{Peer, Podman, Runc};

/// The longest that a crowd may take to run, or to be gone.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a node is made to plan anew while nothing is to be done.
const NUDGES: u32 = 100;
/// How much an agent writes in the flood, in MiB.
const FLOOD_MIB: u32 = 256;

/// How one contestant did with so many agents.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Who.
    pub name: &'static str,
    /// How many.
    pub count: usize,
    /// Seconds until all ran.
    pub start: f64,
    /// Seconds until all were gone.
    pub stop: f64,
    /// KiB of memory for each agent beyond its own: PSS of everything that stays with it.
    pub beside: Option<f64>,
}

/// What a flood of output came to.
#[derive(Clone, Debug)]
pub struct Flood {
    /// Who.
    pub name: &'static str,
    /// MiB a second from the program into the log.
    pub rate: f64,
    /// Processor milliseconds for each MiB, of the process that copies.
    pub cost: f64,
}

/// A node that has nothing to do.
#[derive(Clone, Debug)]
pub struct Idle {
    /// With how many agents.
    pub count: usize,
    /// For how long.
    pub seconds: f64,
    /// What node and monitors did together.
    pub did: Counters,
}

/// A node that is made to plan though nothing is to be done.
#[derive(Clone, Debug)]
pub struct NoOp {
    /// With how many agents.
    pub count: usize,
    /// Processor milliseconds of the node for each plan.
    pub cost: f64,
    /// Bytes written, over all.
    pub written: u64,
    /// Processes that came or went, over all.
    pub forks: usize,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Starting and stopping.
    pub crowds: Vec<Crowd>,
    /// Output.
    pub floods: Vec<Flood>,
    /// Idleness.
    pub idle: Option<Idle>,
    /// Plans without a step.
    pub no_op: Option<NoOp>,
}

/// How much is measured.
pub struct Scope {
    /// Sizes of crowds.
    pub counts: Vec<usize>,
    /// For how long idleness is watched.
    pub idle: Duration,
    /// How much of a flood.
    pub quick: bool,
}

/// Measures our node, and the peers that this machine has.
///
/// # Errors
/// When something does not start, or a figure cannot be had.
pub fn measure(
    ground: &Ground,
    node: &Node,
    peers: &mut [Box<dyn Peer>],
    scope: &Scope,
) -> Result<Figures, Error> {
    let mut figures = Figures::default();
    let ours = Ours { ground, node };
    for &count in &scope.counts {
        println!("A crowd of {count} …");
        figures.crowds.push(ours.crowd(count, scope, &mut figures.idle, &mut figures.no_op)?);
        for peer in peers.iter_mut() {
            figures.crowds.push(peer.crowd(count)?);
        }
    }
    println!("A flood of {FLOOD_MIB} MiB …");
    let mebibytes = if scope.quick { 16 } else { FLOOD_MIB };
    figures.floods.push(ours.flood(mebibytes)?);
    for peer in peers {
        figures.floods.extend(peer.flood(mebibytes)?);
    }
    Ok(figures)
}

struct Ours<'a> {
    ground: &'a Ground,
    node: &'a Node,
}

impl Ours<'_> {
    fn crowd(
        &self,
        count: usize,
        scope: &Scope,
        idle: &mut Option<Idle>,
        no_op: &mut Option<NoOp>,
    ) -> Result<Crowd, Error> {
        let file = self.manifest(count)?;
        let begin = Instant::now();
        self.client(&["apply", "-f"], &file)?;
        self.await_running(count)?;
        let start = begin.elapsed().as_secs_f64();
        std::thread::sleep(Duration::from_secs(3));
        let beside = Some(self.beside(count)?);
        if idle.is_none() {
            *idle = Some(self.idle(count, scope.idle)?);
        }
        *no_op = Some(self.no_op(count)?);
        // One agent has to stay in a manifest; it goes by itself.
        let last = self.manifest(1)?;
        let begin = Instant::now();
        self.client(&["apply", "--prune", "-f"], &last)?;
        self.await_known(1)?;
        let stop = begin.elapsed().as_secs_f64();
        run(&mut self.node.client().command(&["rm", "--force", "crowd-0"]), &self.ground.errors())?;
        self.await_known(0)?;
        Ok(Crowd { name: "skerry", count, start, stop, beside })
    }

    fn client(&self, verb: &[&str], file: &Path) -> Result<(), Error> {
        run(self.node.client().command(verb).arg(file), &self.ground.errors())
    }

    fn manifest(&self, count: usize) -> Result<PathBuf, Error> {
        let mut text = String::from("agents:\n");
        for number in 0..count {
            let limits = format!("{{memory: {MEMORY}, cpu: {}m, pids: {PIDS}}}", CPU_QUOTA / 100);
            text.push_str(&format!(
                "- {{name: crowd-{number}, image: bench-wait, restart: never, \
                 resources: {{limits: {limits}}}}}\n"
            ));
        }
        let path = self.ground.run.join(format!("crowd-{count}.yaml"));
        write(&path, &text)?;
        Ok(path)
    }

    fn await_running(&self, count: usize) -> Result<(), Error> {
        self.until(&format!("{count} running agents"), |states| {
            states.get("running").and_then(serde_json::Value::as_u64) == Some(count as u64)
        })
    }

    fn await_known(&self, count: u64) -> Result<(), Error> {
        self.until("the end of a crowd", |states| {
            let all = states.as_object().into_iter().flatten();
            all.filter_map(|(_, number)| number.as_u64()).sum::<u64>() <= count
        })
    }

    fn until(&self, what: &str, holds: impl Fn(&serde_json::Value) -> bool) -> Result<(), Error> {
        let late = Instant::now() + PATIENCE;
        while Instant::now() < late {
            if self.node.status().is_ok_and(|status| holds(&status["agents"])) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(Error::Late { object: what.to_owned(), seconds: PATIENCE.as_secs() })
    }

    /// Node and monitors, for each agent.
    fn beside(&self, count: usize) -> Result<f64, Error> {
        let node = self.node.pid();
        let mut pss = memory(node)?.pss;
        for monitor in self.node.monitors() {
            pss += memory(monitor)?.pss;
        }
        Ok(figures::number(pss) / figures::number(count as u64))
    }

    fn idle(&self, count: usize, time: Duration) -> Result<Idle, Error> {
        println!("Watching {count} idle agents for {} s …", time.as_secs());
        let all = || -> Result<Counters, Error> {
            let mut sum = counters(self.node.pid())?;
            for monitor in self.node.monitors() {
                let one = counters(monitor)?;
                sum.switches += one.switches;
                sum.written += one.written;
            }
            Ok(sum)
        };
        let (before, begin) = (all()?, Instant::now());
        std::thread::sleep(time);
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Idle { count, seconds, did: all()?.since(before) })
    }

    /// Each nudge is a file that appears among the images' names, which a node looks at.
    fn no_op(&self, count: usize) -> Result<NoOp, Error> {
        let node = self.node.pid();
        let index = self.node.images();
        make_dir(&index)?;
        let family = children(node);
        let before = (processor_ms(node)?, counters(node)?);
        for number in 0..NUDGES {
            let (aside, there) = (index.join(".nudge"), index.join(format!("nudge-{number}")));
            write(&aside, "")?;
            std::fs::rename(&aside, &there).map_err(|e| Error::at("rename", &aside, e))?;
            // The answer comes from the same thread: it has planned when it answers.
            self.node.status()?;
            std::fs::remove_file(&there).map_err(|e| Error::at("remove", &there, e))?;
            self.node.status()?;
        }
        let after = (processor_ms(node)?, counters(node)?);
        let now = children(node);
        let gone = family.iter().filter(|pid| !now.contains(pid)).count();
        let came = now.iter().filter(|pid| !family.contains(pid)).count();
        Ok(NoOp {
            count,
            cost: (after.0 - before.0) / f64::from(NUDGES * 2),
            written: after.1.since(before.1).written,
            forks: gone + came,
        })
    }

    fn flood(&self, mebibytes: u32) -> Result<Flood, Error> {
        let client = self.node.client();
        let amount = mebibytes.to_string();
        let name = "flood";
        let arguments = ["run", "--name", name, "--restart", "never", "bench-flood"];
        run(client.command(&arguments).arg(&amount), &self.ground.errors())?;
        let watched = peers::watch(|| self.node.monitors().first().copied())?;
        run(&mut client.command(&["rm", "--force", name]), &self.ground.errors())?;
        Ok(Flood::of("skerry monitor", mebibytes, watched))
    }
}

/// Podman's and runc's commands, and ours, all wait for one another: one crowd at a time.
fn each(count: usize, mut act: impl FnMut(usize) -> Result<(), Error>) -> Result<f64, Error> {
    let begin = Instant::now();
    for number in 0..count {
        act(number)?;
    }
    Ok(begin.elapsed().as_secs_f64())
}

/// A command of a peer, with its state where ours is.
fn command(program: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
