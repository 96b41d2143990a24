//! The flags of `skerry run`, and the agent that they describe. Pure.

use clap::Args;
use skerry_core::agent::{AgentSpec, HealthCheck, Restart};
use skerry_core::ids::{AgentName, Digest, IdError, NAME_MAX};
use skerry_core::units::{Cpu, Memory, Span};

use super::failure::Usage;

/// What an agent is called whose image has no name.
const NAMELESS: &str = "agent";

/// Runs an image as a new agent, waits until it runs, and prints its name
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Its name; made from the image's by default
    #[arg(long)]
    name: Option<AgentName>,
    /// Set a variable; may be given several times
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// The most memory, such as 64Mi; beyond it the agent is killed
    #[arg(short = 'm', long, value_name = "AMOUNT")]
    memory: Option<Memory>,
    /// The most processor time, such as 0.5 or 500m
    #[arg(long, value_name = "CORES")]
    cpus: Option<Cpu>,
    /// The most processes and threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pids_limit: Option<u32>,
    /// always (default), unless-stopped, on-failure(:N) or never
    #[arg(long, value_name = "POLICY")]
    restart: Option<Restart>,
    /// Replace the image's entrypoint; a word, or a JSON list
    #[arg(long, value_name = "WORDS", value_parser = words)]
    entrypoint: Option<Words>,
    /// The working directory
    #[arg(short = 'w', long, value_name = "DIR")]
    workdir: Option<String>,
    /// Healthy if this ends with 0; for /bin/sh, or a JSON list
    #[arg(long, value_name = "COMMAND", conflicts_with = "health_tcp", value_parser = shell_words)]
    health_cmd: Option<Words>,
    /// Healthy if this port of the agent accepts a connection
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    health_tcp: Option<u16>,
    #[command(flatten)]
    health: HealthArgs,
    /// Replace an agent of the same name
    #[arg(long)]
    pub replace: bool,
    // An agent always runs in the background; docker's flag for that does no harm.
    #[arg(short = 'd', long, hide = true)]
    detach: bool,
    /// The image, by its name or digest; see: skerry image ls
    pub image: String,
    /// Replace the image's default arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

#[derive(Debug, Clone, Args)]
struct HealthArgs {
    /// Between two probes; 30s by default
    #[arg(long, value_name = "TIME")]
    health_interval: Option<Span>,
    /// A probe that takes longer has failed; 5s by default
    #[arg(long, value_name = "TIME")]
    health_timeout: Option<Span>,
    /// Failures in a row that make it unhealthy; 3 by default
    #[arg(long, value_name = "N")]
    health_retries: Option<u32>,
    /// Failures this soon after the start do not count
    #[arg(long, value_name = "TIME")]
    health_start_period: Option<Span>,
}

/// Several words given as one argument.
pub type Words = Vec<String>;

/// `NAME=VALUE`.
pub fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected".to_owned()),
    }
}

/// A JSON list of words, or a single word.
pub fn words(text: &str) -> Result<Words, String> {
    if !text.trim_start().starts_with('[') {
        return Ok(vec![text.to_owned()]);
    }
    serde_json::from_str(text).map_err(|error| format!("is not a JSON list of words: {error}"))
}

/// A JSON list of words, or a line for the shell.
fn shell_words(text: &str) -> Result<Words, String> {
    if text.trim_start().starts_with('[') {
        return words(text);
    }
    Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

impl RunArgs {
    /// The name that was given, or one made of the image's and four digits.
    pub fn name(&self, random: u16) -> Result<AgentName, IdError> {
        self.name.clone().map_or_else(|| generated(&self.image, random), Ok)
    }

    /// The agent that the flags describe.
    pub fn spec(self, name: AgentName, image: Digest) -> Result<AgentSpec, Usage> {
        let health_check = self.health_check()?;
        let mut spec = AgentSpec::new(name, image);
        spec.command = self.entrypoint;
        spec.args = Some(self.args).filter(|args| !args.is_empty());
        spec.workdir = self.workdir;
        spec.env = self.env.into_iter().map(|(name, value)| (name, value.into())).collect();
        spec.resources.limits.memory = self.memory;
        spec.resources.limits.cpu = self.cpus;
        spec.resources.limits.pids = self.pids_limit;
        spec.restart = self.restart;
        spec.health_check = health_check;
        spec.check().map_err(|error| Usage(error.to_string()))?;
        Ok(spec)
    }

    fn health_check(&self) -> Result<Option<HealthCheck>, Usage> {
        let HealthArgs { health_interval, health_timeout, health_retries, health_start_period } =
            &self.health;
        let tuned = health_interval.is_some()
            || health_timeout.is_some()
            || health_retries.is_some()
            || health_start_period.is_some();
        let mut check = match (&self.health_cmd, self.health_tcp) {
            (Some(words), _) => HealthCheck::by_command(words.clone()),
            (None, Some(port)) => HealthCheck::by_tcp(port),
            (None, None) => {
                let text = "the --health options need --health-cmd or --health-tcp";
                return if tuned { Err(Usage(text.to_owned())) } else { Ok(None) };
            }
        };
        check.interval = health_interval.unwrap_or(check.interval);
        check.timeout = health_timeout.unwrap_or(check.timeout);
        check.retries = health_retries.unwrap_or(check.retries);
        check.start_period = health_start_period.unwrap_or(check.start_period);
        Ok(Some(check))
    }
}

/// `registry/folder/sensor:1.0` gives `sensor-1a2b`.
fn generated(image: &str, random: u16) -> Result<AgentName, IdError> {
    let path = if image.starts_with("sha256:") { NAMELESS } else { image };
    let last = path.rsplit('/').next().unwrap_or_default();
    let base = last.split([':', '@']).next().unwrap_or_default().to_ascii_lowercase();
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let label: String = base.chars().map(allowed).take(NAME_MAX - 5).collect();
    let label = match label.trim_matches('-') {
        "" => NAMELESS,
        label => label,
    };
    // A label by construction.
    format!("{label}-{random:04x}").parse()
}

#[cfg(test)]
mod tests;
