//! Desired state: the fleet's document and the local wishes, laid over each other.
//!
//! Decides whose wish a name is. A name belongs to one source: what is wished locally keeps its
//! name until it is removed, and the fleet's agent of that name is shown as blocked, with both
//! named. The planner ([`crate::plan`]) takes what comes out of here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::accept::Accepted;
use crate::agent::AgentSpec;
use crate::document::Document;
use crate::ids::{AgentName, Digest};

/// Where a wish comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The fleet's signed document.
    Fleet,
    /// Somebody on the node itself, authorised by the socket's peer credentials.
    Local,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fleet => "fleet",
            Self::Local => "local",
        })
    }
}

/// One agent that somebody on the node asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalWish {
    /// What to run.
    pub spec: AgentSpec,
    /// Stopped by hand: kept, but not run, until it is started again.
    #[serde(default)]
    pub stopped: bool,
    /// Counts `skerry restart`: a change of it alone runs the agent anew.
    #[serde(default)]
    pub generation: u64,
}

/// One agent that must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredAgent {
    /// What to run.
    pub spec: AgentSpec,
    /// Who wants it.
    pub source: Source,
    /// What identifies this very wish: the digest of the spec (and the generation, for a local
    /// one). A running agent of the same instance is left alone.
    pub instance: Digest,
    /// It must not run now.
    pub stopped: bool,
}

/// All that must be on this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// By name.
    pub agents: BTreeMap<AgentName, DesiredAgent>,
    /// Agents of the fleet whose name is taken by a local wish.
    pub clashes: Vec<AgentName>,
}

impl Desired {
    /// Lays the local wishes over the accepted document.
    pub fn merge(document: Option<&Accepted<Document>>, local: &[LocalWish]) -> Self {
        let mut desired = Self::default();
        for wish in local {
            let instance = match wish.generation {
                0 => wish.spec.digest(),
                count => Digest::of(format!("{}#{count}", wish.spec.digest()).as_bytes()),
            };
            let agent = DesiredAgent {
                spec: wish.spec.clone(),
                source: Source::Local,
                instance,
                stopped: wish.stopped,
            };
            desired.agents.insert(wish.spec.name.clone(), agent);
        }
        for spec in document.into_iter().flat_map(|d| &d.get().agents) {
            if desired.agents.contains_key(&spec.name) {
                desired.clashes.push(spec.name.clone());
                continue;
            }
            let agent = DesiredAgent {
                spec: spec.clone(),
                source: Source::Fleet,
                instance: spec.digest(),
                stopped: false,
            };
            desired.agents.insert(spec.name.clone(), agent);
        }
        desired
    }
}
