//! What shows that an unpacked layer is still whole: a few of its files, by path and length.
//!
//! They are chosen while it is unpacked, stand in the record of each image that has the layer, and are
//! looked at before each start: a layer that somebody emptied, in part or with its folders left, is
//! found without reading it. It is no proof: [`super::Store`] checks digests when it takes an image in.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// So many files are kept of each layer.
const COUNT: usize = 4;
/// Longer paths are passed over, so that records stay small.
const PATH_MAX: usize = 512;

/// One file of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Witness {
    /// Its path within the layer.
    pub(crate) path: String,
    /// Its length in bytes.
    pub(crate) bytes: u64,
}

/// Chooses while a layer is unpacked: the first file, and then the longest.
#[derive(Debug, Default)]
pub(crate) struct Witnesses(Vec<Witness>);

impl Witnesses {
    /// A file was unpacked.
    pub(crate) fn see(&mut self, path: &[u8], bytes: u64) {
        let Some(path) = std::str::from_utf8(path).ok().filter(|path| path.len() <= PATH_MAX)
        else {
            return;
        };
        if self.0.len() == COUNT {
            let others = self.0.iter().enumerate().skip(1);
            let Some((at, _)) =
                others.min_by_key(|(_, one)| one.bytes).filter(|o| o.1.bytes < bytes)
            else {
                return;
            };
            self.0.remove(at);
        }
        self.0.push(Witness { path: path.to_owned(), bytes });
    }

    /// Those that are there in the end: a later member may have taken a file's place.
    pub(crate) fn that_are_in(self, layer: &Path) -> Vec<Witness> {
        let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        let is_plain = |witness: &Witness| {
            let ways = Path::new(&witness.path).ancestors().skip(1);
            // By a link among its folders it would be looked for outside.
            ways.into_iter().all(|way| is_folder(&layer.join(way))) && witness.is_in(layer)
        };
        self.0.into_iter().filter(is_plain).collect()
    }
}

impl Witness {
    fn is_in(&self, layer: &Path) -> bool {
        fs::symlink_metadata(layer.join(&self.path))
            .is_ok_and(|found| found.is_file() && found.len() == self.bytes)
    }
}

/// Whether a layer's folder is whole, as far as its witnesses tell. A record of an earlier version has
/// none: then a layer with content has at least something in its folder.
pub(crate) fn is_whole(layer: &Path, witnesses: &[Witness], bytes: u64) -> bool {
    if witnesses.is_empty() {
        let mut inside = fs::read_dir(layer).into_iter().flatten();
        return layer.is_dir() && (bytes == 0 || inside.next().is_some());
    }
    witnesses.iter().all(|witness| witness.is_in(layer))
}
