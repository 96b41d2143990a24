//! For tests: a node that seals what it says with its own key.

use std::collections::BTreeMap;

use serde::Serialize;
use skerry_core::agent::AgentSpec;
use skerry_core::desired::Source;
use skerry_core::ids::{Digest, NodeName};
use skerry_core::plan::{State, Status};
use skerry_core::report::{DocumentRef, Host, RefusedDocument, Report};
use skerry_core::trust::PublicKey;
use skerry_core::trust::detached::seal;
use skerry_core::trust::sign::SigningKey;

use crate::live::{Kind, Said};

/// A node by name and key.
pub struct Node {
    pub name: NodeName,
    key: SigningKey,
}

impl Node {
    pub fn new(name: &str, key: u8) -> Self {
        Self { name: name.parse().unwrap(), key: SigningKey::from_bytes(&[key; 32]) }
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::of(&self.key)
    }

    pub fn seal(&self, word: &impl Serialize) -> Vec<u8> {
        seal(&self.key, &serde_json::to_string(word).unwrap()).unwrap()
    }

    pub fn says(&self, report: &Report) -> Said {
        let payload = self.seal(report).into();
        Said { node: self.name.to_string(), kind: Kind::Report, payload }
    }
}

/// A report without anything in it, of a node with key 1.
pub fn report(node: &NodeName) -> Report {
    Report {
        node: node.clone(),
        public_key: PublicKey::of(&SigningKey::from_bytes(&[1; 32])),
        counter: 1,
        at_ms: 1_000_000,
        boot_id: "boot".to_owned(),
        document: None,
        refused: Vec::new(),
        agents: BTreeMap::new(),
        clashes: Vec::new(),
        troubles: Vec::new(),
        trust: None,
        audit: None,
        enrolment: None,
        host: Host::default(),
    }
}

pub fn in_force(version: u64, digest: Digest) -> Option<DocumentRef> {
    Some(DocumentRef { version, digest })
}

pub fn refusal(bundle: &[u8], reason: &str, count: u32) -> RefusedDocument {
    RefusedDocument { digest: Digest::of(bundle), reason: reason.to_owned(), at_ms: 0, count }
}

/// The status of an agent of the fleet.
pub fn status(spec: &AgentSpec, state: State, pid: Option<u32>) -> Status {
    Status {
        state,
        detail: None,
        source: Some(Source::Fleet),
        image: spec.image,
        instance: spec.digest(),
        pid,
        health: None,
        restarts: 0,
        current: true,
        ready: None,
        execution: None,
        next_run_ms: None,
        exit: None,
    }
}

pub fn spec(name: &str) -> AgentSpec {
    AgentSpec::new(name.parse().unwrap(), Digest::of(b"image"))
}
