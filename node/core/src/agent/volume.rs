//! Volumes: what is mounted into an agent's file system. Fields are those of Compose's long form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fault::{Fault, fault};
use super::text::path_problem;
use crate::as_text::as_text;
use crate::ids::{DataName, VolumeName};
use crate::units::Memory;

/// The most volumes of one agent.
const VOLUMES_MAX: usize = 64;

/// What kind of thing is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VolumeType {
    /// A file or folder of the host.
    Bind,
    /// A folder that the node keeps under a name, until `skerry volume rm`.
    Volume,
    /// Memory, gone when the agent ends.
    Tmpfs,
    /// The values of a config, a file each.
    Config,
    /// The values of a secret, a file each, in memory only.
    Secret,
}

impl fmt::Display for VolumeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Config => "config",
            Self::Secret => "secret",
        })
    }
}

/// How mounts made later travel between host and agent (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Propagation {
    /// Not at all; the default.
    Rprivate,
    /// From the host to the agent.
    Rslave,
    /// Both ways.
    Rshared,
}

/// Permission bits, written in octal and in quotes: `"0640"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

as_text!(Mode, "a mode in octal and in quotes, such as \"0640\"");

impl FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| octal && *bits <= 0o7777);
        bits.map(Self).ok_or_else(|| {
            format!("'{text}' is not a mode; write it in octal and in quotes, such as \"0640\"")
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// One thing that is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind_of: VolumeType,
    /// The host's path of a bind; the name of a volume, config or secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where it appears inside.
    pub target: String,
    /// The agent can't write to it. Configs and secrets never can be written to.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub read_only: bool,
    /// For a bind only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Propagation>,
    /// A bind's source is made, as a folder, if it is missing.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub create: bool,
    /// The most that a tmpfs or a volume holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Memory>,
    /// Owner of the root of a volume or tmpfs when it is made, and of the files of a config or secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Its permissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// A volume whose source was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeKind<'a> {
    /// A path of the host.
    Bind(&'a str),
    /// A named volume.
    Volume(VolumeName),
    /// Memory.
    Tmpfs,
    /// A config.
    Config(DataName),
    /// A secret.
    Secret(DataName),
}

impl Volume {
    /// What is mounted.
    ///
    /// # Errors
    /// What is wrong with `source`.
    pub fn kind(&self) -> Result<VolumeKind<'_>, String> {
        let source = || self.source.as_deref().ok_or_else(|| "is missing".to_owned());
        match self.kind_of {
            VolumeType::Bind => match path_problem(source()?) {
                None => Ok(VolumeKind::Bind(source()?)),
                Some(problem) => Err(problem.to_owned()),
            },
            VolumeType::Volume => {
                source()?.parse().map(VolumeKind::Volume).map_err(|e| format!("{e}"))
            }
            VolumeType::Tmpfs if self.source.is_some() => Err("does not go with tmpfs".to_owned()),
            VolumeType::Tmpfs => Ok(VolumeKind::Tmpfs),
            VolumeType::Config => {
                source()?.parse().map(VolumeKind::Config).map_err(|e| format!("{e}"))
            }
            VolumeType::Secret => {
                source()?.parse().map(VolumeKind::Secret).map_err(|e| format!("{e}"))
            }
        }
    }

    fn check(&self) -> Result<(), Fault> {
        if let Some(problem) = path_problem(&self.target) {
            return fault("target", problem);
        }
        let target = self.target.trim_end_matches('/');
        let kernels = ["/proc", "/sys"].map(std::path::Path::new);
        if matches!(target, "" | "/dev")
            || kernels.iter().any(|k| std::path::Path::new(target).starts_with(k))
        {
            return fault(
                "target",
                "is the agent's root, /dev, or in /proc or /sys; choose another",
            );
        }
        if let Err(problem) = self.kind() {
            return fault("source", problem);
        }
        use VolumeType::{Bind, Config, Secret, Tmpfs, Volume};
        let kind = self.kind_of;
        let misplaced = [
            ("propagation", self.propagation.is_some() && kind != Bind),
            ("create", self.create && kind != Bind),
            ("size", self.size.is_some() && !matches!(kind, Tmpfs | Volume)),
            ("uid", self.uid.is_some() && kind == Bind),
            ("gid", self.gid.is_some() && kind == Bind),
            ("mode", self.mode.is_some() && kind == Bind),
            ("readOnly", self.read_only && kind == Tmpfs),
            ("readOnly", self.read_only && matches!(kind, Config | Secret)),
        ];
        if let Some((field, _)) = misplaced.into_iter().find(|(_, wrong)| *wrong) {
            return fault(field, format!("has no meaning for type {kind}"));
        }
        if self.size.is_some_and(|size| size < Memory(64 * 1024)) {
            return fault("size", "is below 64Ki");
        }
        Ok(())
    }
}

pub(super) fn check(volumes: &[Volume]) -> Result<(), Fault> {
    if volumes.len() > VOLUMES_MAX {
        return fault("volumes", "has more than 64 entries");
    }
    let target = |volume: &Volume| volume.target.trim_end_matches('/').to_owned();
    for (index, volume) in volumes.iter().enumerate() {
        volume
            .check()
            .map_err(|f| Fault { field: format!("volumes[{index}].{}", f.field), ..f })?;
        if volumes.iter().take(index).any(|other| target(other) == target(volume)) {
            return fault(format!("volumes[{index}].target"), "is taken by another volume");
        }
    }
    Ok(())
}
