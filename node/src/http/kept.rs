//! Answers about what the node keeps for agents: configs, secrets, volumes.
//!
//! Configs of local agents are the ledger's; secrets and volumes are folders. No answer holds the
//! value of a secret.

use std::collections::BTreeMap;
use std::io;

use hyper::{Response, StatusCode};
use skerry_core::agent::{AgentSpec, Origin, VolumeKind};
use skerry_core::desired::Source;
use skerry_core::ids::{AgentName, DataKey, DataName, VolumeName};

use super::answers::{Node, answer};
use super::{Body, json, refuse};
use crate::api::{Done, SecretEntry, SecretList, SecretValues, VolumeEntry, VolumeList};
use crate::secrets::SecretError;
use crate::wake::Event;

impl Node {
    pub(super) fn configs(&self) -> Response<Body> {
        json(StatusCode::OK, &*self.ledger.borrow().configs.clone())
    }

    pub(super) async fn set_config(&self, name: &str, bytes: &[u8]) -> Response<Body> {
        let name: DataName = match name.parse() {
            Ok(name) => name,
            Err(error) => return bad(&error),
        };
        let values: BTreeMap<DataKey, String> = match serde_json::from_slice(bytes) {
            Ok(values) => values,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("the request: {error}")),
        };
        let before = self.snapshots.borrow().revision;
        answer(self.desk.config(name, Some(values)).await, before)
    }

    pub(super) async fn remove_config(&self, name: &str) -> Response<Body> {
        let name: DataName = match name.parse() {
            Ok(name) => name,
            Err(error) => return bad(&error),
        };
        // The fleet's agents read the configs of their own document.
        let local = self.ledger.borrow().desired.clone();
        let local = |agent: &AgentName| {
            local.agents.get(agent).is_none_or(|agent| agent.source == Source::Local)
        };
        let mut users = self.users(data_of(Origin::Config)).remove(&name).unwrap_or_default();
        users.retain(local);
        if !users.is_empty() {
            return in_use("config", &name, &users);
        }
        let before = self.snapshots.borrow().revision;
        answer(self.desk.config(name, None).await, before)
    }

    pub(super) fn secrets(&self) -> Response<Body> {
        let known = match self.containers.secrets().list() {
            Ok(known) => known,
            Err(error) => return broken("read the secrets", &error),
        };
        let readers = self.users(data_of(Origin::Secret));
        let entry = |(name, keys)| {
            let agents = readers.get(&name).cloned().unwrap_or_default();
            (name, SecretEntry { keys, agents })
        };
        json(StatusCode::OK, &SecretList { secrets: known.into_iter().map(entry).collect() })
    }

    pub(super) async fn set_secret(&self, name: &str, bytes: &[u8]) -> Response<Body> {
        let name: DataName = match name.parse() {
            Ok(name) => name,
            Err(error) => return bad(&error),
        };
        // What is wrong with the body is not told word by word: the words may be the secret.
        let Ok(SecretValues { hex }) = serde_json::from_slice(bytes) else {
            let text = "the request: { \"hex\": { KEY: value in hexadecimal } } is expected";
            return refuse(StatusCode::BAD_REQUEST, text.to_owned());
        };
        let mut values = BTreeMap::new();
        for (key, text) in hex {
            let Ok(value) = hex::decode(text) else {
                let text = format!("secret '{name}': the value of '{key}' is not hexadecimal");
                return refuse(StatusCode::BAD_REQUEST, text);
            };
            values.insert(key, value);
        }
        match self.containers.secrets().set(&name, &values) {
            Ok(()) => {
                tracing::info!(secret = %name, keys = values.len(), "set");
                self.hasten().await;
                json(StatusCode::OK, &Done {})
            }
            Err(error) => refused(&error),
        }
    }

    pub(super) fn remove_secret(&self, name: &str, key: Option<&str>) -> Response<Body> {
        let name: DataName = match name.parse() {
            Ok(name) => name,
            Err(error) => return bad(&error),
        };
        let key: Option<DataKey> = match key.map(str::parse).transpose() {
            Ok(key) => key,
            Err(error) => return bad(&error),
        };
        // A single key may be one that nobody reads any more.
        let users = self.users(data_of(Origin::Secret));
        if let (None, Some(users)) = (&key, users.get(&name)) {
            return in_use("secret", &name, users);
        }
        match self.containers.secrets().remove(&name, key.as_ref()) {
            Ok(()) => {
                tracing::info!(secret = %name, "removed");
                json(StatusCode::OK, &Done {})
            }
            Err(error) => refused(&error),
        }
    }

    pub(super) async fn volumes(&self) -> Response<Body> {
        let volumes = self.containers.volumes().clone();
        let counted = tokio::task::spawn_blocking(move || {
            let names = volumes.names()?;
            let entry = |name: VolumeName| {
                let path = volumes.path(&name).display().to_string();
                let (bytes, limit_bytes) = (volumes.bytes(&name), volumes.limit_of(&name));
                (name, VolumeEntry { path, bytes, limit_bytes, agents: Vec::new() })
            };
            Ok::<_, io::Error>(names.into_iter().map(entry).collect::<BTreeMap<_, _>>())
        });
        let mut volumes = match counted.await.map_err(io::Error::other) {
            Ok(Ok(volumes)) => volumes,
            Ok(Err(error)) | Err(error) => return broken("read the volumes", &error),
        };
        let users = self.users(volumes_of);
        for (name, entry) in &mut volumes {
            entry.agents = users.get(name).cloned().unwrap_or_default();
        }
        json(StatusCode::OK, &VolumeList { volumes })
    }

    pub(super) async fn remove_volume(&self, name: &str) -> Response<Body> {
        let name: VolumeName = match name.parse() {
            Ok(name) => name,
            Err(error) => return bad(&error),
        };
        if let Some(users) = self.users(volumes_of).get(&name) {
            return in_use("volume", &name, users);
        }
        let (volumes, gone) = (self.containers.volumes().clone(), name.clone());
        let removed = tokio::task::spawn_blocking(move || volumes.remove(&gone)).await;
        match removed.map_err(io::Error::other) {
            Ok(Ok(true)) => json(StatusCode::OK, &Done {}),
            Ok(Ok(false)) => {
                let text = format!("volume '{name}' is not on this node; see: skerry volume ls");
                refuse(StatusCode::NOT_FOUND, text)
            }
            Ok(Err(error)) | Err(error) => broken("remove the volume", &error),
        }
    }

    /// Lets agents that failed for want of something try again at once.
    async fn hasten(&self) {
        // Without a reconciler nothing runs that could be hastened.
        let _ = self.door.send(Event::Hasten).await;
    }

    /// Which agents, wanted or still there, name what `named` finds in a spec.
    fn users<N: Ord>(&self, named: impl Fn(&AgentSpec) -> Vec<N>) -> BTreeMap<N, Vec<AgentName>> {
        let desired = self.ledger.borrow().desired.clone();
        let found = self.snapshots.borrow().found.clone();
        let wanted = desired.agents.iter().map(|(name, agent)| (name, &agent.spec));
        let jobs = desired.jobs.iter().map(|(name, job)| (name, &job.agent.spec));
        let there = found.iter().map(|(name, found)| (name, &found.seen.spec));
        let mut users: BTreeMap<N, Vec<AgentName>> = BTreeMap::new();
        for (agent, spec) in wanted.chain(jobs).chain(there) {
            for thing in named(spec) {
                let of_it = users.entry(thing).or_default();
                if !of_it.contains(agent) {
                    of_it.push(agent.clone());
                }
            }
        }
        users
    }
}

