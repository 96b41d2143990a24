//! Which device of the host each entry of a launch means: kind, numbers, owner and mode.
//!
//! Only looks. The rules that let an agent open them are in `cgroup/devices.rs`, the files in its
//! `/dev` are libcontainer's to make.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::launch::{Device, Launch};

/// Why a device cannot be given to an agent.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// There is no such file.
    #[error("device {path} is not there; plug it in, or leave it out of devices")]
    Missing {
        /// The path on the host.
        path: PathBuf,
        /// Why it cannot be seen.
        source: io::Error,
    },
    /// It is a file or folder.
    #[error("{path} is no device; mount it as a volume instead")]
    NoDevice {
        /// The path on the host.
        path: PathBuf,
    },
    /// The ids of a user namespace are strangers to it.
    #[error(
        "device {path} has mode {mode:o}, which shuts out the ids of a user namespace; open it to \
         others, or leave user_namespace out"
    )]
    Closed {
        /// The path on the host.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// What a device is to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of bytes, such as a serial port.
    Character,
    /// Of blocks, such as a disk.
    Block,
}

impl Kind {
    /// The kernel's and the OCI's letter for it.
    pub fn letter(self) -> char {
        match self {
            Self::Character => 'c',
            Self::Block => 'b',
        }
    }
}

/// A device that an agent is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its file in the container.
    pub target: PathBuf,
    /// Its file on the host.
    pub source: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its numbers.
    pub major: u32,
    /// Its numbers.
    pub minor: u32,
    /// What may be done: read, write, make further files.
    pub allowed: [bool; 3],
    mode: u32,
    owner: (u32, u32),
}

impl Node {
    fn of(device: &Device, found: &Metadata) -> Option<Self> {
        let kind = match found.file_type() {
            kind if kind.is_char_device() => Kind::Character,
            kind if kind.is_block_device() => Kind::Block,
            _ => return None,
        };
        Some(Self {
            target: device.target().to_owned(),
            source: device.path.clone(),
            kind,
            major: rustix::fs::major(found.rdev()),
            minor: rustix::fs::minor(found.rdev()),
            allowed: [device.read, device.write, device.mknod],
            mode: found.mode() & 0o777,
            owner: (found.uid(), found.gid()),
        })
    }

    /// A mount of the host's own file: who has no rights on the host cannot make one.
    pub fn mount(&self) -> Value {
        json!({
            "destination": self.target,
            "type": "bind",
            "source": self.source,
            "options": ["bind", "nosuid", "noexec"],
        })
    }

    /// As the OCI runtime specification has it.
    pub fn entry(&self) -> Value {
        json!({
            "path": self.target,
            "type": self.kind.letter().to_string(),
            "major": self.major,
            "minor": self.minor,
            "fileMode": self.mode,
            "uid": self.owner.0,
            "gid": self.owner.1,
        })
    }
}

/// Whether users who are not its owner may do what the agent may.
fn is_open_to_others(node: &Node) -> bool {
    let [read, write, _] = node.allowed;
    (!read || node.mode & 0o4 != 0) && (!write || node.mode & 0o2 != 0)
}

/// The devices that an agent is given: those it names; of a privileged one, all.
///
/// # Errors
/// The first that is not there.
pub fn resolve(launch: &Launch) -> Result<Vec<Node>, DeviceError> {
    let mut nodes = Vec::new();
    for device in &launch.devices {
        let path = || device.path.clone();
        let found = std::fs::metadata(&device.path)
            .map_err(|source| DeviceError::Missing { path: path(), source })?;
        let node = Node::of(device, &found);
        let node = node.ok_or_else(|| DeviceError::NoDevice { path: path() })?;
        if launch.user_namespace.is_some() && !is_open_to_others(&node) {
            return Err(DeviceError::Closed { path: path(), mode: node.mode });
        }
        nodes.push(node);
    }
    if launch.privileged {
        for node in all() {
            if !nodes.iter().any(|known| known.target == node.target) {
                nodes.push(node);
            }
        }
    }
    Ok(nodes)
}

/// The most devices of a host that a privileged agent gets.
const MOST: usize = 4096;

/// Every device file of the host that a container has not one of its own for.
fn all() -> Vec<Node> {
    let own = ["pts", "shm", "mqueue", "fd", "console", "ptmx", "core", "null", "zero", "full"];
    let own = own.into_iter().chain(["random", "urandom", "tty", "stdin", "stdout", "stderr"]);
    let own: Vec<PathBuf> = own.map(|name| Path::new("/dev").join(name)).collect();
    let (mut folders, mut nodes) = (vec![PathBuf::from("/dev")], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| !own.contains(path)) {
            let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
            if found.is_dir() && path.components().count() < 6 {
                folders.push(path);
            } else if nodes.len() < MOST {
                let device = Device { path, target: None, read: true, write: true, mknod: true };
                nodes.extend(Node::of(&device, &found));
            }
        }
    }
    nodes
}
