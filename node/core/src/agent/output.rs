//! What leaves an agent: its output, and its network.

use serde::{Deserialize, Serialize};

use super::fault::{Fault, fault};
use crate::units::Memory;

/// How much of an agent's output is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// Of each file; the node's setting by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Memory>,
    /// How many files, the one being written included; the node's setting by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u32>,
    /// Bytes a second, with ten seconds' worth at once. What is more is dropped and counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Memory>,
}

impl Logging {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.max_size.is_some_and(|size| size < Memory(64 * 1024)) {
            return fault("maxSize", "is below 64Ki");
        }
        if self.max_files.is_some_and(|count| !(1..=1000).contains(&count)) {
            return fault("maxFiles", "must be 1 to 1000");
        }
        if self.rate_limit.is_some_and(|rate| rate < Memory(1024)) {
            return fault("rateLimit", "is below 1Ki a second");
        }
        Ok(())
    }
}

/// Which network an agent sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// `none` by default.
    #[serde(default)]
    pub mode: NetworkMode,
}

/// Which network an agent sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// One of its own, or its pod's, with a loopback interface and nothing else.
    #[default]
    None,
    /// The host's.
    Host,
    /// Understood, and refused: it does not exist yet.
    Bridge,
}

impl Network {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.mode == NetworkMode::Bridge {
            return fault("mode", "bridge does not exist yet; use none or host");
        }
        Ok(())
    }
}
