//! Placement: on which nodes of a group an agent runs.
//!
//! Decides by labels alone, on the node itself, so that one signed document serves any number of nodes. A
//! label is what the node's own configuration says of it; nobody can claim one over the network.

use std::collections::BTreeMap;

use super::fault::{Fault, fault};
use super::{AgentSpec, SpecError};

/// The most labels of a node or an agent.
const MARKS_MAX: usize = 64;

/// The labels of a node.
pub type NodeLabels = BTreeMap<String, String>;

impl AgentSpec {
    /// Whether it runs on a node with these labels.
    pub fn is_for(&self, labels: &NodeLabels) -> bool {
        self.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// Checks the labels that a node is given.
///
/// # Errors
/// The first that is wrong, by key, and what is wrong.
pub fn check_labels(labels: &NodeLabels) -> Result<(), (String, String)> {
    check_marks("labels", labels, 256)
        .map_err(|Fault { field, problem }| (field, problem.into_owned()))
}

/// Checks short marks by key.
pub(super) fn check_marks(
    field: &str,
    map: &BTreeMap<String, String>,
    longest: usize,
) -> Result<(), Fault> {
    if map.len() > MARKS_MAX {
        return fault(field, "has more than 64 entries");
    }
    for (key, value) in map {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
        if key.is_empty() || key.len() > 128 || !key.bytes().all(fits) {
            let problem = "keys are 1 to 128 letters, digits, '-', '_', '.' and '/'";
            return fault(format!("{field}.{key}"), problem);
        }
        if value.len() > longest {
            return fault(format!("{field}.{key}"), format!("is over {longest} bytes"));
        }
    }
    Ok(())
}

/// In a document for one node, a selector would choose nothing.
///
/// # Errors
/// The first agent that has one.
pub fn check_no_selectors(agents: &[AgentSpec]) -> Result<(), SpecError> {
    match agents.iter().find(|agent| !agent.node_selector.is_empty()) {
        None => Ok(()),
        Some(agent) => Err(SpecError::Field {
            agent: agent.name.clone(),
            field: "nodeSelector".to_owned(),
            problem: "chooses among the nodes of a group; this is for one node".into(),
        }),
    }
}

#[cfg(test)]
mod tests;
