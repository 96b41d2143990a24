//! The workspace: one folder with everything that an operator keeps.
//!
//! ```text
//! fleet.toml                   broker, tenant, how long signatures hold
//! keys/online/ROLE.key         what signs each document: the director's targets, snapshot, timestamp
//! keys/offline/REPO-ROLE.key   the director's root, and all keys of the images; may be elsewhere
//! keys/…/*.key.ID.next         a key whose root is not kept yet: see next.rs
//! root.json                    the newest roots of both: what a node is given as trust.root
//! REPO/roots/N.root.json       every root there ever was, of director and of images
//! REPO/metadata/ROLE.json      the newest targets, snapshot and timestamp of each
//! documents/KIND-NAME.json     the newest document of each node and group
//! nodes/                       the nodes' keys, those that were revoked, and what was last heard: see people.rs
//! tokens/ID.json               the tokens by which nodes enrol, and who has used them
//! ```
//! It reads and writes files, and decides nothing about documents; next: [`crate::release`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use skerry_core::bundle::Address;
use skerry_core::ids::IdError;
use skerry_core::trust::sign::{SignedRelease, SigningKey};
use skerry_core::trust::{KeyError, Repository, Role, Roots};
use skerry_sync::config::{BrokerUrl, UrlError};
use skerry_sync::topics::{Name, TopicError};

use crate::files::{self, FileError, Lock, Readers};
use crate::keys::{self, KeysError};
use crate::passphrase::{Class, Passphrases};

mod lifetimes;
mod next;
mod people;

pub use lifetimes::Expiry;
pub use next::NextKey;
pub use people::{Revocation, TokenRecord, Use};

/// The roles, in the order in which people think of them.
pub const ROLES: [Role; 4] = [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp];
/// The repositories, the one that is used each day first.
pub const REPOSITORIES: [Repository; 2] = [Repository::Director, Repository::Images];
const SETTINGS: &str = "fleet.toml";

/// What the command line may say instead of `fleet.toml`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Overrides {
    /// The broker, such as mqtt://127.0.0.1:1883; as in fleet.toml by default
    #[arg(long, global = true, value_name = "URL", env = "SKERRY_BROKER", value_parser = broker)]
    #[arg(help_heading = "Global options", hide_env_values = true)]
    pub broker: Option<String>,
    /// The tenant; as in fleet.toml by default
    #[arg(long, global = true, value_name = "NAME", env = "SKERRY_TENANT", value_parser = tenant)]
    #[arg(help_heading = "Global options", hide_env_values = true)]
    pub tenant: Option<String>,
    /// Where the offline keys are, such as on a stick; keys/offline in the workspace by default
    #[arg(long, global = true, value_name = "DIR", env = "SKERRY_OFFLINE_KEYS")]
    #[arg(help_heading = "Global options", hide_env_values = true)]
    pub offline_keys: Option<PathBuf>,
}

/// What is no address of a broker is refused before it is written down.
fn broker(text: &str) -> Result<String, UrlError> {
    text.parse::<BrokerUrl>().map(|_| text.to_owned())
}

fn tenant(text: &str) -> Result<String, TopicError> {
    text.parse::<Name>().map(|_| text.to_owned())
}

/// Why a workspace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// There is none.
    #[error("{dir} is no workspace; make one with: skerry-fleet init --dir {dir}", dir = .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("{dir} is a workspace already, and its keys would be lost; choose another --dir", dir = .0.display())]
    Exists(PathBuf),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A private key cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A key that is kept off line, as it should be.
    #[error(
        "{path} is not here, and signs for the {role} of {repository}; name its folder with --offline-keys DIR",
        path = path.display()
    )]
    Offline {
        /// The file.
        path: PathBuf,
        /// Whose.
        repository: Repository,
        /// Of which role.
        role: Role,
    },
    /// The settings are wrong.
    #[error("{path}: {source}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A node's key file holds something else.
    #[error("{path}: {source}")]
    NodeKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// A record holds something else.
    #[error("{path}: {source}; move it away to begin anew")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A file's name names nobody.
    #[error("{path}: {source}")]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: IdError,
    },
}

