//! What people write: agents and configs in YAML or JSON files.
//!
//! Decides what files say ([`Manifest::read`]), and whether it can be followed ([`Manifest::check`]).
//! A file is one agent, a list below `agents:` with `configs:` beside it, or a stream of either,
//! separated by `---`. Every problem is told with its place in the file; one agent's problem does not
//! hide another's. Reads no files: text comes in.

mod report;
mod tree;
mod yaml;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use report::{Against, Purpose, Report, validate};
pub use tree::Place;
use tree::{Entry, Node, Trouble, Value};
pub use yaml::FILE_MAX;

use crate::admit::{self, Profile};
use crate::agent::{AgentSpec, EnvValue, Origin, SpecError, VolumeKind};
use crate::document::{ApiVersion, Configs, check_agents, check_configs};
use crate::ids::{AgentName, Digest};
use crate::reading::{self, ReadError};

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1; where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The path, such as `agents[1].image`; empty for the file as a whole.
    pub path: String,
    /// The agent, where it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// Everything that is wrong, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Where an agent or a config was read.
#[derive(Debug)]
struct Origins {
    file: String,
    /// Its path within the file, such as `agents[2]`; empty for an agent that is a document itself.
    path: String,
    node: Node,
}

/// What files say, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Manifest {
    /// The agents that could be read, in the order of the files.
    pub agents: Vec<AgentSpec>,
    /// The configs.
    pub configs: Configs,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
    /// Of each agent.
    origins: Vec<Origins>,
    /// Of each map of configs.
    config_origins: Vec<Origins>,
}

/// Says which image a text means; what is wrong with it otherwise.
pub type Resolve<'a> = &'a mut dyn FnMut(&str) -> Result<Digest, String>;

impl Manifest {
    /// Reads one more file; `file` is its name for messages.
    pub fn read(&mut self, file: &str, text: &str, resolve: Resolve<'_>) {
        let documents = match yaml::parse(text) {
            Ok(documents) => documents,
            Err(trouble) => return self.problems.push(trouble.of(file)),
        };
        if documents.is_empty() {
            let problem = "holds no agent; an agent needs at least a name and an image".to_owned();
            return self.problems.push(problem_at(file, None, String::new(), problem));
        }
        for document in documents {
            self.document(file, document, resolve);
        }
    }

    fn document(&mut self, file: &str, mut document: Node, resolve: Resolve<'_>) {
        let place = document.place;
        let Value::Map(_) = document.value else {
            let problem = "must be one agent, or a list of agents below agents:".to_owned();
            return self.problems.push(problem_at(file, Some(place), String::new(), problem));
        };
        if let Some(version) = document.take("apiVersion") {
            self.part::<ApiVersion>(file, "apiVersion", &version.node);
        }
        let list = document.get("agents").is_some() || document.get("configs").is_some();
        if !list {
            return self.agent(file, String::new(), document, resolve);
        }
        if let Some(Entry { node, .. }) = document.take("configs") {
            self.configs_of(file, node);
        }
        if let Some(Entry { node, .. }) = document.take("agents") {
            match node.value {
                Value::List(items) => {
                    for (index, item) in items.into_iter().enumerate() {
                        self.agent(file, format!("agents[{index}]"), item, resolve);
                    }
                }
                _ => {
                    let problem = "must be a list: each agent begins with '- name:'".to_owned();
                    let problem = problem_at(file, Some(node.place), "agents".into(), problem);
                    self.problems.push(problem);
                }
            }
        }
        let Value::Map(rest) = document.value else { return };
        for Entry { key, place, .. } in rest {
            let problem = reading::unknown_field(&key, &["apiVersion", "agents", "configs"]);
            self.problems.push(problem_at(file, Some(place), reading::cut(&key), problem));
        }
    }

    /// Reads a part by its type, or keeps what is wrong with it.
    fn part<T: serde::de::DeserializeOwned>(
        &mut self,
        file: &str,
        path: &str,
        node: &Node,
    ) -> Option<T> {
        let mut json = Vec::new();
        node.write_json(&mut json);
        match reading::read(&json) {
            Ok(value) => Some(value),
            Err(ReadError { path: below, key, problem }) => {
                let place = node.find(&below, key);
                let path = join(path, &below);
                self.problems.push(problem_at(file, Some(place), path, problem));
                None
            }
        }
    }

    fn configs_of(&mut self, file: &str, mut node: Node) {
        if node.value == Value::Null {
            return;
        }
        node.make_texts();
        let Some(configs) = self.part::<Configs>(file, "configs", &node) else { return };
        for (name, values) in configs {
            let path = format!("configs.{name}");
            if self.configs.insert(name, values).is_some() {
                let place = node.find(path.trim_start_matches("configs."), true);
                let problem = "has the name of an earlier one".to_owned();
                self.problems.push(problem_at(file, Some(place), path, problem));
            }
        }
        self.config_origins.push(Origins {
            file: file.to_owned(),
            path: "configs".to_owned(),
            node,
        });
    }

    fn agent(&mut self, file: &str, path: String, mut node: Node, resolve: Resolve<'_>) {
        if let Value::Map(entries) = &mut node.value
            && let Some(entry) = entries.iter_mut().find(|entry| entry.key == "image")
            && let Value::Text(image) = &entry.node.value
        {
            match resolve(image) {
                Ok(digest) => entry.node.value = Value::Text(digest.to_string()),
                Err(problem) => {
                    let place = entry.node.place;
                    let path = join(&path, "image");
                    // Read on with any other, for what else is wrong.
                    entry.node.value = Value::Text(Digest::from_bytes([0; 32]).to_string());
                    self.problems.push(problem_at(file, Some(place), path, problem));
                }
            }
        }
        if let Some(spec) = self.part::<AgentSpec>(file, &path, &node) {
            let origin = Origins { file: file.to_owned(), path, node };
            if let Err(error) = spec.check() {
                self.problems.push(origin.problem(&error));
            }
            self.agents.push(spec);
            self.origins.push(origin);
        }
    }

