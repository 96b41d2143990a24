//! The two repositories: what is genuine, and what each node runs.
//!
//! Decides what is kept of both, and how the file that installs their first roots is read. A node needs
//! both to agree: *images*, whose keys are kept off line, lists every image that may run anywhere;
//! *director*, whose keys sign each day, says which node runs what. So whoever steals the director's
//! keys can only choose among genuine images. It must never let one repository speak for the other;
//! next: [`crate::bundle`], which brings the files of both.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Limits, TrustError, TrustStore, TrustedSet};

/// The name and version of the file that installs both first roots.
pub const ROOTS_FORMAT: &str = "skerry-roots/1";
/// The most bytes of that file: two roots, quoted.
pub const ROOTS_MAX: usize = 2 << 20;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repository {
    /// Says which node runs what. Its keys sign each document.
    Director,
    /// Says which images are genuine. Its keys are kept off line.
    Images,
}

impl Repository {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Director => "director",
            Self::Images => "images",
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a node keeps of both between updates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repositories {
    /// Of the director.
    pub director: TrustStore,
    /// Of the images.
    pub images: TrustStore,
}

/// The first roots of both, as a node is given them: one file, so that neither is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roots {
    /// Always [`ROOTS_FORMAT`].
    pub format: String,
    /// The director's root, as the text that was signed.
    pub director: String,
    /// The images' root, as the text that was signed.
    pub images: String,
}

/// Why a file installs no roots.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// Not JSON, or not of this form.
    #[error(
        "is no file of both roots ({source}); give the node the root.json that 'skerry-fleet init' made"
    )]
    Malformed {
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Another format, or a later version of this one.
    #[error("has the format '{found}'; '{ROOTS_FORMAT}' is understood")]
    Format {
        /// The format found.
        found: String,
    },
    /// One of the roots is none.
    #[error("{repository}: {source}")]
    Root {
        /// Whose.
        repository: Repository,
        /// What is wrong.
        source: TrustError,
    },
}

impl Roots {
    /// Both roots in one file.
    pub fn new(director: String, images: String) -> Self {
        Self { format: ROOTS_FORMAT.to_owned(), director, images }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// It is not of this form. The roots are not looked at yet.
    pub fn parse(text: &str) -> Result<Self, RootsError> {
        let roots: Self = serde_json::from_slice(text.as_bytes())
            .map_err(|source| RootsError::Malformed { source })?;
        if roots.format != ROOTS_FORMAT {
            return Err(RootsError::Format { found: super::cut(&roots.format) });
        }
        Ok(roots)
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        // Three texts: serialising cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Roots> for Repositories {
    fn from(roots: Roots) -> Self {
        Self { director: TrustStore::new(roots.director), images: TrustStore::new(roots.images) }
    }
}

impl Repositories {
    /// What is kept of one of them.
    pub fn of(&self, repository: Repository) -> &TrustStore {
        match repository {
            Repository::Director => &self.director,
            Repository::Images => &self.images,
        }
    }

    /// The verified view of one of them.
    ///
    /// # Errors
    /// Its root is not signed by its own keys.
    pub fn open(&self, repository: Repository) -> Result<TrustedSet, RootsError> {
        TrustedSet::new(self.of(repository), Limits::DEFAULT)
            .map_err(|source| RootsError::Root { repository, source })
    }
}

#[cfg(test)]
mod tests;
