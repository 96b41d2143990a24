//! The variables that an agent's program starts with, and those among them that are secret.
//!
//! Later ones win: the image's, the node's own, those of `envFile`, those of `env`.

use std::collections::BTreeMap;

use skerry_core::agent::{AgentSpec, EnvValue, Origin, env};
use skerry_core::desired::DesiredAgent;
use skerry_core::document::Configs;
use skerry_core::ids::{DataKey, DataName};
use skerry_images::ImageConfig;

use super::ContainerError;
use crate::secrets::{SecretError, Secrets};

/// Where programs are looked for when an image sets no PATH, as in Docker.
const PATH: (&str, &str) = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");

/// Variables as `NAME=value`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    /// Those that may stand in a record.
    pub(super) plain: Vec<String>,
    /// Those that come from secrets, and must not.
    pub(super) secret: Vec<String>,
}

/// A value, and whether it is secret.
struct Value {
    text: String,
    secret: bool,
}

/// Where values are taken from.
pub(super) struct Sources<'a> {
    pub(super) configs: &'a Configs,
    pub(super) secrets: &'a Secrets,
}

/// Why a value is not there.
pub(super) enum Absent {
    /// Nobody set it.
    Missing(String),
    /// It cannot be read or used.
    Broken(String),
}

impl Sources<'_> {
    fn text(&self, from: Origin, name: &DataName, key: &DataKey) -> Result<String, Absent> {
        match from {
            Origin::Config => {
                let values = self
                    .configs
                    .get(name)
                    .ok_or_else(|| Absent::Missing(format!("config '{name}' is not there")))?;
                let value = values.get(key).cloned();
                value.ok_or_else(|| {
                    Absent::Missing(format!(
                        "config '{name}' has no key '{key}'; set it where the config is made"
                    ))
                })
            }
            Origin::Secret => match self.secrets.value(name, key) {
                Ok(bytes) => String::from_utf8(bytes).map_err(|_| {
                    let why = "is no text; mount the secret as a volume instead";
                    Absent::Broken(format!("the value of '{key}' in secret '{name}' {why}"))
                }),
                Err(error @ (SecretError::Unknown(_) | SecretError::NoKey(..))) => {
                    Err(Absent::Missing(error.to_string()))
                }
                Err(error) => Err(Absent::Broken(error.to_string())),
            },
        }
    }

    /// A value; none if it is missing and may be.
    fn wanted(
        &self,
        from: Origin,
        name: &DataName,
        key: &DataKey,
        optional: bool,
    ) -> Result<Option<String>, String> {
        match self.text(from, name, key) {
            Ok(text) => Ok(Some(text)),
            Err(Absent::Missing(_)) if optional => Ok(None),
            Err(Absent::Missing(why) | Absent::Broken(why)) => Err(why),
        }
    }
}

/// The variables of an agent on the node of that name.
pub(super) fn environment(
    wanted: &DesiredAgent,
    image: &ImageConfig,
    node: &str,
    sources: &Sources<'_>,
) -> Result<Environment, ContainerError> {
    let spec = &wanted.spec;
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    let mut put = |name: &str, text: &str, secret| {
        all.insert(name.to_owned(), Value { text: text.to_owned(), secret });
    };
    put(PATH.0, PATH.1, false);
    for (name, value) in image.env.iter().filter_map(|entry| entry.split_once('=')) {
        put(name, value, false);
    }
    put("SKERRY_AGENT", spec.name.as_str(), false);
    put("SKERRY_NODE", node, false);
    if let Some(run) = &wanted.run {
        put("SKERRY_EXECUTION_ID", &run.execution, false);
    }
    read_files(spec, sources, &mut put)?;
    for (name, value) in &spec.env {
        match value {
            EnvValue::Text(text) => put(name, text, false),
            EnvValue::From(r) => {
                let text = sources.wanted(r.from, &r.name, &r.key, r.optional);
                let text = text.map_err(|why| ContainerError::field(format!("env.{name}"), why))?;
                if let Some(text) = text {
                    put(name, &text, r.from == Origin::Secret);
                }
            }
        }
    }
    sorted(all)
}

fn read_files(
    spec: &AgentSpec,
    sources: &Sources<'_>,
    put: &mut impl FnMut(&str, &str, bool),
) -> Result<(), ContainerError> {
    for (index, file) in spec.env_file.iter().enumerate() {
        let fail = |why| ContainerError::field(format!("envFile[{index}]"), why);
        let text = sources.wanted(file.from, &file.name, &file.key, file.optional).map_err(fail)?;
        let Some(text) = text else { continue };
        let lines = env::parse_file(&text).map_err(|line| {
            let (from, name, key) = (file.from, &file.name, &file.key);
            fail(format!("line {line} of '{key}' in {from} '{name}' is not NAME=value"))
        })?;
        for (name, value) in lines {
            put(name, value, file.from == Origin::Secret);
        }
    }
    Ok(())
}

fn sorted(all: BTreeMap<String, Value>) -> Result<Environment, ContainerError> {
    let mut environment = Environment::default();
    for (name, Value { text, secret }) in all {
        if text.contains('\0') {
            let why = "has a NUL, which no variable can hold".to_owned();
            return Err(ContainerError::field(format!("env.{name}"), why));
        }
        let entry = format!("{name}={text}");
        if secret { environment.secret.push(entry) } else { environment.plain.push(entry) }
    }
    Ok(environment)
}

#[cfg(test)]
mod tests;