    /// Reads one more file of a document, in which an image must be a digest.
    pub fn read_document(&mut self, file: &str, text: &str) {
        let mut digest =
            |image: &str| image.parse().map_err(|e: crate::ids::IdError| e.to_string());
        self.read(file, text, &mut digest);
    }

    /// Checks the whole as what a document carries: nothing else is on the node.
    pub fn check_document(&mut self, profile: Option<&Profile>) {
        self.check(profile);
        if self.problems.is_empty() {
            self.problems = self.missing_configs();
        }
    }

    /// Checks the whole as one list that runs together, and against a node's profile if there is one.
    pub fn check(&mut self, profile: Option<&Profile>) {
        // What was read in part would only seem to lack the rest.
        if !self.problems.is_empty() {
            return;
        }
        if let Err(error) = check_configs(&self.configs).and_then(|()| check_agents(&self.agents)) {
            let problem = self.place(&error);
            self.problems.push(problem);
            return;
        }
        let Some(profile) = profile else { return };
        if let Err(error) = admit::check(&self.agents, [], profile) {
            let (agent, field) = error.at();
            let (told, place) = (error.to_string(), format!("agent '{agent}': {field}: "));
            let told = told.strip_prefix(&place).unwrap_or(&told).to_owned();
            let problem = self.problem_of(agent, field, told);
            self.problems.push(problem);
        }
    }

    /// The configs that agents need and the files do not have.
    pub fn missing_configs(&self) -> Vec<Problem> {
        let mut missing = Vec::new();
        for (spec, origin) in self.agents.iter().zip(&self.origins) {
            let env = spec.env.iter().filter_map(|(variable, value)| match value {
                EnvValue::From(r) if r.from == Origin::Config && !r.optional => {
                    Some((format!("env.{variable}"), r.name.clone()))
                }
                _ => None,
            });
            let files = spec.env_file.iter().enumerate().filter_map(|(index, file)| {
                let needed = file.from == Origin::Config && !file.optional;
                needed.then(|| (format!("envFile[{index}]"), file.name.clone()))
            });
            let volumes =
                spec.volumes.iter().enumerate().filter_map(|(index, volume)| match volume.kind() {
                    Ok(VolumeKind::Config(name)) => {
                        Some((format!("volumes[{index}].source"), name))
                    }
                    _ => None,
                });
            let needed = env.chain(files).chain(volumes);
            for (field, name) in needed.filter(|(_, name)| !self.configs.contains_key(name)) {
                let problem = format!("the config '{name}' is not in these files");
                missing.push(origin.at(&field, &spec.name, problem));
            }
        }
        missing
    }

    /// The agents and configs.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn finish(self) -> Result<(Vec<AgentSpec>, Configs), Problems> {
        if self.problems.is_empty() {
            Ok((self.agents, self.configs))
        } else {
            Err(Problems(self.problems))
        }
    }

    fn place(&self, error: &SpecError) -> Problem {
        if let SpecError::Config { name, problem } = error {
            let found = self.config_origins.iter().find(|origin| origin.node.get(name).is_some());
            let place = found.and_then(|origin| origin.node.get(name)).map(|entry| entry.place);
            let file = found.map_or("", |origin| origin.file.as_str());
            return problem_at(file, place, format!("configs.{name}"), (*problem).to_owned());
        }
        match error.at() {
            Some((agent, field, problem)) => self.problem_of(agent, &field, problem),
            None => {
                let file = self.origins.first().map_or("", |origin| origin.file.as_str());
                problem_at(file, None, String::new(), error.to_string())
            }
        }
    }

    fn problem_of(&self, agent: &AgentName, field: &str, problem: String) -> Problem {
        // Of two with one name, the second is one too many.
        let found = self.agents.iter().rposition(|spec| spec.name == *agent);
        match found.and_then(|index| self.origins.get(index)) {
            Some(origin) => origin.at(field, agent, problem),
            None => problem_at("", None, field.to_owned(), problem),
        }
    }
}

impl Origins {
    fn problem(&self, error: &SpecError) -> Problem {
        match error.at() {
            Some((agent, field, problem)) => self.at(&field, agent, problem),
            None => problem_at(&self.file, None, self.path.clone(), error.to_string()),
        }
    }

    fn at(&self, field: &str, agent: &AgentName, problem: String) -> Problem {
        let place = self.node.find(field, false);
        let problem = problem_at(&self.file, Some(place), join(&self.path, field), problem);
        Problem { agent: Some(agent.clone()), ..problem }
    }
}

/// The documents of a file as JSON, as the reader has them.
#[cfg(test)]
pub(crate) fn as_json(text: &str) -> Vec<Vec<u8>> {
    let documents = yaml::parse(text).unwrap_or_default();
    let json = |node: &Node| {
        let mut out = Vec::new();
        node.write_json(&mut out);
        out
    };
    documents.iter().map(json).collect()
}

impl Trouble {
    fn of(self, file: &str) -> Problem {
        problem_at(file, self.place, String::new(), self.problem)
    }
}

fn join(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        ("", path) | (path, "") => path.to_owned(),
        (outer, inner) if inner.starts_with('[') => format!("{outer}{inner}"),
        (outer, inner) => format!("{outer}.{inner}"),
    }
}

fn problem_at(file: &str, place: Option<Place>, path: String, problem: String) -> Problem {
    Problem {
        file: file.to_owned(),
        line: place.map(|place| place.line),
        column: place.map(|place| place.column),
        path,
        agent: None,
        problem,
    }
}

#[cfg(test)]
mod tests;
