//! JSON Schema of what people write, made from the types and their comments. For tests alone: they
//! hold the files in `docs/schema` against it, and rewrite them when told so.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::agent::{
    AgentSpec, Cpuset, EnvValue, Mode, Permissions, Reference, Restart, Seccomp, SeccompProfile,
    Signal, StatusRange,
};
use crate::bundle::Address;
use crate::document::{ApiVersion, Document};
use crate::ids::{
    AgentName, DataKey, DataName, Digest, GroupName, NodeName, PodName, TierName, VolumeName,
};
use crate::units::{Cpu, Memory, Span};

/// A text that may be written without quotes.
pub(crate) struct Text;

macro_rules! written {
    ($($name:ident => $schema:tt),* $(,)?) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

const LABEL: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

written! {
    Text => { "type": ["string", "integer", "boolean"] },
    AgentName => { "type": "string", "pattern": LABEL },
    NodeName => { "type": "string", "pattern": LABEL },
    GroupName => { "type": "string", "pattern": LABEL },
    PodName => { "type": "string", "pattern": LABEL },
    VolumeName => { "type": "string", "pattern": LABEL },
    DataName => { "type": "string", "pattern": LABEL },
    TierName => { "type": "string", "pattern": LABEL },
    DataKey => { "type": "string", "pattern": r"^(\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,251}|[A-Za-z0-9_-][A-Za-z0-9._-]{0,252})$" },
    Digest => { "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" },
    Memory => {
        "type": ["string", "integer", "number"],
        "pattern": r"^[0-9]+(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$",
        "minimum": 0,
        "examples": ["64Mi", "1Gi", 65536],
    },
    Cpu => {
        "type": ["string", "integer", "number"],
        "pattern": r"^([0-9]+m|[0-9]+(\.[0-9]{1,3})?)$",
        "minimum": 0,
        "examples": ["500m", 0.5, 2],
    },
    Span => {
        "type": "string",
        "pattern": r"^[0-9][0-9a-zµ .,:]*$",
        "examples": ["500ms", "30s", "5m", "1h30m"],
    },
    Restart => {
        "type": "string",
        "pattern": "^(always|unless-stopped|never|no|on-failure(:[0-9]+)?)$",
        "examples": ["always", "unless-stopped", "on-failure", "on-failure:5", "never"],
    },
    Mode => { "type": "string", "pattern": "^(0o)?[0-7]{3,4}$", "examples": ["0640"] },
    Signal => {
        "type": ["string", "integer"],
        "pattern": "^([Ss][Ii][Gg])?[A-Za-z0-9+]+$",
        "minimum": 1,
        "maximum": 64,
        "examples": ["SIGTERM", "INT", 10],
    },
    StatusRange => {
        "type": ["string", "integer"],
        "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$",
        "minimum": 100,
        "maximum": 599,
        "examples": ["200-399", 204],
    },
    Cpuset => {
        "type": ["string", "integer"],
        "pattern": "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$",
        "minimum": 0,
        "examples": ["0-1,3", 0],
    },
    Permissions => { "type": "string", "pattern": "^[rwm]{1,3}$", "examples": ["r", "rw", "rwm"] },
}

impl JsonSchema for EnvValue {
    fn schema_name() -> Cow<'static, str> {
        "EnvValue".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        let reference = generator.subschema_for::<Reference>();
        json_schema!({
            "description": "The value of a variable: a text, or where it is taken from when the agent starts.",
            "anyOf": [
                text,
                {
                    "type": "object",
                    "properties": { "value": text },
                    "required": ["value"],
                    "additionalProperties": false,
                },
                reference,
            ],
        })
    }
}

impl JsonSchema for Seccomp {
    fn schema_name() -> Cow<'static, str> {
        "Seccomp".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let profile = generator.subschema_for::<SeccompProfile>();
        json_schema!({
            "description": "Which system calls an agent may make: a list of ordinary ones, all, or a profile.",
            "anyOf": [{ "type": "string", "enum": ["default", "unconfined"] }, profile],
        })
    }
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

/// One agent, as a document has it.
pub(crate) fn agent() -> Value {
    generator().into_root_schema_for::<AgentSpec>().into()
}

/// A document.
pub(crate) fn document() -> Value {
    titled(generator().into_root_schema_for::<Document>().into(), "A document of Skerry")
}

/// What people write: a list of agents with configs beside it, or one agent.
pub(crate) fn agents() -> Value {
    let mut generator = generator();
    let one = generator.subschema_for::<AgentSpec>();
    let version = generator.subschema_for::<ApiVersion>();
    let version = serde_json::json!({
        "description": "Always skerry/v1; may be left out.",
        "allOf": [version],
    });
    let configs = generator.subschema_for::<BTreeMap<DataName, BTreeMap<DataKey, Text>>>();
    let mut definitions = generator.take_definitions(true);
    if let Some(image) =
        definitions.get_mut("AgentSpec").and_then(|agent| agent.pointer_mut("/properties/image"))
    {
        *image = serde_json::json!({
            "description": "The image: a name of the node's store, or sha256: and the digest of its manifest, \
                            which a document for the fleet needs.",
            "type": "string",
            "minLength": 1,
        });
    }
    // One agent may say its version too.
    if let Some(Value::Object(properties)) =
        definitions.get_mut("AgentSpec").and_then(|agent| agent.get_mut("properties"))
    {
        properties.insert("apiVersion".to_owned(), version.clone());
    }
    joined(serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Agents of Skerry",
        "description": "What skerry apply, skerry validate and skerry-fleet sign read, in YAML or JSON: \
                        one agent, or a list of agents with the configs that they read.",
        "anyOf": [
            one,
            {
                "type": "object",
                "properties": {
                    "apiVersion": version,
                    "agents": {
                        "description": "The agents.",
                        "type": "array",
                        "maxItems": crate::document::AGENTS_MAX,
                        "items": one,
                    },
                    "configs": {
                        "description": "Texts by key, by the name of the config; agents read them as \
                                        variables or files. No place for secrets.",
                        "allOf": [configs],
                    },
                },
                "anyOf": [{ "required": ["agents"] }, { "required": ["configs"] }],
                "additionalProperties": false,
            },
        ],
        "$defs": definitions,
    }))
}

/// The names of all properties in a schema, whatever they are of.
pub(crate) fn properties(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            if let ("properties", Value::Object(named)) = (key.as_str(), value) {
                into.extend(named.keys().cloned());
            }
            properties(value, into);
        }),
        Value::Array(items) => items.iter().for_each(|item| properties(item, into)),
        _ => {}
    }
}

fn titled(mut schema: Value, title: &str) -> Value {
    if let Value::Object(map) = &mut schema {
        map.insert("title".to_owned(), title.into());
    }
    joined(schema)
}

/// The same, with the lines of its descriptions joined: editors wrap them as they like.
fn joined(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(text) if key == "description" => *text = text.replace('\n', " "),
                    _ => *value = joined(value.take()),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = joined(item.take())),
        _ => {}
    }
    schema
}

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let node = generator.subschema_for::<NodeName>();
        let group = generator.subschema_for::<GroupName>();
        json_schema!({
            "description": "Whom a document is for: one node, or each node of a group.",
            "oneOf": [
                { "type": "object", "properties": { "node": node }, "required": ["node"], "additionalProperties": false },
                { "type": "object", "properties": { "group": group }, "required": ["group"], "additionalProperties": false },
            ],
        })
    }
}

#[cfg(test)]
mod tests;
