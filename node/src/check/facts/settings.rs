//! What the configuration leads to: the store, the node's key, the trust root, the broker's files.

use std::fs::File;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use skerry_core::trust::repositories::ROOTS_MAX;
use skerry_core::trust::{Repositories, Repository, Roots, RootsError};
use skerry_sync::config::BrokerUrl;

use crate::config::{Config, ConfigError};
use crate::store::SledStore;

/// What the person asked to be checked.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The configuration; the usual one if none is named.
    pub config: Option<PathBuf>,
    /// The folder of the state, laid over the configuration.
    pub state_dir: Option<PathBuf>,
    /// The socket of the node, laid over the configuration.
    pub socket: Option<PathBuf>,
    /// Whether the broker may be tried.
    pub network: bool,
}

/// A configuration to go on with, whatever the file was like.
pub struct Loaded {
    pub config: Config,
    pub trouble: Option<String>,
    pub forbidden: bool,
}

impl Settings {
    /// Where a node would listen.
    pub fn socket(&self, config: &Config) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| config.socket())
    }

    /// As the node reads it; defaults where it cannot be read.
    pub fn load(&self) -> Loaded {
        let state_dir = self.state_dir.iter().map(|dir| ("state_dir", dir.display().to_string()));
        let flags: Vec<_> = state_dir.collect();
        let error = match Config::load(self.config.as_deref(), &flags) {
            Ok(config) => return Loaded { config, trouble: None, forbidden: false },
            Err(error) => error,
        };
        let forbidden = matches!(&error, ConfigError::Read { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied);
        let mut config = Config::assumed();
        config.state_dir = self.state_dir.clone().unwrap_or(config.state_dir);
        Loaded { config, trouble: Some(error.to_string()), forbidden }
    }
}

/// What the store is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreState {
    /// There is none yet.
    Absent,
    /// A node has it open.
    InUse,
    /// It opens and is whole.
    Whole,
    /// A node would make it again from its export.
    Behind(String),
    /// It does not open.
    Unusable(String),
    /// It is kept from us.
    Forbidden,
}

impl StoreState {
    /// Opens and closes the store as a node would, unless a node runs. Nothing is repaired.
    pub fn look(state_dir: &Path) -> Self {
        let folder = state_dir.join("state");
        let file = match File::open(folder.join("sled").join("db")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let kept = crate::store::export::newest(&folder).map(|export| export.generation);
                return kept.map_or(Self::Absent, |generation| {
                    Self::Behind(format!("it is gone; its export has generation {generation}"))
                });
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Self::Forbidden;
            }
            Err(error) => return Self::Unusable(error.to_string()),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Self::InUse,
            Err(errno) => return Self::Unusable(io::Error::from(errno).to_string()),
        }
        drop(file);
        match SledStore::inspect(&folder) {
            Ok(None) => Self::Whole,
            Ok(Some(trouble)) => Self::Behind(trouble),
            Err(error) => Self::Unusable(error.to_string()),
        }
    }
}

/// What the node's key is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// There is none yet.
    Absent,
    /// It is a key; these are the file's permissions.
    Good(u32),
    /// It is something else, or cannot be read.
    Bad(String),
    /// It is kept from us.
    Forbidden,
}

impl Key {
    /// Reads the key, and makes none.
    pub fn look(state_dir: &Path) -> Self {
        let path = state_dir.join("identity").join("node.key");
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Absent,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::Forbidden,
            Err(error) => Self::Bad(error.to_string()),
            Ok(found) => match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::Forbidden,
                _ => match crate::identity::Identity::load(state_dir) {
                    Ok(_) => Self::Good(found.mode() & 0o777),
                    Err(error) => Self::Bad(error.to_string()),
                },
            },
        }
    }
}

/// What the trust root is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// None is configured.
    None,
    /// It is kept from us.
    Forbidden(PathBuf),
    /// It cannot be used, and why.
    Bad(PathBuf, String),
    /// It is signed by its own keys.
    Good {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
        /// Until when it is current.
        expires: Timestamp,
    },
}

impl Root {
    /// Reads the root and checks its signatures by its own keys.
    pub fn look(path: Option<&Path>) -> Self {
        let Some(path) = path.map(Path::to_owned) else { return Self::None };
        let mut text = String::new();
        let read = File::open(&path)
            .and_then(|file| file.take(ROOTS_MAX as u64).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::Forbidden(path),
            Err(error) => Self::Bad(path, error.to_string()),
            Ok(_) => match both(&text) {
                Err(error) => Self::Bad(path, error.to_string()),
                Ok([director, images]) => {
                    let (version, expires) = (director.version, director.expires);
                    // The one that ends first is the one to speak of.
                    Self::Good { path, version, expires: expires.min(images.expires) }
                }
            },
        }
    }
}

/// The roots of both repositories, each checked by its own keys.
fn both(text: &str) -> Result<[skerry_core::trust::metadata::Root; 2], RootsError> {
    let trust: Repositories = Roots::parse(text)?.into();
    let root = |repository| Ok(trust.open(repository)?.root().clone());
    Ok([root(Repository::Director)?, root(Repository::Images)?])
}

/// What is so of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its address.
    pub url: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whether a password stands in the configuration itself.
    pub password_in_config: bool,
    /// The files that the configuration names: key, path, and permissions or what is wrong.
    pub files: Vec<(&'static str, PathBuf, Result<u32, String>)>,
    /// What came of connecting.
    pub reach: Reach,
}

/// What came of connecting to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It was not asked for.
    NotTried,
    /// Something accepts connections there.
    Connected,
    /// The name leads nowhere.
    NoAddress(String),
    /// Nobody answers.
    NoAnswer(String),
}

/// How long one attempt to connect may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl Broker {
    /// Looks at the files, and connects only if asked to.
    pub fn look(config: &skerry_sync::Config, network: bool) -> Self {
        let url = config.url.parse::<BrokerUrl>().ok();
        let files = [
            ("ca_file", &config.ca_file),
            ("cert_file", &config.cert_file),
            ("key_file", &config.key_file),
            ("password_file", &config.password_file),
        ];
        let files = files.into_iter().filter_map(|(key, path)| {
            let path = path.clone()?;
            let opened = File::open(&path).and_then(|file| file.metadata());
            Some((key, path, opened.map(|m| m.mode() & 0o777).map_err(|e| e.to_string())))
        });
        Self {
            tls: url.as_ref().is_some_and(|url| url.tls),
            password_in_config: config.password.is_some(),
            files: files.collect(),
            reach: match url.filter(|_| network) {
                Some(url) => connect(&url),
                None => Reach::NotTried,
            },
            url: config.url.clone(),
        }
    }
}

fn connect(url: &BrokerUrl) -> Reach {
    let addresses = match (url.host.as_str(), url.port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Reach::NoAddress(error.to_string()),
    };
    let mut last = "the name has no address".to_owned();
    for address in addresses.take(4) {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Reach::Connected,
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Reach::NoAnswer(last)
}
