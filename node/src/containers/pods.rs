//! Pods: agents that share network, IPC and host name.

use skerry_core::agent::AgentSpec;
use skerry_runtime::Launch;

use super::{ContainerError, Containers};

impl Containers {
    /// Lets an agent of a pod join it.
    pub(super) fn in_pod(
        &self,
        launch: Launch,
        spec: &AgentSpec,
    ) -> Result<Launch, ContainerError> {
        match &spec.pod {
            None => Ok(launch),
            Some(_) => Err(ContainerError::field("pod", "cannot be made yet")),
        }
    }
}
