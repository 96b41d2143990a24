//! What the workspace keeps of nodes: their keys, the keys that were revoked, what was last heard of each, and
//! the tokens by which new ones enrol.
//!
//! ```text
//! nodes/NAME.pub               the public key of a node that was approved
//! nodes/NAME.heard             how far its reports have come, and what they named of its audit log
//! nodes/revoked/KEYID.json     a key that counts no longer, and why
//! enrolment.pub                the key by which tokens are recognised
//! tokens/ID.json               a token, and who has used it
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use skerry_core::ids::NodeName;
use skerry_core::trust::enrolment::Terms;
use skerry_core::trust::sign::SigningKey;
use skerry_core::trust::{PublicKey, Repository, Role};

use super::{Workspace, WorkspaceError};
use crate::files::{self, Readers};
use crate::heard::Heard;
use crate::keys::{self, KeysError};
use crate::passphrase::Class;

const ENROLMENT: &str = "enrolment.pub";

/// A node's key that counts no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// Whose key it was.
    pub node: NodeName,
    /// The key.
    pub key: PublicKey,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRecord {
    /// What it allows.
    pub terms: Terms,
    /// Who has used it.
    #[serde(default)]
    pub used: Vec<Use>,
    /// When it was taken back; it lets nobody in any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl TokenRecord {
    /// A token that nobody has used.
    pub fn new(terms: Terms) -> Self {
        Self { terms, used: Vec::new(), revoked: None }
    }

    /// How many more nodes it lets in.
    pub fn left(&self, now: Timestamp) -> usize {
        let over = self.revoked.is_some() || now >= self.terms.expires;
        if over { 0 } else { (self.terms.uses as usize).saturating_sub(self.used.len()) }
    }
}

/// One use of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Use {
    /// The node.
    pub node: NodeName,
    /// Its key.
    pub key: PublicKey,
    /// When.
    pub at: Timestamp,
}

impl Workspace {
    /// The public keys of the nodes.
    ///
    /// # Errors
    /// One cannot be read, or holds no key.
    pub fn nodes(&self) -> Result<BTreeMap<NodeName, PublicKey>, WorkspaceError> {
        let folder = self.dir.join("nodes");
        let mut nodes = BTreeMap::new();
        for file in files::names(&folder)? {
            let Some(stem) = file.strip_suffix(".pub") else { continue };
            let path = folder.join(&file);
            // Others may take it away between the look into the folder and this.
            let Some(text) = files::read_if_there(&path)? else { continue };
            let name = stem
                .parse()
                .map_err(|source| WorkspaceError::Name { path: path.clone(), source })?;
            let key = PublicKey::from_hex(text.trim())
                .map_err(|source| WorkspaceError::NodeKey { path, source })?;
            nodes.insert(name, key);
        }
        Ok(nodes)
    }

    /// Keeps the public key of a node.
    ///
    /// # Errors
    /// The file system refused.
    pub fn put_node(&self, name: &NodeName, key: PublicKey) -> Result<(), WorkspaceError> {
        let path = self.dir.join(format!("nodes/{name}.pub"));
        Ok(files::write(&path, format!("{}\n", key.to_hex()).as_bytes(), Readers::All)?)
    }

    /// Forgets a node's key.
    ///
    /// # Errors
    /// The file system refused.
    pub fn remove_node(&self, name: &NodeName) -> Result<(), WorkspaceError> {
        Ok(files::remove(&self.dir.join(format!("nodes/{name}.pub")))?)
    }

    /// The keys that count no longer.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn revoked(&self) -> Result<Vec<Revocation>, WorkspaceError> {
        let folder = self.dir.join("nodes/revoked");
        let names = files::names(&folder)?;
        let read = |name: &String| self.record(&format!("nodes/revoked/{name}"));
        let found: Result<Vec<_>, _> =
            names.iter().filter(|name| name.ends_with(".json")).map(read).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// Keeps that a key counts no longer.
    ///
    /// # Errors
    /// The file system refused.
    pub fn put_revoked(&self, revoked: &Revocation) -> Result<(), WorkspaceError> {
        files::make_folder(&self.dir.join("nodes/revoked"), Readers::All)?;
        self.put_record(&format!("nodes/revoked/{}.json", revoked.key.id()), revoked, Readers::All)
    }

