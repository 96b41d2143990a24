//! The document: the signed statement of what a node must run.
//!
//! Decides whether bytes are a well-formed document. It knows nothing of signatures: those are
//! checked over the bytes before they come here ([`crate::trust`]), and versions after
//! ([`crate::accept`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::agent::placement::check_no_selectors;
use crate::agent::{AgentSpec, SpecError, check_dependencies, check_pods};
use crate::bundle::Address;
use crate::desired::names_of;
use crate::ids::{AgentName, DataKey, DataName};
use crate::reading::{self, ReadError};

/// Values by key, by the name of the config they are of.
pub type Configs = BTreeMap<DataName, BTreeMap<DataKey, String>>;

/// The most bytes of all configs of one document.
pub const CONFIGS_MAX: usize = 512 * 1024;

/// The most agents in one document.
pub const AGENTS_MAX: usize = 1024;

/// What one node, or each node of a group, must run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Always `skerry/v1`.
    pub api_version: ApiVersion,
    /// Only grows, from one document to the next.
    pub version: u64,
    /// Who must follow it; the same as the path under which it was signed.
    pub audience: Address,
    /// Texts that agents read as variables or files. No place for secrets: a document is signed, and
    /// not encrypted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: Configs,
    /// What must run; what is not here must not.
    pub agents: Vec<AgentSpec>,
}

/// The version of the document's own schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ApiVersion {
    /// The first.
    #[serde(rename = "skerry/v1")]
    V1,
}

/// Why bytes are not a document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not the JSON that is expected.
    #[error("document: {0}")]
    Parse(ReadError),
    /// Well-formed, but it cannot be followed.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

impl Document {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document: Self = reading::read(bytes).map_err(DocumentError::Parse)?;
        document.check()?;
        Ok(document)
    }

    /// Checks what the types cannot: bounds and everything between fields.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        check_configs(&self.configs)?;
        if matches!(self.audience, Address::Node(_)) {
            check_no_selectors(&self.agents)?;
        }
        check_agents(&self.agents)
    }

    /// The bytes that are signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers and string keys only: serialising cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Checks a list of agents that is to run together: each one, their names, their dependencies.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_agents(agents: &[AgentSpec]) -> Result<(), SpecError> {
    if agents.len() > AGENTS_MAX {
        return Err(SpecError::TooMany { count: agents.len(), max: AGENTS_MAX });
    }
    let mut names = BTreeSet::new();
    for agent in agents {
        if !names.insert(&agent.name) {
            return Err(SpecError::Duplicate(agent.name.clone()));
        }
        agent.check()?;
    }
    check_numbered(agents, &names)?;
    check_pods(agents)?;
    check_dependencies(agents)
}

/// Replicas and runs take names of their own, which nobody else may have.
fn check_numbered(agents: &[AgentSpec], names: &BTreeSet<&AgentName>) -> Result<(), SpecError> {
    let (mut total, mut taken) = (0, BTreeSet::new());
    for agent in agents {
        let what = if agent.job.is_some() { "runs" } else { "replicas" };
        let own = names_of(agent);
        total += if agent.job.is_some() { 1 } else { own.len() };
        if total > AGENTS_MAX {
            return Err(SpecError::TooMany { count: total, max: AGENTS_MAX });
        }
        let expected = agent.replicas.unwrap_or_default() as usize;
        if agent.job.is_none() && agent.replicas.is_some() && own.len() < expected {
            return Err(SpecError::Field {
                agent: agent.name.clone(),
                field: "name".to_owned(),
                problem: "is too long to be numbered for its replicas".into(),
            });
        }
        for name in own.into_iter().filter(|name| *name != agent.name) {
            if names.contains(&name) || !taken.insert(name.clone()) {
                return Err(SpecError::Taken { by: agent.name.clone(), what, name });
            }
        }
    }
    Ok(())
}

/// Checks configs: their size as a whole.
///
/// # Errors
/// The config with which it is too much.
pub fn check_configs(configs: &Configs) -> Result<(), SpecError> {
    let mut total = 0;
    for (name, values) in configs {
        total += values.iter().map(|(k, v)| k.as_str().len() + v.len()).sum::<usize>();
        if total > CONFIGS_MAX {
            let problem = "with this one, all configs together are over 512 KiB";
            return Err(SpecError::Config { name: name.to_string(), problem });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