/// Nothing is taken away from agents that need it.
fn in_use(what: &str, name: &impl std::fmt::Display, users: &[AgentName]) -> Response<Body> {
    let users: Vec<_> = users.iter().map(AgentName::as_str).collect();
    let (list, words) = (users.join(", "), users.join(" "));
    let text = format!("{what} '{name}' is used by {list}; remove that first: skerry rm {words}");
    refuse(StatusCode::CONFLICT, text)
}

fn data_of(wanted: Origin) -> impl Fn(&AgentSpec) -> Vec<DataName> {
    move |spec| {
        let named = spec.references().filter(|(origin, _)| *origin == wanted);
        named.map(|(_, name)| name).collect()
    }
}

fn volumes_of(spec: &AgentSpec) -> Vec<VolumeName> {
    let name = |volume: &skerry_core::agent::Volume| match volume.kind() {
        Ok(VolumeKind::Volume(name)) => Some(name),
        _ => None,
    };
    spec.volumes.iter().filter_map(name).collect()
}

fn bad(error: &skerry_core::ids::IdError) -> Response<Body> {
    refuse(StatusCode::BAD_REQUEST, error.to_string())
}

fn broken(operation: &str, error: &io::Error) -> Response<Body> {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot {operation}: {error}"))
}

fn refused(error: &SecretError) -> Response<Body> {
    let status = match error {
        SecretError::Unknown(_) | SecretError::NoKey(..) => StatusCode::NOT_FOUND,
        SecretError::TooLarge(..) | SecretError::TooMany(_) | SecretError::Empty(_) => {
            StatusCode::BAD_REQUEST
        }
        SecretError::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, error.to_string())
}
