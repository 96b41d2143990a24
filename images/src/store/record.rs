//! The index: one small file per image, with its names inside.
//!
//! Decides which image a name means. A name that was moved from one image to another may, after a
//! power cut, stand in both records; every name therefore carries a sequence number, and the higher
//! one holds. Writes one record at a time, each atomically.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use skerry_core::ids::Digest;

use super::witness::{Witness, is_whole};
use super::{ImageRecord, PREFIX_MIN, Store, StoreError, Workspace, io_at, names_in, read_bounded};
use crate::durable;
use crate::platform::Platform;
use crate::reference::ImageName;

const RECORD_MAX: u64 = 1 << 20;
const FORMAT: u32 = 1;
const SHOWN: usize = 5;

/// One image, as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRecord {
    pub(crate) format: u32,
    pub(crate) manifest: Digest,
    pub(crate) config: Digest,
    pub(crate) platform: Platform,
    pub(crate) names: Vec<Mark<String>>,
    /// Indexes that the image was chosen from.
    pub(crate) aliases: Vec<Mark<Digest>>,
    pub(crate) layers: Vec<StoredLayer>,
}

/// Something that means one image only: that whose number is the highest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark<T> {
    pub(crate) is: T,
    pub(crate) since: u64,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredLayer {
    pub(crate) diff_id: Digest,
    /// Bytes of file content.
    pub(crate) bytes: u64,
    /// By what it is seen to be whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) witnesses: Vec<Witness>,
}

impl StoredRecord {
    pub(crate) fn new(manifest: Digest, config: Digest, platform: Platform) -> Self {
        let (names, aliases, layers) = (Vec::new(), Vec::new(), Vec::new());
        Self { format: FORMAT, manifest, config, platform, names, aliases, layers }
    }

    pub(crate) fn size(&self) -> u64 {
        self.layers.iter().map(|l| l.bytes).sum()
    }
}

impl StoredLayer {
    /// Whether its folder is whole, as far as can be seen without reading it.
    pub(crate) fn is_whole(&self, folder: &Path) -> bool {
        is_whole(folder, &self.witnesses, self.bytes)
    }
}

/// All records, as they were at one moment.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) records: Vec<StoredRecord>,
    /// Records that cannot be read; the image behind one has to be imported again.
    pub(crate) damaged: Vec<PathBuf>,
}

pub(crate) fn file_name(manifest: &Digest) -> String {
    format!("{}.json", manifest.hex())
}

/// Reads one record.
pub(crate) fn read(path: &Path) -> Result<StoredRecord, StoreError> {
    let bytes = read_bounded(path, RECORD_MAX)?;
    let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
    let record: StoredRecord =
        serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    if record.format != FORMAT {
        return Err(damaged(format!("its format is {}, and {FORMAT} is known", record.format)));
    }
    if !path.ends_with(file_name(&record.manifest)) {
        return Err(damaged("it is the record of another image".to_owned()));
    }
    Ok(record)
}

impl Catalogue {
    pub(crate) fn read(folder: &Path) -> Result<Self, StoreError> {
        let mut catalogue = Self::default();
        for name in names_in(folder)?.into_iter().filter(|n| n.ends_with(".json")) {
            let path = folder.join(name);
            match read(&path) {
                Ok(record) => catalogue.records.push(record),
                Err(StoreError::Damaged { .. }) => catalogue.damaged.push(path),
                // It was removed since the folder was read.
                Err(StoreError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(other) => return Err(other),
            }
        }
        Ok(catalogue)
    }

    /// The image with the digest of a manifest, or of an index that it was chosen from.
    pub(crate) fn by_digest(&self, digest: &Digest) -> Option<&StoredRecord> {
        let same = |record: &&StoredRecord| record.manifest == *digest;
        self.records.iter().find(same).or_else(|| self.newest(|r| since(&r.aliases, digest)))
    }

    fn by_name(&self, name: &str) -> Option<&StoredRecord> {
        self.newest(|record| since(&record.names, name))
    }

    fn newest(&self, since: impl Fn(&StoredRecord) -> Option<u64>) -> Option<&StoredRecord> {
        let with = self.records.iter().filter_map(|r| since(r).map(|s| (s, r)));
        with.max_by_key(|(since, _)| *since).map(|(_, record)| record)
    }

    pub(crate) fn resolve(&self, reference: &str) -> Result<&StoredRecord, StoreError> {
        let not_found =
            || StoreError::NotFound { reference: reference.chars().take(300).collect() };
        let digest = reference.rsplit_once('@').map_or(reference, |(_, digest)| digest);
        if let Ok(digest) = digest.parse::<Digest>() {
            return self.by_digest(&digest).ok_or_else(not_found);
        }
        let name = reference.parse::<ImageName>();
        if let Some(record) = name.as_ref().ok().and_then(|n| self.by_name(&n.to_string())) {
            return Ok(record);
        }
        let digits = reference.strip_prefix("sha256:").unwrap_or(reference);
        if digits.len() < PREFIX_MIN || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(name.map_or_else(StoreError::from, |_| not_found()));
        }
        self.by_prefix(reference, &digits.to_ascii_lowercase())?.ok_or_else(not_found)
    }