    /// Forgets that a key counts no longer.
    ///
    /// # Errors
    /// The file system refused.
    pub fn restore(&self, key: &PublicKey) -> Result<(), WorkspaceError> {
        Ok(files::remove(&self.dir.join(format!("nodes/revoked/{}.json", key.id())))?)
    }

    /// The key that signs tokens; made when it is first needed, as well protected as the others.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub fn enrolment_key(&self) -> Result<SigningKey, WorkspaceError> {
        let path = self.dir.join("keys/online/enrolment.key");
        let key = match keys::read(&path, Class::Online, self.passphrases()) {
            Err(KeysError::File(error)) if error.is_missing() => {
                let key = keys::make()?;
                let like = self.key_path(Repository::Director, Role::Targets);
                self.write_key(&path, &key, Class::Online, &like)?;
                key
            }
            read => read?,
        };
        if self.enrolment_public()? != Some(PublicKey::of(&key)) {
            let text = format!("{}\n", PublicKey::of(&key).to_hex());
            files::write(&self.dir.join(ENROLMENT), text.as_bytes(), Readers::All)?;
        }
        Ok(key)
    }

    /// Encrypts the key that signs tokens, if it is here and plain; whether that was so.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn protect_enrolment_key(&self) -> Result<bool, WorkspaceError> {
        let path = self.dir.join("keys/online/enrolment.key");
        let Some(text) = files::read_if_there(&path)? else { return Ok(false) };
        if keys::is_encrypted(&text) {
            return Ok(false);
        }
        let key = keys::read(&path, Class::Online, self.passphrases())?;
        let passphrase = self.passphrases().choose(Class::Online).map_err(KeysError::from)?;
        keys::write(&path, &key, Some(passphrase))?;
        Ok(true)
    }

    /// Its public half, for which nobody is asked for a passphrase; none before the first token.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn enrolment_public(&self) -> Result<Option<PublicKey>, WorkspaceError> {
        let path = self.dir.join(ENROLMENT);
        let Some(text) = files::read_if_there(&path)? else { return Ok(None) };
        let key = PublicKey::from_hex(text.trim());
        key.map(Some).map_err(|source| WorkspaceError::NodeKey { path, source })
    }

    /// What was last heard of a node.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn heard(&self, node: &NodeName) -> Result<Option<Heard>, WorkspaceError> {
        self.record(&format!("nodes/{node}.heard"))
    }

    /// Keeps what was last heard of a node.
    ///
    /// # Errors
    /// The file system refused.
    pub fn put_heard(&self, node: &NodeName, heard: &Heard) -> Result<(), WorkspaceError> {
        self.put_record(&format!("nodes/{node}.heard"), heard, Readers::All)
    }

    /// Forgets what was last heard of a node.
    ///
    /// # Errors
    /// The file system refused.
    pub fn forget_heard(&self, node: &NodeName) -> Result<(), WorkspaceError> {
        Ok(files::remove(&self.dir.join(format!("nodes/{node}.heard")))?)
    }

    /// The tokens that were made, by id.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn tokens(&self) -> Result<BTreeMap<String, TokenRecord>, WorkspaceError> {
        let mut tokens = BTreeMap::new();
        for name in files::names(&self.dir.join("tokens"))? {
            let Some(id) = name.strip_suffix(".json") else { continue };
            let record = self.record(&format!("tokens/{name}"))?;
            tokens.extend(record.map(|record| (id.to_owned(), record)));
        }
        Ok(tokens)
    }

    /// Keeps a token's terms and uses; never the token.
    ///
    /// # Errors
    /// The file system refused.
    pub fn put_token(&self, id: &str, record: &TokenRecord) -> Result<(), WorkspaceError> {
        files::make_folder(&self.dir.join("tokens"), Readers::Owner)?;
        self.put_record(&format!("tokens/{id}.json"), record, Readers::Owner)
    }

    fn record<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, WorkspaceError> {
        let path = self.dir.join(name);
        let Some(text) = files::read_if_there(&path)? else { return Ok(None) };
        let record = serde_json::from_str(&text);
        record.map(Some).map_err(|source| WorkspaceError::Record { path, source })
    }

    fn put_record(
        &self,
        name: &str,
        record: &impl Serialize,
        readers: Readers,
    ) -> Result<(), WorkspaceError> {
        let path = self.dir.join(name);
        let text = serde_json::to_string(record);
        let text = text.map_err(|source| WorkspaceError::Record { path: path.clone(), source })?;
        Ok(files::write(&path, text.as_bytes(), readers)?)
    }
}
