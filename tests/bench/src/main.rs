//! `skerry-bench`: measures Skerry beside its peers and the floor, and writes the result down.
//!
//! This file tells the order: lay the ground, let each contestant show its sandbox, race, measure
//! the node, report. It never touches a clock itself (`race.rs`) and never judges (`report.rs`).

mod contestant;
mod cost;
mod crowd;
mod error;
mod ground;
mod inside;
mod machine;
mod node;
mod oci;
mod options;
mod planning;
mod process;
mod race;
mod report;
mod sandbox;
mod skerry;
mod stats;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use rustix::process::{getpid, getuid, set_child_subreaper};

use contestant::{Bare, Contestant, Floor, Mode};
use crowd::{Peer, Podman, Runc};
use ground::Ground;
use inside::Inside;
use node::{Node, NodeFigures, WholeWay};
use oci::{Oci, Style};
use options::Options;
use race::{Rules, first_instruction, race};
use report::{Entry, Outcome};
use sandbox::{Cgroups, Join};

/// Starts in a row that count, of those back to back.
const BURST: usize = 4;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(getuid().is_root(), "containers need root: run this as root");
    set_child_subreaper(Some(getpid())).context("cannot become the subreaper")?;
    let ground = Ground::lay(&options.native)?;
    let outcome = measure(&options, &ground)?;
    drop(ground);
    let text = report::write(&outcome);
    println!("\n{text}");
    if let Some(path) = &options.markdown {
        std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("Written to {}", path.display());
    }
    Ok(())
}

fn measure(options: &Options, ground: &Ground) -> anyhow::Result<Outcome> {
    let machine = machine::describe(ground.cgroups);
    let mut left_out = Vec::new();
    let mut contestants = gather(options, ground)?;
    let mut node = begin_node(options, ground)?;
    if let Some((node, _)) = &node {
        contestants.push(Box::new(WholeWay::new(node.client())));
    }
    let insides = show(&mut contestants, &mut left_out)?;
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 50 });
    let mut run = |name: &str, rounds: usize, burst: usize, gap: u64| {
        println!("Racing {} contestants, {rounds} × {burst}, {name} …", contestants.len());
        let limit = Duration::from_secs(70);
        race(&mut contestants, Rules { rounds, burst, gap: Duration::from_millis(gap), limit })
    };
    let back_to_back = run("back to back", rounds.div_ceil(BURST), BURST, 0)?;
    let rested = run("each after 100 ms of rest", rounds, 1, 100)?;
    let crowd = node.as_ref().map(|(node, _)| crowd(options, ground, node, &mut left_out));
    let crowd = crowd.transpose()?;
    let node = node.as_mut().map(|(node, first_ready)| end_node(options, node, *first_ready));
    let entries = contestants
        .iter()
        .zip(insides)
        .zip(back_to_back.into_iter().zip(rested))
        .map(|((contestant, inside), (back_to_back, rested))| Entry {
            name: contestant.name(),
            how: contestant.how(),
            inside,
            back_to_back,
            rested,
        })
        .collect();
    let programs = [&options.runc, &options.youki, &options.skerry];
    Ok(Outcome {
        machine,
        command: options.command.clone(),
        versions: programs.into_iter().flatten().map(|p| machine::version(p)).collect(),
        entries,
        node: node.transpose()?,
        crowd,
        planning: planning::measure(if options.quick { 5 } else { 100 }),
        binary: options.skerry.as_deref().map(size).transpose()?,
        left_out,
        judged: !options.quick,
    })
}

/// A node with what the measurements need, and how long its first start took.
fn begin_node(options: &Options, ground: &Ground) -> anyhow::Result<Option<(Node, f64)>> {
    let Some(program) = options.skerry.as_deref().filter(|_| !options.no_node) else {
        return Ok(None);
    };
    let (node, ready) = Node::first_start(ground, program)?;
    for mode in ["wait", "both", "flood"] {
        node.client().pack(&ground.rootfs(), mode)?;
    }
    Ok(Some((node, ready)))
}

fn end_node(options: &Options, node: &mut Node, ready: f64) -> anyhow::Result<NodeFigures> {
    let seconds = options.idle.unwrap_or(if options.quick { 3 } else { 60 });
    println!("Watching the node with {} idle agents for {seconds} s …", node::AGENTS);
    let figures = node.figures(ready, Duration::from_secs(seconds))?;
    node.stop()?;
    Ok(figures)
}

