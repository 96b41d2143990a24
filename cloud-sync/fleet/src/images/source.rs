//! Which manifests an image has: read from an archive or folder (OCI), from a manifest, or a digest as given.
//!
//! It reads the index alone, bounded, and trusts nothing in it: what is signed is a digest, and whoever
//! holds another image under it would have to break SHA-256.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use skerry_core::ids::Digest;

/// The most bytes of an index or a manifest.
const INDEX_MAX: u64 = 4 << 20;
/// The most entries of an archive that are passed over in search of the index.
const ENTRIES_MAX: usize = 100_000;
const BLOCK: usize = 512;

/// A manifest, by which an image is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Manifest>,
}

/// The manifests of what somebody named.
pub fn read(image: &str, size: Option<u64>) -> anyhow::Result<Vec<Manifest>> {
    let path = Path::new(image);
    if let (Ok(digest), false) = (image.parse::<Digest>(), path.exists()) {
        let Some(size) = size else {
            bail!(
                "{image} needs --size BYTES, the size of its manifest; or name the image's archive"
            );
        };
        return Ok(vec![Manifest { digest, size }]);
    }
    let in_file = || format!("{image}: cannot be read as an image");
    let index = if path.is_dir() {
        bounded(File::open(path.join("index.json")).with_context(in_file)?).with_context(in_file)?
    } else {
        let mut file = File::open(path).with_context(in_file)?;
        match within_archive(&mut file).with_context(in_file)? {
            Some(index) => index,
            None => {
                file.seek(SeekFrom::Start(0)).with_context(in_file)?;
                let whole = bounded(file).with_context(in_file)?;
                return manifest(&whole).with_context(|| {
                    format!("{image} is no OCI archive, folder or manifest; pack one with: skerry image pack -o IMAGE.tar")
                });
            }
        }
    };
    let index: Index = serde_json::from_slice(&index).with_context(in_file)?;
    if index.manifests.is_empty() {
        bail!("{image} holds no image");
    }
    Ok(index.manifests)
}

/// A manifest is known by its own bytes.
fn manifest(bytes: &[u8]) -> anyhow::Result<Vec<Manifest>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Any {
        schema_version: u32,
    }
    let Any { schema_version } = serde_json::from_slice(bytes)?;
    if schema_version != 2 {
        bail!("schemaVersion {schema_version} is not understood");
    }
    Ok(vec![Manifest { digest: Digest::of(bytes), size: bytes.len() as u64 }])
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(INDEX_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > INDEX_MAX {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    Ok(bytes)
}

/// The index in an archive (tar); nothing, if it is no archive or has none.
fn within_archive(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    for _ in 0..ENTRIES_MAX {
        let mut header = [0; BLOCK];
        if file.read_exact(&mut header).is_err() {
            return Ok(None);
        }
        let Some((name, size)) = entry(&header) else { return Ok(None) };
        if name == "index.json" {
            return bounded(file.take(size)).map(Some);
        }
        let blocks = size.div_ceil(BLOCK as u64);
        let skip = blocks.checked_mul(BLOCK as u64).and_then(|skip| i64::try_from(skip).ok());
        let Some(skip) = skip else { return Ok(None) };
        file.seek(SeekFrom::Current(skip))?;
    }
    Ok(None)
}

/// Name and size of an entry, if this is the header of one.
fn entry(header: &[u8; BLOCK]) -> Option<(String, u64)> {
    let field = |from: usize, len: usize| {
        let bytes = header.get(from..from + len)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(len);
        std::str::from_utf8(bytes.get(..end)?).ok()
    };
    if !field(257, 6)?.starts_with("ustar") {
        return None;
    }
    let size = u64::from_str_radix(field(124, 12)?.trim(), 8).ok()?;
    let name = field(0, 100)?;
    Some((name.strip_prefix("./").unwrap_or(name).to_owned(), size))
}

#[cfg(test)]
mod tests;
