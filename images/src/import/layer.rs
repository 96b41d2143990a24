//! One layer, from its part of the source to a folder, every promised byte checked on the way.
//!
//! Hashes what is read (the blob's digest) and what comes out of the decoder (the diff_id) while it
//! unpacks, so that nothing is read twice. Writes only into the folder that it is given, which is not
//! visible yet. [`crate::unpack`] knows what a layer means.

use std::fs::{self, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use skerry_core::ids::Digest;

use super::parts::Parts;
use super::{ImportError, LayerPlan};
use crate::decode::{Capped, Compression, Decoder};
use crate::hash::{Hash, HashingReader};
use crate::store::{StoreError, io_at};
use crate::unpack::{self, Limits, UnpackError, Unpacked};

const BUFFER: usize = 128 << 10;

/// Makes the root folder of a layer, which all may enter whatever umask this process was given.
pub(super) fn make_target(path: &Path) -> Result<(), StoreError> {
    fs::create_dir(path).map_err(io_at("make the folder", path))?;
    let mode = Permissions::from_mode(0o755);
    fs::set_permissions(path, mode).map_err(io_at("set the mode of", path))
}

/// Unpacks `layer` into the empty folder `target`.
pub(super) fn unpack(
    parts: &Parts,
    layer: &LayerPlan,
    target: &Path,
    limits: &Limits,
) -> Result<Unpacked, ImportError> {
    let part = parts.need(&layer.part)?;
    if let Some((expected, size)) = layer.blob {
        if part.size != size {
            let (part, got) = (layer.part.clone(), part.size);
            return Err(ImportError::Size { part, expected: size, got });
        }
        if let Some(got) = part.known.filter(|known| *known != expected) {
            return Err(ImportError::Digest { part: layer.part.clone(), expected, got });
        }
    }
    let mut reader = part.reader;
    let mut first = Vec::with_capacity(4);
    reader.by_ref().take(4).read_to_end(&mut first).map_err(read_error(layer))?;
    let is_plain = Compression::of(&first) == Compression::None;
    // A plain tar's digest is its diff_id: one hash does for both.
    let promised = layer.blob.map(|(digest, _)| digest).filter(|_| part.known.is_none());
    let promised = promised.filter(|digest| !(is_plain && *digest == layer.diff_id));
    let diff_known = is_plain && part.known == Some(layer.diff_id);
    let raw = HashingReader::new(first.chain(reader), promised.map(|_| Hash::sized(part.size)));
    let diff = (!diff_known).then(|| Hash::sized(part.size));
    let mut stream = Stream::new(raw, diff, limits.bytes).map_err(read_error(layer))?;
    match stream.unpack(target, limits) {
        Ok(unpacked) => stream.finish(layer, promised).map(|()| unpacked),
        Err(error) => Err(stream.explain(layer, promised, limits, error)),
    }
}

fn read_error(layer: &LayerPlan) -> impl FnOnce(io::Error) -> ImportError {
    let what = layer.part.clone();
    move |source| ImportError::Read { operation: "read", what, source }
}

type Raw<R> = BufReader<HashingReader<R>>;

/// Raw bytes, hashed; decoded; bounded; hashed again.
struct Stream<R: Read> {
    decoded: HashingReader<Capped<Decoder<Raw<R>>>>,
}

impl<R: Read> Stream<R> {
    fn new(raw: HashingReader<R>, diff: Option<Hash>, max: u64) -> io::Result<Self> {
        let decoder = Decoder::new(BufReader::with_capacity(BUFFER, raw))?;
        Ok(Self { decoded: HashingReader::new(Capped::new(decoder, max), diff) })
    }

    /// Unpacks, and reads on to the very end, which the digests cover too.
    fn unpack(&mut self, target: &Path, limits: &Limits) -> Result<Unpacked, UnpackError> {
        let unpacked = unpack::unpack(&mut self.decoded, target, limits)?;
        io::copy(&mut self.decoded, &mut io::sink()).map_err(crate::archive::ArchiveError::Read)?;
        Ok(unpacked)
    }

    fn finish(self, layer: &LayerPlan, promised: Option<Digest>) -> Result<(), ImportError> {
        let (capped, _, diff) = self.decoded.finish().map_err(read_error(layer))?;
        check(layer, promised, rest(capped.into_inner().into_inner(), layer)?)?;
        match diff.filter(|got| *got != layer.diff_id) {
            None => Ok(()),
            Some(got) => Err(ImportError::Digest {
                part: format!("the content of {}", layer.part),
                expected: layer.diff_id,
                got,
            }),
        }
    }

    /// The cause behind a failure: a bound, or a damaged blob, says more than what came of it.
    fn explain(
        self,
        layer: &LayerPlan,
        promised: Option<Digest>,
        limits: &Limits,
        error: UnpackError,
    ) -> ImportError {
        let capped = self.decoded.into_inner();
        if capped.exceeded() {
            let part = format!("layer {}", layer.diff_id);
            return ImportError::Limit { part, what: "unpacked bytes", max: limits.bytes };
        }
        let raw = capped.into_inner().into_inner();
        let digest = rest(raw, layer).and_then(|got| check(layer, promised, got));
        match digest {
            Err(cause @ ImportError::Digest { .. }) => cause,
            _ => ImportError::Layer { layer: layer.diff_id, source: error },
        }
    }
}

/// Reads the raw bytes to their end, for their digest.
fn rest<R: Read>(raw: Raw<R>, layer: &LayerPlan) -> Result<Option<Digest>, ImportError> {
    let mut raw = raw.into_inner();
    io::copy(&mut raw, &mut io::sink()).map_err(read_error(layer))?;
    raw.finish().map(|(_, _, digest)| digest).map_err(read_error(layer))
}

fn check(
    layer: &LayerPlan,
    promised: Option<Digest>,
    got: Option<Digest>,
) -> Result<(), ImportError> {
    match (promised, got) {
        (Some(expected), Some(got)) if expected != got => {
            Err(ImportError::Digest { part: layer.part.clone(), expected, got })
        }
        _ => Ok(()),
    }
}
