//! What `skerry apply` reads: agents in YAML or JSON. Pure.
//!
//! One agent, a list below `agents:`, or a stream of either, separated by `---`. An agent is written
//! as in a document, only that its image may be a name. Unknown fields are refused with their place
//! in the file, and with the field that was probably meant.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Error as Yaml;
use skerry_core::agent::{AgentSpec, Condition, EnvValue, HealthCheck, Resources, Restart, Stop};
use skerry_core::document::ApiVersion;
use skerry_core::ids::{AgentName, Digest};

use super::nearest::nearest;

/// An agent whose image may be a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentForm {
    /// Its name.
    pub name: AgentName,
    /// A name or a digest.
    pub image: String,
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    workdir: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, EnvValue>,
    #[serde(default)]
    resources: Resources,
    #[serde(default)]
    restart: Option<Restart>,
    #[serde(default)]
    health_check: Option<HealthCheck>,
    #[serde(default)]
    depends_on: BTreeMap<AgentName, Condition>,
    #[serde(default)]
    stop: Stop,
}

impl AgentForm {
    /// The agent, with the digest that its image has.
    pub fn spec(self, image: Digest) -> AgentSpec {
        AgentSpec {
            command: self.command,
            args: self.args,
            workdir: self.workdir,
            env: self.env,
            resources: self.resources,
            restart: self.restart,
            health_check: self.health_check,
            depends_on: self.depends_on,
            stop: self.stop,
            ..AgentSpec::new(self.name, image)
        }
    }
}

/// Several agents below `agents:`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListForm {
    #[serde(default)]
    #[expect(dead_code, reason = "read only to be checked")]
    api_version: Option<ApiVersion>,
    agents: Vec<AgentForm>,
}

/// Why a file does not say which agents there are.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{place}: {problem}")]
pub struct ManifestError {
    file: String,
    /// `:LINE:COLUMN: PATH`, as far as they are known.
    place: String,
    problem: String,
}

/// Reads all agents of a file, in their order; `file` is its name for messages.
pub fn parse(file: &str, text: &str) -> Result<Vec<AgentForm>, ManifestError> {
    let mut all = Vec::new();
    for Part { lines_before, text } in parts(text) {
        let wrong = |path: &str, error: &Yaml| explain(file, lines_before, path, error);
        let shape: Option<BTreeMap<String, IgnoredAny>> =
            serde_saphyr::from_str_with_options(text, options()).map_err(|e| wrong("", &e))?;
        match shape {
            // Nothing but comments.
            None => {}
            Some(keys) if keys.contains_key("agents") => {
                let list: ListForm = read(text).map_err(|(path, e)| wrong(&path, &e))?;
                all.extend(list.agents);
            }
            Some(_) => all.push(read(text).map_err(|(path, e)| wrong(&path, &e))?),
        }
    }
    if all.is_empty() {
        let problem = "holds no agent; an agent needs at least a name and an image".to_owned();
        return Err(ManifestError { file: file.to_owned(), place: String::new(), problem });
    }
    Ok(all)
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { with_snippet: false }
}

/// Reads one document, and says at which path it failed.
fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, (String, Box<Yaml>)> {
    let mut path = String::new();
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), |document| {
        serde_path_to_error::deserialize(document).map_err(|error| {
            path = error.path().to_string();
            error.into_inner()
        })
    })
    .map_err(|error| (path, Box::new(error)))
}

/// One document of a stream.
struct Part<'a> {
    lines_before: u64,
    text: &'a str,
}

/// Splits a stream at its `---` lines; nothing else may begin so in column 0.
fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    let (mut lines, mut lines_before) = (0, 0);
    for line in text.split_inclusive('\n') {
        let marks = line.strip_prefix("---").is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_whitespace())
        });
        if marks && at > start {
            parts.push(Part { lines_before, text: text.get(start..at).unwrap_or_default() });
            (start, lines_before) = (at, lines);
        }
        at += line.len();
        lines += 1;
    }
    parts.push(Part { lines_before, text: text.get(start..).unwrap_or_default() });
    parts
}

fn explain(file: &str, lines_before: u64, path: &str, error: &Yaml) -> ManifestError {
    let known = error.location().filter(|at| at.line() > 0);
    let line_and_column = known.map(|at| format!(":{}:{}", at.line() + lines_before, at.column()));
    let path = match path.trim_matches('.') {
        "" => String::new(),
        path => format!(": {path}"),
    };
    let place = format!("{}{path}", line_and_column.unwrap_or_default());
    let problem = match error.without_snippet() {
        Yaml::SerdeUnknownField { field: invalid, expected, .. } => {
            let meant = nearest(invalid, expected.iter().copied())
                .map(|field| format!("; did you mean '{field}'?"));
            let known = || format!("; known are {}", expected.join(", "));
            format!("there is no field '{invalid}'{}", meant.unwrap_or_else(known))
        }
        other => plain(&other.to_string()),
    };
    ManifestError { file: file.to_owned(), place, problem }
}

/// The first line of a message, without the place that is told already.
fn plain(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let without_end = first.split(" at line ").next().unwrap_or(first);
    match without_end.strip_prefix("error: ").unwrap_or(without_end).split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest.to_owned(),
        _ => without_end.to_owned(),
    }
}

#[cfg(test)]
mod tests;