    fn by_prefix(
        &self,
        reference: &str,
        digits: &str,
    ) -> Result<Option<&StoredRecord>, StoreError> {
        let begins = |digest: &Digest| digest.hex().starts_with(digits);
        let matches = |r: &&StoredRecord| {
            begins(&r.manifest) || r.aliases.iter().any(|alias| begins(&alias.is))
        };
        let found: Vec<_> = self.records.iter().filter(matches).collect();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            many => Err(StoreError::Ambiguous {
                reference: reference.to_owned(),
                candidates: many.iter().take(SHOWN).map(|r| r.manifest.to_string()).collect(),
            }),
        }
    }

    /// The record as others see it: only the names and aliases that are its own.
    pub(crate) fn public(&self, record: &StoredRecord) -> ImageRecord {
        let own =
            |found: Option<&StoredRecord>| found.is_some_and(|f| f.manifest == record.manifest);
        let mut names: Vec<_> = record.names.iter().map(|m| m.is.clone()).collect();
        names.retain(|name| own(self.by_name(name)));
        names.sort();
        let mut aliases: Vec<_> = record.aliases.iter().map(|m| m.is).collect();
        aliases.retain(|alias| own(self.by_digest(alias)));
        ImageRecord {
            digest: record.manifest,
            config: record.config,
            names,
            aliases,
            platform: record.platform.clone(),
            layers: record.layers.iter().map(|l| l.diff_id).collect(),
            size: record.size(),
        }
    }

    /// What is known of a layer: from the image that has seen the most of it.
    pub(crate) fn layer(&self, diff_id: &Digest) -> Option<&StoredLayer> {
        let layers = self.records.iter().flat_map(|record| &record.layers);
        layers.filter(|layer| layer.diff_id == *diff_id).max_by_key(|layer| layer.witnesses.len())
    }

    /// A number higher than all in use.
    pub(crate) fn next_since(&self) -> u64 {
        let all = |r: &StoredRecord| {
            let names = r.names.iter().map(|m| m.since).max();
            names.max(r.aliases.iter().map(|m| m.since).max())
        };
        self.records.iter().filter_map(all).max().unwrap_or(0) + 1
    }

    /// Puts a record in with more names and aliases, and then takes these from the others. A power
    /// cut in between is harmless: the number decides.
    pub(crate) fn install(
        &mut self,
        store: &Store,
        workspace: &Workspace,
        mut record: StoredRecord,
        names: &[String],
        aliases: &[Digest],
    ) -> Result<(), StoreError> {
        let since = self.next_since();
        record.names.retain(|m| !names.contains(&m.is));
        record.names.extend(names.iter().map(|n| Mark { is: n.clone(), since }));
        record.aliases.retain(|m| !aliases.contains(&m.is));
        record.aliases.extend(aliases.iter().map(|a| Mark { is: *a, since }));
        self.put(store, workspace, record)?;
        for record in &mut self.records {
            let before = (record.names.len(), record.aliases.len());
            record.names.retain(|m| m.since == since || !names.contains(&m.is));
            record.aliases.retain(|m| m.since == since || !aliases.contains(&m.is));
            if (record.names.len(), record.aliases.len()) != before {
                write(store, workspace, record)?;
            }
        }
        Ok(())
    }

    /// Puts a new or changed record in, on disk first.
    pub(crate) fn put(
        &mut self,
        store: &Store,
        workspace: &Workspace,
        record: StoredRecord,
    ) -> Result<(), StoreError> {
        write(store, workspace, &record)?;
        self.records.retain(|r| r.manifest != record.manifest);
        self.records.push(record);
        Ok(())
    }
}

fn since<T, Q>(marks: &[Mark<T>], what: &Q) -> Option<u64>
where
    T: std::borrow::Borrow<Q>,
    Q: PartialEq + ?Sized,
{
    marks.iter().filter(|m| m.is.borrow() == what).map(|m| m.since).max()
}

/// Writes one record so that it is there whole or not at all.
fn write(store: &Store, workspace: &Workspace, record: &StoredRecord) -> Result<(), StoreError> {
    let name = file_name(&record.manifest);
    let path = store.index_dir().join(&name);
    let bytes = serde_json::to_vec(record)
        .map_err(|e| StoreError::Damaged { path: path.clone(), reason: e.to_string() })?;
    durable::write(workspace.path(), &store.index_dir(), &name, &bytes)
        .map_err(io_at("write", &path))
}
