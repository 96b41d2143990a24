//! What lasts of a container between calls: one folder below the root, with one record in it.
//!
//! The record is written whole, and names its process by number, start time and boot, so that no
//! other is ever taken for it. The status is looked up, never remembered.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cgroup::Tree;
use super::config::{self, Config};
use super::{OciError, Result, refused, system};
use crate::process;
use crate::record::{self, ProcessId, RecordError};

/// The format of the record.
const FORMAT: u32 = 1;
const RECORD: &str = "state.json";
/// Held open by the container's first process until its program starts. There as long as nobody
/// has asked for that.
pub const START: &str = "start.fifo";
/// libcontainer's own folder.
pub const LIBCONTAINER: &str = "lib";

/// What is known of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    pub id: String,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub created: String,
    pub cgroup: PathBuf,
    /// The configuration, as it was when the container was made.
    pub config: Value,
    /// The boot that the process belongs to.
    pub boot: String,
    /// The first process; `None` while it is being made.
    pub init: Option<ProcessId>,
}

/// A container's state, its fields in the order that runc writes them in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub oci_version: &'static str,
    pub id: String,
    pub pid: i32,
    pub status: &'static str,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    pub owner: String,
}

/// How far a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// A container's folder and its record.
#[derive(Debug, Clone)]
pub struct Container {
    pub dir: PathBuf,
    pub record: Record,
}

fn record_error(error: RecordError) -> OciError {
    OciError::Refused(crate::failure::sentence(&error))
}

/// Refuses names that would not be one folder's name.
pub fn check_id(id: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() || id.len() > 1024 || !id.chars().all(fits) || id == "." || id == ".." {
        return refused(format!("invalid id format: {id}"));
    }
    Ok(())
}

impl Container {
    /// Takes the folder of a new container.
    pub fn claim(root: &Path, record: Record) -> Result<Self> {
        check_id(&record.id)?;
        let dir = root.join(&record.id);
        let make = |path: &Path, mode| DirBuilder::new().recursive(true).mode(mode).create(path);
        make(root, 0o700).map_err(system(format!("cannot make {}", root.display())))?;
        match DirBuilder::new().mode(0o711).create(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return refused(format!("container with given ID already exists: {}", record.id));
            }
            Err(error) => return Err(system(format!("cannot make {}", dir.display()))(error)),
        }
        let container = Self { dir, record };
        container.save()?;
        Ok(container)
    }

    /// Finds a container.
    pub fn load(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let dir = root.join(id);
        let found: Option<Record> = record::read(&dir, RECORD).map_err(record_error)?;
        match found {
            Some(record) if record.format == FORMAT => Ok(Self { dir, record }),
            Some(record) => refused(format!("{id} has a record of format {}", record.format)),
            None => refused(format!("container does not exist: {id}")),
        }
    }

    /// Every container below the root; what is no container is passed over.
    pub fn all(root: &Path) -> Result<Vec<Self>> {
        let entries = match std::fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(system(format!("cannot read {}", root.display()))(error)),
        };
        let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names.iter().filter_map(|id| Self::load(root, id).ok()).collect())
    }

    pub fn save(&self) -> Result<()> {
        record::write(&self.dir, RECORD, &self.record).map_err(record_error)
    }

    pub fn config(&self) -> Result<Config> {
        config::typed(&self.record.config, "the container's configuration")
    }

    /// The container's control groups.
    pub fn tree(&self) -> Result<Tree> {
        Tree::at(&self.record.cgroup)
    }

    /// A handle on the first process, if it lives.
    pub fn init(&self) -> Option<OwnedFd> {
        let id = self.record.init?;
        let same_boot = process::boot_id().is_ok_and(|boot| boot == self.record.boot);
        if !same_boot || !process::lives(id) {
            return None;
        }
        process::open(id).ok().flatten()
    }

    /// The first process's number, if it lives.
    pub fn pid(&self) -> Option<i32> {
        self.init().and(self.record.init).map(|id| id.pid)
    }

    pub fn status(&self) -> Status {
        if self.record.init.is_none() {
            return Status::Creating;
        }
        if self.init().is_none() {
            return Status::Stopped;
        }
        if self.tree().is_ok_and(|tree| tree.is_frozen()) {
            return Status::Paused;
        }
        match self.dir.join(START).exists() {
            true => Status::Created,
            false => Status::Running,
        }
    }

    /// The state as hooks get it.
    pub fn oci_state(&self, status: &str, pid: i32) -> Value {
        let mut state = json!({
            "ociVersion": oci_version(),
            "id": self.record.id,
            "status": status,
            "bundle": self.record.bundle,
        });
        if pid > 0 {
            state["pid"] = json!(pid);
        }
        let annotations = self.annotations();
        if !annotations.is_empty() {
            state["annotations"] = json!(annotations);
        }
        state
    }

    /// The state as `state` and `list` show it.
    pub fn shown(&self) -> Shown {
        let status = self.status();
        Shown {
            oci_version: oci_version(),
            id: self.record.id.clone(),
            pid: if status == Status::Stopped { 0 } else { self.pid().unwrap_or(0) },
            status: status.name(),
            bundle: self.record.bundle.clone(),
            rootfs: self.record.rootfs.clone(),
            created: self.record.created.clone(),
            annotations: self.annotations(),
            owner: String::new(),
        }
    }

    pub fn annotations(&self) -> BTreeMap<String, String> {
        let found = self.record.config.get("annotations");
        found.and_then(|value| BTreeMap::deserialize(value).ok()).unwrap_or_default()
    }
}

/// The specification that states follow.
pub fn oci_version() -> &'static str {
    "1.0.2-dev"
}

impl Record {
    pub fn new(
        id: &str,
        bundle: &Path,
        rootfs: &Path,
        cgroup: &Path,
        config: Value,
    ) -> Result<Self> {
        Ok(Self {
            format: FORMAT,
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            rootfs: rootfs.to_owned(),
            created: super::time::now(),
            cgroup: cgroup.to_owned(),
            config,
            boot: process::boot_id().map_err(system("cannot read the boot id"))?,
            init: None,
        })
    }
}
