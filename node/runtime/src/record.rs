//! The records of a run folder: their names, their contents, and how they are written whole.
//!
//! A record is written aside and renamed, so that a reader sees all of it or nothing. It never
//! judges what a record means; `observe.rs` does.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::launch::Limits;

/// The format of the records that this version writes. What an older version left out is as if it
/// had not happened.
pub const FORMAT: u32 = 1;

/// What was asked for.
pub const LAUNCH: &str = "launch.json";
/// Held locked as long as the monitor lives.
pub const LOCK: &str = "monitor.lock";
/// What the monitor itself has to say; normally empty.
pub const MONITOR_LOG: &str = "monitor.log";
/// The container that was made.
pub const STATE: &str = "state.json";
/// How the container ended.
pub const EXIT: &str = "exit.json";
/// Why there is no container.
pub const FAILED: &str = "failed.json";
/// libcontainer's own state.
pub const OCI: &str = "oci";
/// Where the root file system is mounted, in the container's own mount namespace only.
pub const ROOTFS: &str = "rootfs";
/// Where control group hierarchies are put aside, in the container's mount namespace only.
pub const HIDDEN: &str = "hidden";
/// Where volumes wait to be mounted, in the container's mount namespace only.
pub const MOUNTS: &str = "mounts";
/// Where layers are seen through other ids, in the container's mount namespace only.
pub const LOWERS: &str = "lowers";
/// Where handed-over files are copied to, in the container's mount namespace only.
pub const FILES: &str = "files";
/// Mount points and files that an image may lack.
pub const SKELETON: &str = "skeleton";

const MAX_BYTES: u64 = 1024 * 1024;

/// Why a record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system refused.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The content is not a record of this kind.
    #[error("{path} is not a record that this version understands")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// A process told apart from any other that had or will have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number.
    pub pid: i32,
    /// When it was started, in clock ticks since boot.
    pub start_time: u64,
}

/// `state.json`: a container that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The agent's name.
    pub agent: String,
    /// The caller's mark, as in the launch.
    pub instance: String,
    /// The boot in which all this is true.
    pub boot_id: String,
    /// The monitor.
    pub monitor: ProcessId,
    /// The container's first process.
    pub init: ProcessId,
    /// The cgroup folders the container is in.
    pub cgroups: Vec<PathBuf>,
    /// The limits in force, as read back from the kernel.
    pub limits: Limits,
    /// Whether the kernel refuses devices other than the standard ones.
    pub devices_enforced: bool,
    /// Whether a system call filter is in force.
    pub seccomp: bool,
    /// When the program was started, in milliseconds of Unix time.
    pub started_at_ms: u64,
    /// Whether the program has begun; before that the container is made and waits.
    #[serde(default = "yes")]
    pub started: bool,
    /// Wishes that are not in force here, and why: only those that the launch did not require.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortfalls: Vec<Shortfall>,
}

/// A wish that is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// The field of the launch, such as `limits.io_weight`.
    pub field: String,
    /// Why not, and what would help.
    pub why: String,
}

fn yes() -> bool {
    true
}

/// `exit.json`: how a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The caller's mark, as in the launch.
    pub instance: String,
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the kernel killed a process of the agent for want of memory.
    pub oom_killed: bool,
    /// How many processes it killed so.
    pub oom_kills: u64,
    /// Whether the agent was asked to stop.
    pub stop_requested: bool,
    /// When it was started, in milliseconds of Unix time.
    pub started_at_ms: u64,
    /// When it ended, in milliseconds of Unix time.
    pub finished_at_ms: u64,
    /// Bytes of output written to the log, prefixes included.
    pub log_bytes: u64,
    /// Bytes of output that could not be written, as with a full disk.
    pub log_bytes_lost: u64,
    /// Bytes of output dropped by the rate limit.
    #[serde(default)]
    pub log_bytes_dropped: u64,
    /// How the program that was run before the stop signal ended, as a shell would report it; 124
    /// when its time was over. `None` if there was none.
    #[serde(default)]
    pub pre_stop_code: Option<i32>,
}

/// `failed.json`: why there is no container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The caller's mark, where the launch could be read.
    pub instance: Option<String>,
    /// What was being done.
    pub operation: String,
    /// What went wrong, and where known what to do.
    pub message: String,
    /// The kernel's error number, where there is one.
    pub errno: Option<i32>,
    /// When, in milliseconds of Unix time.
    pub failed_at_ms: u64,
}

/// Writes a record whole: aside, flushed, then renamed over the old one.
///
/// # Errors
/// The file system's refusal; the old record is then untouched.
pub fn write<T: Serialize>(
    run_dir: &Path,
    name: &'static str,
    record: &T,
) -> Result<(), RecordError> {
    let path = run_dir.join(name);
    let content = serde_json::to_vec(record)
        .map_err(|source| RecordError::Content { path: path.clone(), source })?;
    write_bytes(run_dir, name, &content).map_err(|source| RecordError::Io {
        operation: "write",
        path,
        source,
    })
}

fn write_bytes(run_dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let aside = run_dir.join(format!(".{name}.new"));
    let mut file = File::create(&aside)?;
    file.write_all(content)?;
    // The run folder is on tmpfs, where these cost nothing; elsewhere they are needed.
    file.sync_all()?;
    std::fs::rename(&aside, run_dir.join(name))?;
    File::open(run_dir)?.sync_all()
}

/// Reads a record; `None` when there is none.
///
/// # Errors
/// The file cannot be read, is too large, or is no such record.
pub fn read<T: DeserializeOwned>(run_dir: &Path, name: &str) -> Result<Option<T>, RecordError> {
    let path = run_dir.join(name);
    let content = match read_bytes(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RecordError::Io { operation: "read", path, source }),
    };
    serde_json::from_slice(&content)
        .map(Some)
        .map_err(|source| RecordError::Content { path, source })
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    OpenOptions::new().read(true).open(path)?.take(MAX_BYTES).read_to_end(&mut content)?;
    Ok(content)
}
