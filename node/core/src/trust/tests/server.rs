//! A repository that is asked file by file, and a node that asks it: what the attacks are played on.

use std::collections::BTreeMap;

use serde_json::json;

use super::repository::*;
use crate::trust::client::{Answer, Change, Client, Next, Place, kept_name};
use crate::trust::metadata::{DelegatedRole, Delegations, FileMeta, Snapshot, Targets, Timestamp};
use crate::trust::search::Found;
use crate::trust::sign::{SigningKey, sign};
use crate::trust::{Clock, KeyId, Limits, PublicKey, TrustError};

/// A delegated role of the server's.
#[derive(Clone)]
pub(crate) struct Delegated {
    pub(crate) metadata: Targets,
    pub(crate) keys: Vec<SigningKey>,
}

/// What is served, by name. Honest until a test changes a field or a file.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) repo: Repository,
    pub(crate) targets: Targets,
    pub(crate) delegated: BTreeMap<String, Delegated>,
    /// Whether timestamp and snapshot list lengths and hashes.
    pub(crate) hashes: bool,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let repo = Repository::new();
        let targets = repo.targets_metadata();
        let mut server = Self {
            repo,
            targets,
            delegated: BTreeMap::new(),
            hashes: false,
            files: BTreeMap::new(),
        };
        server.serve_root(server.repo.root_file());
        server.publish();
        server
    }

    pub(crate) fn serve_root(&mut self, root: String) {
        let name = format!("{}.root.json", self.repo.root_version);
        self.files.insert(name, root.into_bytes());
    }

    /// A new root that differs by `change`, signed by the old and the new keys.
    pub(crate) fn rotate(&mut self, change: impl FnOnce(&mut Repository)) {
        let root = self.repo.rotate(change);
        self.serve_root(root);
    }

    /// Everything one version further, and served.
    pub(crate) fn advance(&mut self) {
        self.repo.advance();
        self.targets.version = self.repo.targets_version;
        self.publish();
    }

    /// Signs and serves everything as it is now.
    pub(crate) fn publish(&mut self) {
        let meta = self.publish_targets();
        self.publish_snapshot(meta);
    }

    fn publish_targets(&mut self) -> BTreeMap<String, FileMeta> {
        let mut meta = BTreeMap::new();
        let targets = sign(&self.targets, &self.repo.targets.refs()).unwrap();
        meta.insert("targets.json".to_owned(), self.list(self.targets.version, &targets));
        self.files.insert(format!("{}.targets.json", self.targets.version), targets.into_bytes());
        for (role, Delegated { metadata, keys }) in self.delegated.clone() {
            let file = sign(&metadata, &keys.iter().collect::<Vec<_>>()).unwrap();
            meta.insert(format!("{role}.json"), self.list(metadata.version, &file));
            let name = format!("{}.{}", metadata.version, kept_name(&role));
            self.files.insert(name, file.into_bytes());
        }
        meta
    }

    /// Serves a snapshot that lists just this, and a timestamp.
    pub(crate) fn publish_snapshot(&mut self, meta: BTreeMap<String, FileMeta>) {
        let (version, expires) = (self.repo.snapshot_version, self.repo.snapshot_expires);
        let mut snapshot = Snapshot::new(version, expires, FileMeta::of(1, b""));
        snapshot.meta = meta;
        let snapshot = sign(&snapshot, &self.repo.snapshot.refs()).unwrap();
        let listed = self.list(version, &snapshot);
        self.files.insert(format!("{version}.snapshot.json"), snapshot.into_bytes());
        self.publish_timestamp(listed);
    }

    /// Serves a timestamp that lists this snapshot.
    pub(crate) fn publish_timestamp(&mut self, listed: FileMeta) {
        let (version, expires) = (self.repo.timestamp_version, self.repo.timestamp_expires);
        let timestamp = Timestamp::new(version, expires, listed);
        let timestamp = sign(&timestamp, &self.repo.timestamp.refs()).unwrap();
        self.files.insert("timestamp.json".to_owned(), timestamp.into_bytes());
    }

    fn list(&self, version: u64, file: &str) -> FileMeta {
        let all = FileMeta::of(version, file.as_bytes());
        if self.hashes { all } else { FileMeta { version, length: None, hashes: None } }
    }

    /// A delegation from `parent` to `role` for these patterns, with a key of the role's own.
    pub(crate) fn delegate(
        &mut self,
        parent: &str,
        role: &str,
        paths: &[&str],
    ) -> &mut DelegatedRole {
        let metadata = Targets::new(1, self.repo.targets_expires, BTreeMap::new());
        let seed = 100 + u8::try_from(self.delegated.len()).unwrap();
        let new = Delegated { metadata, keys: vec![key(seed)] };
        let entry = self.delegated.entry(role.to_owned()).or_insert(new);
        let public = PublicKey::of(&entry.keys[0]);
        let (id, public) = (public.id(), public.to_metadata());
        let delegations = self.delegations(parent);
        delegations.keys.insert(id.clone(), public);
        delegations.roles.push(DelegatedRole {
            name: role.to_owned(),
            keyids: vec![id],
            threshold: 1,
            terminating: false,
            paths: Some(paths.iter().map(|path| (*path).to_owned()).collect()),
            path_hash_prefixes: None,
        });
        delegations.roles.last_mut().unwrap()
    }

    pub(crate) fn delegations(&mut self, parent: &str) -> &mut Delegations {
        let none = Delegations { keys: BTreeMap::new(), roles: Vec::new(), succinct_roles: None };
        self.role(parent).delegations.get_or_insert(none)
    }

    pub(crate) fn role(&mut self, name: &str) -> &mut Targets {
        match name {
            "targets" => &mut self.targets,
            name => &mut self.delegated.get_mut(name).unwrap().metadata,
        }
    }

    /// Lists a document in a role.
    pub(crate) fn list_target(&mut self, role: &str, path: &str, content: &[u8]) {
        let meta = crate::trust::metadata::TargetMeta::of(content);
        self.role(role).targets.insert(path.to_owned(), meta);
    }

    /// Changes a served file without signing it again.
    pub(crate) fn bend(&mut self, name: &str, change: impl FnOnce(&mut serde_json::Value)) {
        let file = String::from_utf8(self.files[name].clone()).unwrap();
        self.files.insert(name.to_owned(), bend(&file, change).into_bytes());
    }

    /// A node that has this root and nothing else.
    pub(crate) fn node(&self) -> Node {
        let root = self.files["1.root.json"].clone();
        let kept = BTreeMap::from([("root.json".to_owned(), root)]);
        Node { kept, asked: Vec::new(), clock: now(), limits: Limits::DEFAULT }
    }

    /// A node that has seen everything as it is now.
    pub(crate) fn updated_node(&self) -> Node {
        let mut node = self.node();
        node.update(self).unwrap();
        node
    }
}

