//! What is mounted into an agent's file system: makes ready what the runtime then mounts.
//!
//! Values of configs are written beside the agent's other records, which are gone after a reboot;
//! those of secrets are taken from where they are kept. Neither stands in a record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use skerry_core::agent::{Volume, VolumeKind};
use skerry_core::desired::DesiredAgent;
use skerry_core::ids::{DataKey, DataName, VolumeName};
use skerry_runtime::{Mount, User};

use super::{ContainerError, io};
use crate::durable;
use crate::secrets::Secrets;
use crate::volumes::{Owner, Volumes};

/// As `mkdir` makes it.
const FOLDER_MODE: u32 = 0o755;
/// As Docker's tmpfs has it.
const TMPFS_MODE: u32 = 0o1777;
const CONFIG_MODE: u32 = 0o444;
const SECRET_MODE: u32 = 0o400;

/// What mounts are made from.
pub(super) struct Sources<'a> {
    pub(super) run_dir: &'a Path,
    pub(super) secrets: &'a Secrets,
    pub(super) volumes: &'a Volumes,
    /// Whom the program runs as.
    pub(super) user: &'a User,
}

/// One of an agent's volumes.
struct Place<'a> {
    volume: &'a Volume,
    index: usize,
    /// Whether a bind's source is made, by it or by another volume.
    create: bool,
}

/// The mounts of an agent.
pub(super) fn mounts(
    wanted: &DesiredAgent,
    sources: &Sources<'_>,
) -> Result<Vec<Mount>, ContainerError> {
    let volumes = &wanted.spec.volumes;
    // What one volume has made may be mounted by others, whichever comes first.
    let made =
        |volume: &Volume| volumes.iter().any(|other| other.create && other.source == volume.source);
    let places = volumes.iter().enumerate();
    places
        .map(|(index, volume)| {
            sources.mount(wanted, &Place { volume, index, create: made(volume) })
        })
        .collect()
}

impl Place<'_> {
    fn fail(&self, field: &str, why: impl Into<String>) -> ContainerError {
        ContainerError::field(format!("volumes[{}].{field}", self.index), why.into())
    }

    fn target(&self) -> PathBuf {
        PathBuf::from(self.volume.target.trim_end_matches('/'))
    }

    fn mode(&self, usual: u32) -> u32 {
        self.volume.mode.map_or(usual, |mode| mode.0)
    }
}

impl Sources<'_> {
    fn mount(&self, wanted: &DesiredAgent, place: &Place<'_>) -> Result<Mount, ContainerError> {
        let volume = place.volume;
        match volume.kind().map_err(|why| place.fail("source", why))? {
            VolumeKind::Bind(source) => bind(source, place),
            VolumeKind::Volume(name) => self.named(&name, place),
            VolumeKind::Tmpfs => Ok(Mount::Tmpfs {
                target: place.target(),
                size_bytes: volume.size.map(|size| size.0),
                mode: place.mode(TMPFS_MODE),
                uid: volume.uid.unwrap_or_default(),
                gid: volume.gid.unwrap_or_default(),
            }),
            VolumeKind::Config(name) => self.config(wanted, &name, place),
            VolumeKind::Secret(name) => self.secret(&name, place),
        }
    }

    fn named(&self, name: &VolumeName, place: &Place<'_>) -> Result<Mount, ContainerError> {
        let volume = place.volume;
        let (uid, gid) = self.owner(volume);
        // An agent with a user namespace sees it through its own ids: on disk they are the plain ones.
        let owner = Owner { uid, gid, mode: place.mode(FOLDER_MODE) };
        let source = self.volumes.at_hand(name, owner).map_err(|error| {
            place.fail("source", format!("volume '{name}' cannot be made: {error}"))
        })?;
        if let Some(size) = volume.size {
            self.volumes.limit(name, size.0).map_err(|why| place.fail("size", why))?;
        }
        Ok(Mount::Volume { source, target: place.target(), read_only: volume.read_only })
    }

    fn config(
        &self,
        wanted: &DesiredAgent,
        name: &DataName,
        place: &Place<'_>,
    ) -> Result<Mount, ContainerError> {
        let values = wanted.configs.get(name);
        let values = values.filter(|values| !values.is_empty()).ok_or_else(|| {
            place.fail("source", format!("config '{name}' is not there, or empty"))
        })?;
        let folder = self.run_dir.join(format!("volume-{}", place.index));
        let write = |(key, value): (&DataKey, &String)| {
            durable::write(&folder, key.as_str(), value.as_bytes())?;
            Ok((key.to_string(), folder.join(key.as_str())))
        };
        let files = durable::private_folder(&folder)
            .and_then(|()| values.iter().map(write).collect::<std::io::Result<_>>());
        let files = files.map_err(io("write", &folder))?;
        Ok(self.files(files, CONFIG_MODE, place))
    }

    fn secret(&self, name: &DataName, place: &Place<'_>) -> Result<Mount, ContainerError> {
        let keys = self.secrets.keys(name).map_err(|e| place.fail("source", e.to_string()))?;
        let file = |key: DataKey| (key.to_string(), self.secrets.file(name, &key));
        Ok(self.files(keys.into_iter().map(file).collect(), SECRET_MODE, place))
    }

    fn files(&self, files: BTreeMap<String, PathBuf>, usual: u32, place: &Place<'_>) -> Mount {
        let (uid, gid) = self.owner(place.volume);
        let (target, mode) = (place.target(), place.mode(usual));
        Mount::Files { target, files, single: false, mode, uid, gid }
    }

    /// The agent's user, unless the volume says another.
    fn owner(&self, volume: &Volume) -> (u32, u32) {
        (volume.uid.unwrap_or(self.user.uid), volume.gid.unwrap_or(self.user.gid))
    }
}

fn bind(source: &str, place: &Place<'_>) -> Result<Mount, ContainerError> {
    use skerry_core::agent::Propagation as Wanted;
    use skerry_runtime::Propagation;
    let volume = place.volume;
    let path = PathBuf::from(source);
    if !place.create && !path.exists() {
        let why = format!("'{source}' is not on this device; make it, or set create: true");
        return Err(place.fail("source", why));
    }
    let propagation = match volume.propagation {
        None | Some(Wanted::Rprivate) => Propagation::RPrivate,
        Some(Wanted::Rslave) => Propagation::RSlave,
        Some(Wanted::Rshared) => Propagation::RShared,
    };
    let (target, read_only) = (place.target(), volume.read_only);
    Ok(Mount::Bind { source: path, target, read_only, propagation, create: place.create })
}

#[cfg(test)]
mod tests;