/// What `fleet.toml` says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How the broker is reached.
    pub broker: skerry_sync::Config,
    /// How long signatures hold.
    #[serde(default)]
    pub expiry: Expiry,
    /// How new nodes come in.
    #[serde(default)]
    pub enrol: Enrol,
}

/// How new nodes come in.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Enrol {
    /// Who approves a node that brings a good token.
    pub approve: Approve,
}

/// Who approves a node that brings a good token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approve {
    /// The token is enough.
    #[default]
    Token,
    /// The operator, with `nodes approve`.
    Operator,
}

/// An open workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    dir: PathBuf,
    offline: PathBuf,
    settings: Settings,
    passphrases: Passphrases,
}

/// Whether new keys are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// With passphrases, which are asked for.
    Passphrase,
    /// Not at all; only other users are kept out.
    None,
}

impl Workspace {
    /// Opens a workspace, and lays what the command line says over its settings.
    ///
    /// # Errors
    /// There is none, or its settings are wrong.
    pub fn open(dir: &Path, overrides: &Overrides) -> Result<Self, WorkspaceError> {
        let path = dir.join(SETTINGS);
        let text =
            files::read_if_there(&path)?.ok_or_else(|| WorkspaceError::Missing(dir.to_owned()))?;
        let mut settings: Settings = toml::from_str(&text)
            .map_err(|source| WorkspaceError::Settings { path, source: Box::new(source) })?;
        if let Some(url) = &overrides.broker {
            settings.broker.url.clone_from(url);
        }
        if let Some(tenant) = &overrides.tenant {
            settings.broker.tenant.clone_from(tenant);
        }
        let broker = &mut settings.broker;
        let named = [
            &mut broker.password_file,
            &mut broker.ca_file,
            &mut broker.cert_file,
            &mut broker.key_file,
        ];
        for path in named.into_iter().flatten() {
            *path = dir.join(&*path);
        }
        let offline = overrides.offline_keys.clone().unwrap_or_else(|| dir.join("keys/offline"));
        Ok(Self { dir: dir.to_owned(), offline, settings, passphrases: Passphrases::default() })
    }

    /// Makes the folders, keys and settings of a new workspace. The settings come last: a folder
    /// without them is none yet.
    ///
    /// # Errors
    /// There is one already, or the file system refused.
    pub fn create(
        dir: &Path,
        overrides: &Overrides,
        expiry: Expiry,
        protection: Protection,
        passphrases: Passphrases,
    ) -> Result<Self, WorkspaceError> {
        let offline = overrides.offline_keys.clone().unwrap_or_else(|| dir.join("keys/offline"));
        let all = REPOSITORIES.into_iter().flat_map(|of| ROLES.map(|role| (of, role)));
        let paths = all.map(|(of, role)| (key_path(dir, &offline, of, role), class(of, role)));
        let paths: Vec<_> = paths.collect();
        if dir.join(SETTINGS).exists() || paths.iter().any(|(path, _)| path.exists()) {
            return Err(WorkspaceError::Exists(dir.to_owned()));
        }
        if protection == Protection::Passphrase {
            // Asked for before anything is made.
            for class in [Class::Online, Class::Offline] {
                passphrases.choose(class).map_err(KeysError::from)?;
            }
        }
        for folder in ["", "documents", "nodes"] {
            files::make_folder(&dir.join(folder), Readers::All)?;
        }
        for of in REPOSITORIES {
            for folder in ["roots", "metadata"] {
                files::make_folder(&dir.join(of.name()).join(folder), Readers::All)?;
            }
        }
        for folder in [&dir.join("keys"), &dir.join("keys/online"), &offline] {
            files::make_folder(folder, Readers::Owner)?;
        }
        for (path, class) in &paths {
            let passphrase = match protection {
                Protection::Passphrase => Some(passphrases.get(*class).map_err(KeysError::from)?),
                Protection::None => None,
            };
            keys::write(path, &keys::make()?, passphrase)?;
        }
        let url = overrides.broker.as_deref().unwrap_or("mqtt://127.0.0.1:1883");
        let tenant = overrides.tenant.as_deref().unwrap_or("default");
        let settings = format!(
            "# The settings of this fleet. [broker] takes the same keys as in a node's configuration:\n\
             # username, password_file, and for mqtts:// ca_file, cert_file and key_file.\n\
             [broker]\nurl = {}\ntenant = {}\n\n\
             # How long signatures hold; sign or refresh before they end.\n[expiry]\n{}",
            quoted(url),
            quoted(tenant),
            expiry.to_toml(),
        );
        files::write(&dir.join(SETTINGS), settings.as_bytes(), Readers::All)?;
        Ok(Self { passphrases, ..Self::open(dir, overrides)? })
    }