/// A node: what it keeps, and what it asked for.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) kept: BTreeMap<String, Vec<u8>>,
    pub(crate) asked: Vec<String>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
}

impl Node {
    pub(crate) fn update(&mut self, server: &Server) -> Result<(), TrustError> {
        self.drive(server).map(drop)
    }

    pub(crate) fn find(&mut self, server: &Server, path: &str) -> Result<Found, TrustError> {
        let mut client = self.drive(server)?;
        client.find(path)?;
        self.answer(&mut client, server)?;
        client.found()
    }

    /// A client that has updated, ready to search.
    pub(crate) fn client(&mut self, server: &Server) -> Client {
        self.drive(server).unwrap()
    }

    fn drive(&mut self, server: &Server) -> Result<Client, TrustError> {
        self.asked.clear();
        let mut client = Client::new(&self.kept["root.json"], self.limits, self.clock)?;
        self.answer(&mut client, server)?;
        Ok(client)
    }

    fn answer(&mut self, client: &mut Client, server: &Server) -> Result<(), TrustError> {
        while let Next::Want(want) = client.next() {
            let file = match want.place {
                Place::Kept => self.kept.get(&want.file).cloned(),
                Place::Repository => {
                    self.asked.push(want.file.clone());
                    server.files.get(&want.file).cloned()
                }
            };
            // As a careful reader does: one byte more than is believed.
            let most = usize::try_from(want.max_length).unwrap() + 1;
            let cut = file.as_deref().map(|bytes| bytes.get(..most).unwrap_or(bytes));
            for change in client.give(cut.map_or(Answer::Missing, Answer::File))? {
                match change {
                    Change::Keep { file, bytes } => self.kept.insert(file, bytes),
                    Change::Drop { file } => self.kept.remove(&file),
                };
            }
        }
        Ok(())
    }

    /// The version of a kept file.
    pub(crate) fn version(&self, role: &str) -> Option<u64> {
        let value: serde_json::Value =
            serde_json::from_slice(self.kept.get(&kept_name(role))?).unwrap();
        value["signed"]["version"].as_u64()
    }
}

/// A signature by a key, as an object.
pub(crate) fn signature(id: &KeyId, sig: &str) -> serde_json::Value {
    json!({"keyid": id, "sig": sig})
}
