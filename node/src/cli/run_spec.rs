//! The flags of `skerry run`, and the agent that they describe. Pure, but for files that flags name.
//!
//! One file below for each group of flags; their names are those of docker and podman.

mod health;
mod resources;
mod security;
mod storage;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use clap::Args;
use skerry_core::agent::{AgentSpec, EnvValue, Origin, PreStop, Reference, Restart, Signal, env};
use skerry_core::ids::{AgentName, Digest, IdError, NAME_MAX};
use skerry_core::units::Span;

use super::failure::Usage;

/// What an agent is called whose image has no name.
const NAMELESS: &str = "agent";
/// The largest file of variables.
const ENV_FILE_MAX: u64 = 1 << 20;

/// Runs an image as a new agent, waits until it runs, and prints its name
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Its name; made from the image's by default
    #[arg(long)]
    name: Option<AgentName>,
    /// Set a variable; may be given several times
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Set a variable from a secret; may be given several times
    ///
    /// Without KEY it is the secret's key of the variable's name. See: skerry secret set
    #[arg(long, value_name = "NAME=SECRET[:KEY]", value_parser = from_secret)]
    env_secret: Vec<(String, Reference)>,
    /// Set variables from lines of NAME=VALUE
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// Replace the image's entrypoint; a word, or a JSON list
    #[arg(long, value_name = "WORDS", value_parser = words)]
    entrypoint: Option<Words>,
    /// The working directory
    #[arg(short = 'w', long, value_name = "DIR")]
    workdir: Option<String>,
    /// Mark it; may be given several times
    #[arg(short = 'l', long = "label", value_name = "KEY[=VALUE]", value_parser = label)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    life: LifeArgs,
    #[command(flatten)]
    resources: resources::ResourceArgs,
    #[command(flatten)]
    storage: storage::StorageArgs,
    #[command(flatten)]
    security: security::SecurityArgs,
    #[command(flatten)]
    health: health::HealthArgs,
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

/// When it runs again, and how it ends.
#[derive(Debug, Clone, Args)]
struct LifeArgs {
    /// always (default), unless-stopped, on-failure(:N) or never
    #[arg(long, value_name = "POLICY", help_heading = "Life")]
    restart: Option<Restart>,
    /// Give it a tiny init that collects orphaned processes
    #[arg(long, help_heading = "Life")]
    init: bool,
    /// The signal that asks it to end; the image's by default
    #[arg(long, value_name = "SIGNAL", help_heading = "Life")]
    stop_signal: Option<Signal>,
    /// From that signal until it is killed; 10s by default
    #[arg(long, value_name = "TIME", value_parser = grace, help_heading = "Life")]
    stop_timeout: Option<Span>,
    /// What is run in it before the signal; for /bin/sh, or a JSON list
    #[arg(long, value_name = "COMMAND", value_parser = shell_words, help_heading = "Life")]
    pre_stop: Option<Words>,
}

impl LifeArgs {
    fn put(self, spec: &mut AgentSpec) {
        spec.restart = self.restart;
        spec.init = self.init;
        spec.stop.signal = self.stop_signal;
        spec.stop.grace = self.stop_timeout.unwrap_or(spec.stop.grace);
        spec.stop.pre_stop = self.pre_stop.map(|command| PreStop { command });
    }
}

/// A time, or seconds as docker has them.
fn grace(text: &str) -> Result<Span, String> {
    match text.parse() {
        Ok(seconds) => Ok(Span::seconds(seconds)),
        Err(_) => text.parse().map_err(|error| format!("{error}")),
    }
}

/// `KEY=VALUE`, or `KEY` with nothing.
fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        Err("KEY[=VALUE] is expected".into())
    } else {
        Ok((key.into(), value.into()))
    }
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

/// `NAME=SECRET:KEY`, or `NAME=SECRET` where the key has the variable's name.
fn from_secret(text: &str) -> Result<(String, Reference), String> {
    let (variable, place) = text
        .split_once('=')
        .filter(|(variable, _)| !variable.is_empty())
        .ok_or("NAME=SECRET:KEY is expected, such as PASSWORD=db:password")?;
    let (name, key) = place.split_once(':').unwrap_or((place, variable));
    let name = name.parse().map_err(|error| format!("the secret's name: {error}"))?;
    let key = key.parse().map_err(|error| format!("the key: {error}"))?;
    Ok((variable.to_owned(), Reference { from: Origin::Secret, name, key, optional: false }))
}

/// A JSON list of words, or a single word.
pub fn words(text: &str) -> Result<Words, String> {
    if !text.trim_start().starts_with('[') {
        return Ok(vec![text.to_owned()]);
    }
    serde_json::from_slice(text.as_bytes())
        .map_err(|error| format!("is not a JSON list of words: {error}"))
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
        let mut spec = AgentSpec::new(name, image);
        spec.command = self.entrypoint;
        spec.args = Some(self.args).filter(|args| !args.is_empty());
        spec.workdir = self.workdir;
        for file in &self.env_file {
            put_env_file(&mut spec, file)?;
        }
        let written: BTreeSet<_> = self.env.iter().map(|(name, _)| name.clone()).collect();
        spec.env.extend(self.env.into_iter().map(|(name, value)| (name, value.into())));
        put_secrets(&mut spec, self.env_secret, &written)?;
        spec.labels = self.label.into_iter().collect();
        self.life.put(&mut spec);
        self.resources.put(&mut spec)?;
        spec.security.read_only_root_filesystem = self.storage.read_only;
        spec.volumes = self.storage.volumes();
        self.security.put(&mut spec)?;
        spec.health_check = self.health.check()?;
        spec.check().map_err(|error| Usage(error.to_string()))?;
        Ok(spec)
    }
}

/// A variable that is written down and secret as well would be one or the other by chance.
fn put_secrets(
    spec: &mut AgentSpec,
    secrets: Vec<(String, Reference)>,
    written: &BTreeSet<String>,
) -> Result<(), Usage> {
    for (variable, reference) in secrets {
        if written.contains(&variable) {
            let text = format!("--env-secret {variable}: the variable is set twice");
            return Err(Usage(text));
        }
        spec.env.insert(variable, EnvValue::From(reference));
    }
    Ok(())
}

fn put_env_file(spec: &mut AgentSpec, file: &str) -> Result<(), Usage> {
    let mut text = String::new();
    let read = File::open(file).and_then(|f| f.take(ENV_FILE_MAX).read_to_string(&mut text));
    read.map_err(|error| Usage(format!("--env-file {file}: {error}")))?;
    let lines = env::parse_file(&text)
        .map_err(|line| Usage(format!("--env-file {file}: line {line} is not NAME=VALUE")))?;
    spec.env.extend(lines.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
    Ok(())
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
