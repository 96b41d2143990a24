//! Pods: agents that share network, IPC, shared memory and host name.
//!
//! A pod is made before its first agent starts, and goes with the traces of its last one. Agents come
//! and go in between without the others noticing.

use std::path::{Path, PathBuf};

use skerry_core::agent::AgentSpec;
use skerry_core::ids::PodName;
use skerry_runtime::{Launch, Mount, Namespace, Network, Propagation, pod};

use super::{ContainerError, Containers, read_agent};

/// Where programs look for shared memory.
const SHM: &str = "/dev/shm";

impl Containers {
    fn pod_dir(&self, name: &PodName) -> PathBuf {
        self.pods.join(name.as_str())
    }

    /// Lets an agent of a pod join it.
    pub(super) fn in_pod(
        &self,
        mut launch: Launch,
        spec: &AgentSpec,
    ) -> Result<Launch, ContainerError> {
        let Some(name) = &spec.pod else { return Ok(launch) };
        let dir = self.pod_dir(name);
        let pod = pod::ensure(Path::new("/proc/self/exe"), &dir, name.as_str())
            .map_err(|error| ContainerError::field("pod", told(&error)))?;
        launch.network = Network::Join(pod.network);
        launch.ipc = Namespace::Join(pod.ipc);
        launch.uts = Namespace::Join(pod.uts);
        launch.hostname = name.to_string();
        if !launch.volumes.iter().any(|mount| mount.target() == Path::new(SHM)) {
            launch.volumes.push(Mount::Bind {
                source: pod.shm,
                target: SHM.into(),
                read_only: false,
                propagation: Propagation::RPrivate,
                create: false,
            });
        }
        Ok(launch)
    }

    /// The pod of an agent that left traces.
    pub(super) fn pod_of(&self, run_dir: &Path) -> Option<PodName> {
        read_agent(run_dir)?.spec.pod
    }

    /// Takes down what every pod shares: nobody lives in one. Each is made anew by its next agent.
    pub fn leave_pods(&self) -> Vec<ContainerError> {
        let entries = std::fs::read_dir(&self.pods).into_iter().flatten().flatten();
        let removed = entries.flat_map(|entry| pod::remove(&entry.path()));
        removed.map(|error| ContainerError::Clean(told(&error))).collect()
    }

    /// Removes a pod, unless an agent of it is still there.
    pub(super) fn leave_pod(&self, name: &PodName) -> Result<(), ContainerError> {
        let mut others = self.names().into_iter().map(|agent| self.run_dir(&agent));
        if others.any(|run_dir| self.pod_of(&run_dir).as_ref() == Some(name)) {
            return Ok(());
        }
        match pod::remove(&self.pod_dir(name)).first() {
            None => Ok(()),
            Some(error) => Err(ContainerError::Clean(told(error))),
        }
    }
}

/// The error and its cause.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
