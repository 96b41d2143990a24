//! Flags for what an agent may use, and for what is kept of its output. Pure.

use clap::Args;
use skerry_core::agent::{AgentSpec, Cpuset, Priority};
use skerry_core::ids::TierName;
use skerry_core::units::{Cpu, Memory};

use super::Usage;

const HEADING: &str = "Resources";

/// What it may use.
#[derive(Debug, Clone, Args)]
pub(super) struct ResourceArgs {
    /// The most memory, such as 64Mi; beyond it the agent is killed
    #[arg(short = 'm', long, value_name = "AMOUNT", value_parser = amount)]
    #[arg(help_heading = HEADING)]
    memory: Option<Memory>,
    /// The most memory and swap together; no swap by default
    #[arg(long, value_name = "AMOUNT", value_parser = amount, requires = "memory")]
    #[arg(help_heading = HEADING)]
    memory_swap: Option<Memory>,
    /// The most processor time, such as 0.5 or 500m
    #[arg(long, value_name = "CORES", help_heading = HEADING)]
    cpus: Option<Cpu>,
    /// The processors it may run on, such as 0-1,3
    #[arg(long, value_name = "LIST", help_heading = HEADING)]
    cpuset_cpus: Option<Cpuset>,
    /// The most processes and threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(help_heading = HEADING)]
    pids_limit: Option<u32>,
    /// low, normal (default), high or critical: who goes first
    #[arg(long, value_name = "CLASS", value_parser = priority, help_heading = HEADING)]
    priority: Option<Priority>,
    /// Requests and limits by a name of the node's configuration
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    tier: Option<TierName>,
    /// max-size=AMOUNT a file, max-file=N, rate-limit=AMOUNT a second
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::variable)]
    #[arg(help_heading = HEADING)]
    log_opt: Vec<(String, String)>,
}

/// An amount of memory; `64m` and `1g` as docker writes them, too.
pub(super) fn amount(text: &str) -> Result<Memory, String> {
    let docker = match text.strip_suffix('m').or_else(|| text.strip_suffix('g')) {
        Some(digits) if text.ends_with('m') => format!("{digits}Mi"),
        Some(digits) => format!("{digits}Gi"),
        None => text.to_owned(),
    };
    docker
        .parse()
        .map_err(|_| text.parse::<Memory>().err().map_or_else(String::new, |e| e.to_string()))
}

fn priority(text: &str) -> Result<Priority, String> {
    match text {
        "low" => Ok(Priority::Low),
        "normal" => Ok(Priority::Normal),
        "high" => Ok(Priority::High),
        "critical" => Ok(Priority::Critical),
        _ => Err("low, normal, high or critical is expected".to_owned()),
    }
}

impl ResourceArgs {
    pub(super) fn put(self, spec: &mut AgentSpec) -> Result<(), Usage> {
        let limits = &mut spec.resources.limits;
        limits.memory = self.memory;
        limits.swap = match (self.memory, self.memory_swap) {
            (Some(memory), Some(total)) => Some(beyond(memory, total)?),
            _ => None,
        };
        limits.cpu = self.cpus;
        limits.cpuset = self.cpuset_cpus;
        limits.pids = self.pids_limit;
        spec.resources.tier = self.tier;
        spec.priority = self.priority.unwrap_or_default();
        for (key, value) in self.log_opt {
            let wrong = |why: String| Usage(format!("--log-opt {key}: {why}"));
            let logging = &mut spec.logging;
            match key.as_str() {
                "max-size" => logging.max_size = Some(amount(&value).map_err(wrong)?),
                "rate-limit" => logging.rate_limit = Some(amount(&value).map_err(wrong)?),
                "max-file" => {
                    let files = value.parse().map_err(|_| wrong("is not a number".to_owned()));
                    logging.max_files = Some(files?);
                }
                _ => {
                    let known = "is unknown; known are max-size, max-file and rate-limit";
                    return Err(wrong(known.to_owned()));
                }
            }
        }
        Ok(())
    }
}

fn beyond(memory: Memory, total: Memory) -> Result<Memory, Usage> {
    let swap = total.0.checked_sub(memory.0).map(Memory);
    swap.ok_or_else(|| {
        Usage("--memory-swap is memory and swap together: it is below --memory".into())
    })
}
