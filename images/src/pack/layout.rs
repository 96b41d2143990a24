//! Writes an OCI layout: the layer, the documents around it, and the whole as a tar.
//!
//! Decides what the documents say. [`super::layer`] writes the layer itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use skerry_core::ids::Digest;
use tar::{Builder, EntryType, Header};

use super::{PackError, PackOptions, Packed, created, io_at, layer};
use crate::media::{
    CONFIG, Config, Descriptor, History, IMAGE_NAME, INDEX, Index, LAYER_GZIP, MANIFEST, Manifest,
    REF_NAME, RootFs, RunConfig,
};
use crate::reference::ImageName;

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const BLOBS: &str = "blobs/sha256";

/// Writes the layout of `folder`'s image into the folder `stage`.
pub(super) fn write(
    folder: &Path,
    options: &PackOptions,
    name: Option<&ImageName>,
    stage: &Path,
) -> Result<Packed, PackError> {
    let blobs = stage.join(BLOBS);
    fs::create_dir_all(&blobs).map_err(io_at("make the folder", &blobs))?;
    let time = created(options);
    let unnamed = blobs.join("layer");
    let layer = layer::write(folder, &unnamed, time)?;
    let place = blobs.join(layer.digest.hex());
    fs::rename(&unnamed, &place).map_err(io_at("put", &place))?;

    let config = put(&blobs, &serde_json::to_vec(&config(options, time, layer.diff_id))?)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        config: descriptor(CONFIG, config),
        layers: vec![descriptor(LAYER_GZIP, (layer.digest, layer.size))],
    };
    let manifest = put(&blobs, &serde_json::to_vec(&manifest)?)?;
    let mut entry = descriptor(MANIFEST, manifest);
    entry.platform = Some(options.platform.clone());
    if let Some(name) = name {
        entry.annotations.insert(REF_NAME.to_owned(), name.tag().to_owned());
        entry.annotations.insert(IMAGE_NAME.to_owned(), name.to_string());
    }
    let index = Index { schema_version: 2, media_type: INDEX.to_owned(), manifests: vec![entry] };
    write_file(&stage.join("index.json"), &serde_json::to_vec(&index)?)?;
    write_file(&stage.join("oci-layout"), LAYOUT)?;
    Ok(Packed {
        digest: manifest.0,
        config: config.0,
        diff_id: layer.diff_id,
        layer: layer.digest,
        layer_size: layer.size,
        name: name.map(ToString::to_string),
    })
}

fn config(options: &PackOptions, time: u64, diff_id: Digest) -> Config {
    let list = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let when = rfc3339(time);
    Config {
        created: Some(when.clone()),
        architecture: options.platform.architecture.clone(),
        os: options.platform.os.clone(),
        variant: options.platform.variant.clone(),
        config: Some(RunConfig {
            user: options.user.clone(),
            exposed_ports: None,
            env: list(&options.env),
            entrypoint: list(&options.entrypoint),
            cmd: list(&options.cmd),
            working_dir: options.workdir.clone(),
            labels: (!options.labels.is_empty()).then(|| options.labels.clone()),
            stop_signal: options.stop_signal.clone(),
        }),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![diff_id] },
        history: vec![History {
            created: Some(when),
            created_by: Some("skerry image pack".to_owned()),
            empty_layer: false,
        }],
    }
}

fn descriptor(media_type: &str, (digest, size): (Digest, u64)) -> Descriptor {
    let media_type = media_type.to_owned();
    Descriptor { media_type, digest, size, platform: None, annotations: BTreeMap::new() }
}

fn put(blobs: &Path, bytes: &[u8]) -> Result<(Digest, u64), PackError> {
    let digest = Digest::of(bytes);
    write_file(&blobs.join(digest.hex()), bytes)?;
    Ok((digest, bytes.len() as u64))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), PackError> {
    fs::write(path, bytes).map_err(io_at("write", path))
}

/// Writes the layout in `stage` as a tar, small documents first, for those who read it as a stream.
pub(super) fn archive(
    stage: &Path,
    packed: &Packed,
    time: u64,
    target: &Path,
) -> Result<(), PackError> {
    let mut tar = Builder::new(File::create(target).map_err(io_at("make", target))?);
    let blob = |digest: &Digest| format!("{BLOBS}/{}", digest.hex());
    let blobs = [&packed.digest, &packed.config, &packed.layer].map(blob);
    for name in ["oci-layout", "index.json", "blobs/", "blobs/sha256/"]
        .into_iter()
        .chain(blobs.iter().map(String::as_str))
    {
        add(&mut tar, stage, name, time).map_err(io_at("write", target))?;
    }
    let file = tar.into_inner().map_err(io_at("write", target))?;
    file.sync_all().map_err(io_at("write", target))
}

fn add(tar: &mut Builder<File>, stage: &Path, name: &str, time: u64) -> io::Result<()> {
    let is_folder = name.ends_with('/');
    let mut header = Header::new_gnu();
    header.set_entry_type(if is_folder { EntryType::Directory } else { EntryType::Regular });
    header.set_mode(if is_folder { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_size(0);
    if is_folder {
        return tar.append_data(&mut header, name, io::empty());
    }
    let file = File::open(stage.join(name))?;
    let size = file.metadata()?.len();
    header.set_size(size);
    tar.append_data(&mut header, name, file.take(size))
}

/// A time in UTC as RFC 3339 has it (Howard Hinnant's civil calendar).
pub(super) fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
