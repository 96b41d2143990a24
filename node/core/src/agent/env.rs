//! Variables: written down, or taken from a config or a secret.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::fault::{Fault, fault};
use super::text::Text;
use super::{LIST_MAX, TEXT_MAX};
use crate::ids::{DataKey, DataName};

/// Where a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Among the configs that came with the agents.
    Config,
    /// Among the secrets of the node.
    Secret,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config",
            Self::Secret => "secret",
        })
    }
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EnvValue {
    /// As written.
    Text(String),
    /// Taken from elsewhere when the agent starts.
    From(Reference),
}

impl From<String> for EnvValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for EnvValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// One value of a config or a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Where it is kept.
    pub from: Origin,
    /// In which config or secret.
    pub name: DataName,
    /// Under which key.
    pub key: DataKey,
    /// If it is not there, the variable is left out; else the agent does not start.
    #[cfg_attr(test, schemars(default))]
    #[serde(skip_serializing_if = "super::is_false")]
    pub optional: bool,
}

/// `{ value: … }` or `{ from: …, name: …, key: … }`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    value: Option<Text>,
    from: Option<Origin>,
    name: Option<DataName>,
    key: Option<DataKey>,
    #[serde(default)]
    optional: bool,
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = EnvValue;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, { value: … }, or { from: config or secret, name: …, key: … }")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<EnvValue, E> {
        Ok(EnvValue::Text(text.to_owned()))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<EnvValue, E> {
        Ok(EnvValue::Text(number.to_string()))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<EnvValue, E> {
        Ok(EnvValue::Text(number.to_string()))
    }
    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<EnvValue, E> {
        Ok(EnvValue::Text(truth.to_string()))
    }
    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<EnvValue, A::Error> {
        let form = Form::deserialize(MapAccessDeserializer::new(map))?;
        match (form.value, form.from, form.name, form.key) {
            (Some(Text(text)), None, None, None) if !form.optional => Ok(EnvValue::Text(text)),
            (None, Some(from), Some(name), Some(key)) => {
                Ok(EnvValue::From(Reference { from, name, key, optional: form.optional }))
            }
            _ => Err(de::Error::custom("needs either value, or from with name and key")),
        }
    }
}

impl<'de> Deserialize<'de> for EnvValue {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Visitor)
    }
}

/// A file of `NAME=value` lines, kept as a value of a config or a secret. Empty lines and lines that
/// begin with `#` are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvFile {
    /// Where it is kept.
    pub from: Origin,
    /// In which config or secret.
    pub name: DataName,
    /// Under which key.
    pub key: DataKey,
    /// If it is not there, it is passed over; else the agent does not start.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub optional: bool,
}

/// Whether a text can be the name of a variable.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && name.len() <= 1024
}

/// Reads the lines of an env file.
///
/// # Errors
/// The number of the first line that is not `NAME=value`.
pub fn parse_file(text: &str) -> Result<Vec<(&str, &str)>, usize> {
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) if is_name(name.trim()) && all.len() < LIST_MAX * 4 => {
                all.push((name.trim(), unquoted(value.trim())));
            }
            _ => return Err(number + 1),
        }
    }
    Ok(all)
}

/// As Docker Compose does: one pair of quotes around the whole value goes.
fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

pub(super) fn check(env: &BTreeMap<String, EnvValue>, files: &[EnvFile]) -> Result<(), Fault> {
    if env.len() > LIST_MAX {
        return fault("env", "has more than 256 variables");
    }
    for (name, value) in env {
        if !is_name(name) {
            return fault(format!("env.{name}"), "is not the name of a variable");
        }
        if let EnvValue::Text(text) = value
            && (text.contains('\0') || text.len() > TEXT_MAX)
        {
            return fault(format!("env.{name}"), "has a NUL or more than 32 KiB");
        }
    }
    if files.len() > 16 {
        return fault("envFile", "names more than 16 files");
    }
    Ok(())
}