    /// How the broker is reached.
    pub fn broker(&self) -> &skerry_sync::Config {
        &self.settings.broker
    }

    /// How long signatures hold.
    pub fn expiry(&self) -> Expiry {
        self.settings.expiry
    }

    /// Who approves a node that brings a good token.
    pub fn approve(&self) -> Approve {
        self.settings.enrol.approve
    }

    /// Keeps other processes from changing the workspace meanwhile.
    ///
    /// # Errors
    /// The file system refused.
    pub fn lock(&self) -> Result<Lock, WorkspaceError> {
        Ok(files::lock(&self.dir.join(".lock"))?)
    }

    /// The private key of a role of a repository.
    ///
    /// # Errors
    /// It cannot be read; of one that is kept off line: it is not here.
    pub fn key(&self, of: Repository, role: Role) -> Result<SigningKey, WorkspaceError> {
        let path = self.key_path(of, role);
        match keys::read(&path, class(of, role), &self.passphrases) {
            Err(KeysError::File(error)) if error.is_missing() && is_offline(of, role) => {
                Err(WorkspaceError::Offline { path, repository: of, role })
            }
            read => Ok(read?),
        }
    }

    /// Encrypts the key of a role, which was plain.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn protect_key(&self, of: Repository, role: Role) -> Result<(), WorkspaceError> {
        let key = self.key(of, role)?;
        let passphrase = self.passphrases.choose(class(of, role)).map_err(KeysError::from)?;
        Ok(keys::write(&self.key_path(of, role), &key, Some(passphrase))?)
    }

    /// Whether the key of a role is encrypted; nothing if it is not here.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_protected(&self, of: Repository, role: Role) -> Result<Option<bool>, WorkspaceError> {
        let text = files::read_if_there(&self.key_path(of, role))?;
        Ok(text.map(|text| keys::is_encrypted(&text)))
    }

    /// Writes a key, encrypted if the one at `like` is.
    fn write_key(
        &self,
        path: &Path,
        key: &SigningKey,
        class: Class,
        like: &Path,
    ) -> Result<(), WorkspaceError> {
        let protected = files::read_if_there(like)?.is_some_and(|text| keys::is_encrypted(&text));
        let passphrase = protected.then(|| self.passphrases.get(class));
        let passphrase = passphrase.transpose().map_err(KeysError::from)?;
        Ok(keys::write(path, key, passphrase)?)
    }

    /// The passphrases of the keys.
    pub fn passphrases(&self) -> &Passphrases {
        &self.passphrases
    }

    /// Where the key of a role is.
    pub fn key_path(&self, of: Repository, role: Role) -> PathBuf {
        key_path(&self.dir, &self.offline, of, role)
    }

    /// Where the newest roots are, to be given to nodes.
    pub fn root_path(&self) -> PathBuf {
        self.dir.join("root.json")
    }

    /// All roots of a repository, oldest first.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn roots(&self, of: Repository) -> Result<Vec<String>, WorkspaceError> {
        let mut roots = Vec::new();
        for version in 1_u64.. {
            match files::read_if_there(&self.root_file(of, version))? {
                Some(root) => roots.push(root),
                None => break,
            }
        }
        Ok(roots)
    }

    /// Keeps a new root, and, once there is one of each repository, both for new nodes.
    ///
    /// # Errors
    /// The file system refused.
    pub fn put_root(&self, of: Repository, version: u64, root: &str) -> Result<(), WorkspaceError> {
        files::write(&self.root_file(of, version), root.as_bytes(), Readers::All)?;
        let newest = |of| Ok::<_, WorkspaceError>(self.roots(of)?.pop());
        let both = newest(Repository::Director)?.zip(newest(Repository::Images)?);
        let Some((director, images)) = both else { return Ok(()) };
        let text = Roots::new(director, images).to_text();
        Ok(files::write(&self.root_path(), text.as_bytes(), Readers::All)?)
    }

    fn root_file(&self, of: Repository, version: u64) -> PathBuf {
        self.dir.join(format!("{of}/roots/{version}.root.json"))
    }

    /// The newest metadata of a repository, if anything was ever signed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn release(&self, of: Repository) -> Result<Option<SignedRelease>, WorkspaceError> {
        let read = |role: Role| files::read_if_there(&self.metadata_path(of, role));
        let (timestamp, snapshot, targets) =
            (read(Role::Timestamp)?, read(Role::Snapshot)?, read(Role::Targets)?);
        Ok(timestamp
            .zip(snapshot)
            .zip(targets)
            .map(|((timestamp, snapshot), targets)| SignedRelease { timestamp, snapshot, targets }))
    }

    /// Keeps new metadata. The timestamp comes last: it makes the others count.
    ///
    /// # Errors
    /// The file system refused.
    pub fn put_release(&self, of: Repository, new: &SignedRelease) -> Result<(), WorkspaceError> {
        let SignedRelease { timestamp, snapshot, targets } = new;
        for (role, text) in
            [(Role::Targets, targets), (Role::Snapshot, snapshot), (Role::Timestamp, timestamp)]
        {
            files::write(&self.metadata_path(of, role), text.as_bytes(), Readers::All)?;
        }
        Ok(())
    }

    fn metadata_path(&self, of: Repository, role: Role) -> PathBuf {
        self.dir.join(format!("{of}/metadata/{role}.json"))
    }

    /// The newest document of each audience.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn documents(&self) -> Result<BTreeMap<Address, String>, WorkspaceError> {
        let folder = self.dir.join("documents");
        let mut documents = BTreeMap::new();
        for name in files::names(&folder)? {
            let Some(stem) = name.strip_suffix(".json") else { continue };
            let path = folder.join(&name);
            let wrong = |source| WorkspaceError::Name { path: path.clone(), source };
            let address = match stem.split_once('-') {
                Some(("node", node)) => Address::Node(node.parse().map_err(wrong)?),
                Some(("group", group)) => Address::Group(group.parse().map_err(wrong)?),
                _ => continue,
            };
            documents.insert(address, files::read_text(&path)?);
        }
        Ok(documents)
    }

    /// Keeps the newest document of an audience.
    ///
    /// # Errors
    /// The file system refused.
    pub fn put_document(&self, address: &Address, text: &str) -> Result<(), WorkspaceError> {
        let name = match address {
            Address::Node(node) => format!("documents/node-{node}.json"),
            Address::Group(group) => format!("documents/group-{group}.json"),
        };
        Ok(files::write(&self.dir.join(name), text.as_bytes(), Readers::All)?)
    }
}

/// Whether a key is needed so seldom that it should not be where documents are signed: with it, a thief could
/// say what is genuine, or keep the owner out.
pub fn is_offline(of: Repository, role: Role) -> bool {
    of == Repository::Images || role == Role::Root
}

/// Which passphrase a key has.
pub fn class(of: Repository, role: Role) -> Class {
    if is_offline(of, role) { Class::Offline } else { Class::Online }
}

fn key_path(dir: &Path, offline: &Path, of: Repository, role: Role) -> PathBuf {
    if is_offline(of, role) {
        offline.join(format!("{of}-{role}.key"))
    } else {
        dir.join(format!("keys/online/{role}.key"))
    }
}

/// A TOML string; JSON's rules for strings are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
