//! What people call the genuine images, so that a spec can name one as they do.

use std::collections::BTreeMap;

use skerry_core::ids::Digest;
use skerry_core::reading::nearest;
use skerry_core::trust::Repository;

use super::{notes, written};
use crate::release;
use crate::workspace::Workspace;

/// Names, each with the images that have it.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<String, Vec<Digest>>);

impl Names {
    /// Those of a workspace's images.
    pub fn of(workspace: &Workspace) -> anyhow::Result<Self> {
        let mut names = BTreeMap::<_, Vec<_>>::new();
        for (path, meta) in release::listed(workspace, Repository::Images)? {
            if let (Some(name), Ok(digest)) = (notes(&meta).name, written(&path).parse()) {
                names.entry(name).or_default().push(digest);
            }
        }
        Ok(Self(names))
    }

    /// The image that a spec means, by its digest or by the name of a single genuine image.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn find(&self, image: &str) -> Result<Digest, String> {
        let not_a_digest = match image.parse() {
            Ok(digest) => return Ok(digest),
            Err(error) => skerry_core::ids::IdError::to_string(&error),
        };
        match self.0.get(image).map(Vec::as_slice) {
            Some([digest]) => Ok(*digest),
            Some(digests) => {
                let all: Vec<_> = digests.iter().map(ToString::to_string).collect();
                Err(format!(
                    "{} genuine images are called '{image}'; write the digest of the one that is meant: {}",
                    all.len(),
                    all.join(", ")
                ))
            }
            None => {
                let meant = nearest(image, self.0.keys().map(String::as_str));
                let meant = meant.map(|meant| format!("; did you mean '{meant}'?"));
                Err(format!(
                    "{not_a_digest}, or the name of a genuine image (skerry-fleet images ls){}",
                    meant.unwrap_or_default()
                ))
            }
        }
    }
}
