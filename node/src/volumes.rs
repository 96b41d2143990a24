//! Named volumes: folders below `volumes/NAME` that agents share, and that stay when agents go.
//!
//! Made at their first use. It does not know who uses one; whoever removes one asks that first.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use skerry_core::ids::VolumeName;
use skerry_runtime::quota;

use crate::durable;

/// Which project of the file system's quota each volume with a size is; no volume has such a name.
const PROJECTS: &str = "projects.json";
const PROJECTS_MAX: u64 = 1 << 20;
/// The first of our projects: far from those that people number by hand.
const FIRST_PROJECT: u32 = 0x534b_0000;

/// More entries than this are not counted.
const ENTRIES_MAX: usize = 1_000_000;
/// What a volume is renamed to before it is removed, so that no half of one is ever used.
const GONE: &str = ".gone-";
/// What a volume is called until it has its owner.
const NEW: &str = ".new-";

/// Whose the root of a volume is when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id on the host.
    pub uid: u32,
    /// Group id on the host.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// Where the volumes are.
#[derive(Debug, Clone)]
pub struct Volumes(PathBuf);

impl Volumes {
    /// The volumes of a node with this state folder. What a removal left undone is done.
    pub fn below(state_dir: &Path) -> Self {
        let folder = state_dir.join("volumes");
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(GONE) || name.starts_with(NEW)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Self(folder)
    }

    /// The folder of a volume.
    pub fn path(&self, name: &VolumeName) -> PathBuf {
        self.0.join(name.as_str())
    }

    /// The names of all volumes.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn names(&self) -> io::Result<Vec<VolumeName>> {
        durable::names(&self.0)
    }

    /// The folder of a volume, made with this owner if it is not there.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn at_hand(&self, name: &VolumeName, owner: Owner) -> io::Result<PathBuf> {
        let path = self.path(name);
        if path.is_dir() {
            return Ok(path);
        }
        // Each volume has permissions of its own; others than agents have no business in here.
        durable::private_folder(&self.0)?;
        let aside = self.0.join(format!("{NEW}{name}"));
        match fs::create_dir(&aside) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        chown(&aside, Some(owner.uid), Some(owner.gid))?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(owner.mode))?;
        fs::rename(&aside, &path)?;
        durable::flush_folder(&self.0)?;
        Ok(path)
    }

    /// Lets a volume hold so many bytes and no more.
    ///
    /// # Errors
    /// The file system keeps no quota on folders, or refuses; and what would help.
    pub fn limit(&self, name: &VolumeName, bytes: u64) -> Result<(), String> {
        let project = self.project(name).map_err(|error| error.to_string())?;
        quota::set(&self.path(name), project, bytes).map(drop).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        })
    }

    /// The most that a volume may hold, if it has a limit.
    pub fn limit_of(&self, name: &VolumeName) -> Option<u64> {
        let project = self.projects().ok()?.get(name).copied()?;
        let usage = quota::usage(&self.path(name), project).ok()?;
        Some(usage.limit_bytes).filter(|limit| *limit > 0)
    }

    fn projects(&self) -> io::Result<BTreeMap<VolumeName, u32>> {
        let content = durable::read(&self.0.join(PROJECTS), PROJECTS_MAX)?;
        Ok(content.map(|c| serde_json::from_slice(&c)).transpose()?.unwrap_or_default())
    }

    /// The project of a volume, written down before it is used.
    fn project(&self, name: &VolumeName) -> io::Result<u32> {
        let mut known = self.projects()?;
        if let Some(project) = known.get(name) {
            return Ok(*project);
        }
        let mut free = FIRST_PROJECT..=u32::MAX;
        let free = free.find(|number| !known.values().any(|taken| taken == number));
        let project = free.ok_or_else(|| io::Error::other("no projects are left"))?;
        known.insert(name.clone(), project);
        durable::write(&self.0, PROJECTS, &serde_json::to_vec(&known)?)?;
        Ok(project)
    }

    fn forget_project(&self, name: &VolumeName) -> io::Result<()> {
        let mut known = self.projects()?;
        let Some(project) = known.remove(name) else { return Ok(()) };
        // The limit is lifted before the number can be another volume's.
        let _ = quota::clear(&self.0, project);
        durable::write(&self.0, PROJECTS, &serde_json::to_vec(&known)?)
    }

    /// Removes a volume with all that is in it; false if there is none.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn remove(&self, name: &VolumeName) -> io::Result<bool> {
        let aside = self.0.join(format!("{GONE}{name}"));
        match fs::rename(self.path(name), &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            renamed => renamed?,
        }
        durable::flush_folder(&self.0)?;
        fs::remove_dir_all(&aside)?;
        self.forget_project(name)?;
        Ok(true)
    }

    /// The bytes that a volume takes on disk; none if it holds too much to count.
    pub fn bytes(&self, name: &VolumeName) -> Option<u64> {
        let (mut total, mut seen, mut folders) = (0_u64, 0, vec![self.path(name)]);
        while let Some(folder) = folders.pop() {
            // What agents remove meanwhile is not there any more.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                seen += 1;
                if seen > ENTRIES_MAX {
                    return None;
                }
                let Ok(found) = entry.metadata() else { continue };
                total = total.saturating_add(found.blocks().saturating_mul(512));
                if found.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        Some(total)
    }
}

#[cfg(test)]
mod tests;
