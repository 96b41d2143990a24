//! The command line. Pure.

use std::path::PathBuf;

use clap::Parser;

/// Measures start-up, memory and idleness of Skerry beside runc, youki and a floor of bare
/// system calls. Needs root.
#[derive(Parser, Debug)]
#[command(name = "skerry-bench")]
pub struct Options {
    /// Few rounds and no judgement: shows that everything can be measured.
    #[arg(long)]
    pub quick: bool,
    /// The device binary; without it only the others run.
    #[arg(long, value_name = "FILE")]
    pub skerry: Option<PathBuf>,
    /// The runc program; left out when there is none.
    #[arg(long, value_name = "FILE")]
    pub runc: Option<PathBuf>,
    /// The youki program; left out when there is none.
    #[arg(long, value_name = "FILE")]
    pub youki: Option<PathBuf>,
    /// The podman program; left out when there is none.
    #[arg(long, value_name = "FILE")]
    pub podman: Option<PathBuf>,
    /// Seconds of idleness that are counted with fifty agents.
    #[arg(long, value_name = "N")]
    pub idle_crowd: Option<u64>,
    /// Where floor.c and probe.c are.
    #[arg(long, value_name = "FOLDER", default_value = "tests/bench/native")]
    pub native: PathBuf,
    /// Writes the result there as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// The command to name in the result.
    #[arg(long, value_name = "TEXT", default_value = "tests/bench/run")]
    pub command: String,
    /// Rounds of each race.
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// Seconds of idleness that are counted.
    #[arg(long, value_name = "N")]
    pub idle: Option<u64>,
    /// Measures starts only, not the node.
    #[arg(long)]
    pub no_node: bool,
}
