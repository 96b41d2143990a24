//! What the store tells others of an image.
//!
//! Data only: decides nothing but which fields of an OCI configuration a device cares for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use skerry_core::ids::Digest;

use crate::media::Config;
use crate::platform::Platform;

/// One line of a list of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageRecord {
    /// The digest of the manifest: what a document names.
    pub digest: Digest,
    /// The digest of the configuration; docker calls it the image's ID.
    pub config: Digest,
    /// The names, sorted.
    pub names: Vec<String>,
    /// Digests of the indexes that the image was chosen from; they mean it, too.
    pub aliases: Vec<Digest>,
    /// What it runs on.
    pub platform: Platform,
    /// The layers by the digest of their uncompressed tar, bottom first.
    pub layers: Vec<Digest>,
    /// Bytes of file content in all its layers, shared ones included.
    pub size: u64,
}

/// What is needed to run an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The digest of the manifest.
    pub digest: Digest,
    /// How to run it.
    pub config: ImageConfig,
    /// The unpacked layers, bottom first, none twice.
    pub layers: Vec<PathBuf>,
    /// Bytes of file content in all its layers.
    pub size: u64,
}

/// How an image wants to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImageConfig {
    /// The program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that may be replaced.
    pub cmd: Vec<String>,
    /// The environment, `NAME=VALUE` each.
    pub env: Vec<String>,
    /// The user, as name or number, with an optional group after a colon.
    pub user: Option<String>,
    /// The working directory.
    pub working_dir: Option<String>,
    /// The signal that asks the program to stop.
    pub stop_signal: Option<String>,
    /// Ports that the program listens on, such as `80/tcp`; for people to read.
    pub exposed_ports: Vec<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
}

impl From<Config> for ImageConfig {
    fn from(config: Config) -> Self {
        let run = config.config.unwrap_or_default();
        let filled = |text: Option<String>| text.filter(|t| !t.is_empty());
        Self {
            entrypoint: run.entrypoint.unwrap_or_default(),
            cmd: run.cmd.unwrap_or_default(),
            env: run.env.unwrap_or_default(),
            user: filled(run.user),
            working_dir: filled(run.working_dir),
            stop_signal: filled(run.stop_signal),
            exposed_ports: run.exposed_ports.unwrap_or_default().into_keys().collect(),
            labels: run.labels.unwrap_or_default(),
        }
    }
}
