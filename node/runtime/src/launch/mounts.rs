//! What is mounted besides the image: folders of the host, memory, handed-over files, volumes.
//!
//! Set-user-id files and devices have no effect in any of them. That a target stays inside the
//! container, whatever links the image has, is `volumes.rs`' to see to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MOST, Wrong, check_path, wrong};

/// One thing to mount. Targets are paths in the container; missing ones are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mount {
    /// A file or folder of the host, with what is mounted below it.
    Bind {
        /// The path on the host.
        source: PathBuf,
        /// The path in the container.
        target: PathBuf,
        /// Whether it cannot be written to.
        #[serde(default)]
        read_only: bool,
        /// Whether later mounts below it are seen on the other side.
        #[serde(default)]
        propagation: Propagation,
        /// Whether a missing source is made, as a folder.
        #[serde(default)]
        create: bool,
    },
    /// Memory, which counts towards the agent's limit and ends with the container.
    Tmpfs {
        /// The path in the container.
        target: PathBuf,
        /// The most that it holds; the kernel's own choice is half the machine's memory.
        #[serde(default)]
        size_bytes: Option<u64>,
        /// The folder's mode.
        #[serde(default = "everybody")]
        mode: u32,
        /// The folder's owner.
        #[serde(default)]
        uid: u32,
        /// The folder's group.
        #[serde(default)]
        gid: u32,
    },
    /// Files that are handed over, such as configuration and secrets: copied into memory of the
    /// container as it starts, read-only, not executable. The contents are never in this record.
    Files {
        /// The folder in the container; or, with one file only and `single`, the file.
        target: PathBuf,
        /// Names in the folder, and the files on the host with the contents.
        files: BTreeMap<String, PathBuf>,
        /// Whether the target is the file itself and not a folder.
        #[serde(default)]
        single: bool,
        /// The files' mode.
        #[serde(default = "readable")]
        mode: u32,
        /// The files' owner.
        #[serde(default)]
        uid: u32,
        /// The files' group.
        #[serde(default)]
        gid: u32,
    },
    /// A folder that the node made for agents; nothing mounted below it is seen.
    Volume {
        /// The folder on the host.
        source: PathBuf,
        /// The path in the container.
        target: PathBuf,
        /// Whether it cannot be written to.
        #[serde(default)]
        read_only: bool,
    },
}

/// Whether mounts below a folder are seen on the other side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// On neither side.
    #[default]
    RPrivate,
    /// What the host mounts is seen in the container.
    RSlave,
    /// Each sees what the other mounts.
    RShared,
}

fn everybody() -> u32 {
    0o1777
}

fn readable() -> u32 {
    0o444
}

impl Mount {
    /// Where it is in the container.
    pub fn target(&self) -> &Path {
        match self {
            Self::Bind { target, .. }
            | Self::Tmpfs { target, .. }
            | Self::Files { target, .. }
            | Self::Volume { target, .. } => target,
        }
    }

    fn check(&self) -> Result<(), Wrong> {
        const FIELD: &str = "volumes";
        check_target(self.target())?;
        match self {
            Self::Bind { source, .. } | Self::Volume { source, .. } => check_path(FIELD, source),
            Self::Tmpfs { mode, .. } => check_mode(*mode),
            Self::Files { files, single, mode, target, .. } => {
                check_mode(*mode)?;
                if files.is_empty() || files.len() > MOST || (*single && files.len() != 1) {
                    let shown = target.display();
                    return wrong(FIELD, format!("{shown} has {} files", files.len()));
                }
                files.iter().try_for_each(|(name, source)| {
                    let plain = !name.is_empty() && !name.contains(['/', '\0']) && name.len() < 256;
                    if !plain || name == "." || name == ".." {
                        return wrong(FIELD, format!("'{name}' is no name for a file"));
                    }
                    check_path(FIELD, source)
                })
            }
        }
    }
}

fn check_mode(mode: u32) -> Result<(), Wrong> {
    if mode <= 0o1777 { Ok(()) } else { wrong("volumes", format!("have the odd mode {mode:o}")) }
}

fn check_target(target: &Path) -> Result<(), Wrong> {
    check_path("volumes", target)?;
    let refused = ["/", "/dev"].map(Path::new).contains(&target)
        || ["/proc", "/sys"].iter().any(|kept| target.starts_with(kept));
    match refused {
        true => wrong("volumes", format!("{} must stay what it is", target.display())),
        false => Ok(()),
    }
}

pub(super) fn check(volumes: &[Mount]) -> Result<(), Wrong> {
    volumes.iter().try_for_each(Mount::check)?;
    for (number, volume) in volumes.iter().enumerate() {
        if volumes.iter().take(number).any(|other| other.target() == volume.target()) {
            let shown = volume.target().display();
            return wrong("volumes", format!("name {shown} twice; the one would hide the other"));
        }
    }
    Ok(())
}