/// Many agents at once, ours and the peers'.
fn crowd(
    options: &Options,
    ground: &Ground,
    node: &Node,
    left_out: &mut Vec<String>,
) -> anyhow::Result<crowd::Figures> {
    let counts = if options.quick { vec![10] } else { vec![50, 200] };
    let most = counts.iter().copied().max().unwrap_or_default();
    let mut peers: Vec<Box<dyn Peer>> = Vec::new();
    if let Some(program) = &options.runc {
        peers.push(Box::new(Runc::new(ground, program.clone(), most)?));
    }
    if let Some(program) = &options.podman {
        match Podman::new(ground, program.clone()) {
            Ok(podman) => peers.push(Box::new(podman)),
            Err(error) => left_out.push(format!("podman: {error}")),
        }
    }
    let idle = options.idle_crowd.unwrap_or(if options.quick { 3 } else { 600 });
    let scope = crowd::Scope { counts, idle: Duration::from_secs(idle), quick: options.quick };
    Ok(crowd::measure(ground, node, &mut peers, &scope)?)
}

fn size(program: &Path) -> anyhow::Result<u64> {
    let context = || format!("cannot look at {}", program.display());
    Ok(program.metadata().with_context(context)?.len())
}

/// The contestants that this machine has programs for.
fn gather(options: &Options, ground: &Ground) -> anyhow::Result<Vec<Box<dyn Contestant>>> {
    let errors = || ground.errors();
    let floor = |name: &'static str, join| -> anyhow::Result<Box<dyn Contestant>> {
        let plan = ground.plan(join, &plain(name))?;
        let joins = match (ground.cgroups, join) {
            (Cgroups::V2, _) => "cloned into its cgroup",
            (Cgroups::V1, Join::Thread) => "joins by `tasks`",
            (Cgroups::V1, Join::Process) => "joins by `cgroup.procs`",
        };
        Ok(Box::new(Floor { name, joins, program: ground.floor(), plan, errors: errors() }))
    };
    let mut list: Vec<Box<dyn Contestant>> = vec![
        Box::new(Bare { probe: ground.probe(), errors: errors() }),
        floor("floor", Join::Thread)?,
    ];
    if ground.cgroups == Cgroups::V1 {
        list.push(floor("floor, cgroup.procs", Join::Process)?);
    }
    let runtimes = [
        ("runc run", Style::Run, &options.runc),
        ("runc create+start", Style::CreateStart, &options.runc),
        ("youki create+start", Style::CreateStart, &options.youki),
    ];
    for (name, style, program) in runtimes {
        let Some(program) = program else { continue };
        let id = plain(name);
        list.push(Box::new(Oci {
            name,
            program: program.clone(),
            style,
            bundles: ground.bundles(&id)?,
            state: ground.run.join(&id),
            id,
            errors: errors(),
        }));
    }
    if let Some(program) = &options.skerry {
        list.push(Box::new(skerry::Monitor {
            program: program.clone(),
            rootfs: ground.rootfs(),
            run_dir: ground.run.join("monitor"),
            log_dir: ground.run.join("monitor-log"),
        }));
    }
    Ok(list)
}

/// A name as a file's and a cgroup's.
fn plain(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

/// Lets each contestant show its sandbox once. A peer that cannot is left out of the race, with
/// its reason; the floor and ours must be able to.
fn show(
    contestants: &mut Vec<Box<dyn Contestant>>,
    left_out: &mut Vec<String>,
) -> anyhow::Result<Vec<Inside>> {
    let mut insides = Vec::new();
    let mut able = Vec::new();
    for mut contestant in contestants.drain(..) {
        let name = contestant.name();
        let shown = contestant.start(Mode::Show).and_then(|said| {
            contestant.clear()?;
            first_instruction(&said)?;
            Ok(inside::read(&said))
        });
        match shown {
            Ok(inside) => {
                insides.push(inside);
                able.push(contestant);
            }
            Err(error) if name.starts_with("youki") => left_out.push(format!("{name}: {error}")),
            Err(error) => return Err(error).context(format!("{name} cannot start the probe")),
        }
    }
    *contestants = able;
    Ok(insides)
}
