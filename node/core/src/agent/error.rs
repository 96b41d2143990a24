//! What is wrong with agents: data that is told, with the place.

use std::borrow::Cow;

use crate::ids::AgentName;

/// What is wrong with a spec, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not a restart policy.
    #[error(
        "'{0}' is not a restart policy; use always, unless-stopped, on-failure, on-failure:N or never"
    )]
    Restart(String),
    /// A field's value is out of bounds.
    #[error("agent '{agent}': {field}: {problem}")]
    Field {
        /// The agent.
        agent: AgentName,
        /// The field's path within the agent.
        field: String,
        /// What is wrong, and what is allowed.
        problem: Cow<'static, str>,
    },
    /// A dependency is not in the same document.
    #[error("agent '{agent}': dependsOn.{on}: no agent has this name")]
    NoSuchDependency {
        /// The agent.
        agent: AgentName,
        /// The missing one.
        on: AgentName,
    },
    /// A dependency runs on fewer nodes.
    #[error(
        "agent '{agent}': dependsOn.{on}: is not on every node where '{agent}' is; give '{agent}' all that stands in the nodeSelector of '{on}'"
    )]
    Elsewhere {
        /// The agent.
        agent: AgentName,
        /// The one that is elsewhere.
        on: AgentName,
    },
    /// A dependency must be healthy, and nothing says how that is known.
    #[error(
        "agent '{agent}': dependsOn.{on}: is to be healthy, but '{on}' has neither healthCheck nor readiness"
    )]
    NoHealthCheck {
        /// The agent.
        agent: AgentName,
        /// The one without a check.
        on: AgentName,
    },
    /// A dependency must complete, and never does.
    #[error(
        "agent '{agent}': dependsOn.{on}: is to be completed, but '{on}' runs for ever; give it a job, or restart: never"
    )]
    NeverCompletes {
        /// The agent.
        agent: AgentName,
        /// The one that never ends.
        on: AgentName,
    },
    /// Dependencies that go round.
    #[error("dependsOn goes round in a circle: {}", .0.iter().map(AgentName::as_str).collect::<Vec<_>>().join(" -> "))]
    Cycle(Vec<AgentName>),
    /// Two agents of one name.
    #[error("two agents have the name '{0}'")]
    Duplicate(AgentName),
    /// A replica or a run of a job would have the name of another agent.
    #[error("agent '{by}': its {what} take the name '{name}', which another agent has")]
    Taken {
        /// Whose.
        by: AgentName,
        /// Replicas or runs.
        what: &'static str,
        /// The name.
        name: AgentName,
    },
    /// Too many.
    #[error("{count} agents are too many for one document; at most {max} are allowed")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many may be.
        max: usize,
    },
    /// A config that is too large, or not well named.
    #[error("configs.{name}: {problem}")]
    Config {
        /// Which.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl SpecError {
    /// Whose fault it is, the path within that agent, and what is wrong with it, where it is the
    /// fault of one.
    pub fn at(&self) -> Option<(&AgentName, String, String)> {
        let on = |on: &AgentName| format!("dependsOn.{on}");
        Some(match self {
            Self::Field { agent, field, problem } => (agent, field.clone(), problem.to_string()),
            Self::NoSuchDependency { agent, on: name } => {
                (agent, on(name), "no agent has this name".to_owned())
            }
            Self::Elsewhere { agent, on: name } => {
                let problem = format!(
                    "is not on every node where '{agent}' is; give '{agent}' all that stands in the nodeSelector of '{name}'"
                );
                (agent, on(name), problem)
            }
            Self::NoHealthCheck { agent, on: name } => {
                let problem =
                    format!("is to be healthy, but '{name}' has neither healthCheck nor readiness");
                (agent, on(name), problem)
            }
            Self::NeverCompletes { agent, on: name } => {
                let problem = format!(
                    "is to be completed, but '{name}' runs for ever; give it a job, or restart: never"
                );
                (agent, on(name), problem)
            }
            Self::Cycle(path) => match path.as_slice() {
                [first, second, ..] => (first, on(second), self.to_string()),
                _ => return None,
            },
            Self::Duplicate(agent) => (agent, "name".to_owned(), self.to_string()),
            Self::Taken { by, .. } => (by, "name".to_owned(), self.to_string()),
            Self::Restart(_) | Self::TooMany { .. } | Self::Config { .. } => return None,
        })
    }
}
