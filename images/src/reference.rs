//! Names of images, as people and archives write them.
//!
//! Decides what a valid name is and which spellings mean the same image. Never looks into a store.
//! [`crate::store`] keeps names in the form that is made here.

use std::fmt;
use std::str::FromStr;

/// A name with its tag, in the short form that docker shows: `busybox:latest` for
/// `docker.io/library/busybox`.
///
/// Only docker's own registry is shortened, since that is what its users expect; nothing else is
/// guessed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    path: String,
    tag: String,
}

/// Why a text is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an image name: {reason}; a name looks like sensor:1.0")]
pub struct ReferenceError {
    text: String,
    reason: &'static str,
}

/// The longest name, tag included.
pub const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;

impl ImageName {
    /// The name without its tag.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.tag)
    }
}

impl FromStr for ImageName {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |reason| Err(ReferenceError { text: text.chars().take(80).collect(), reason });
        if text.is_empty() || text.len() > NAME_MAX {
            return wrong("1 to 255 characters are allowed");
        }
        let (path, tag) = split_tag(text);
        let path = shorten(path);
        if !is_tag(tag) {
            return wrong("a tag holds letters, digits, '_', '.' and '-', at most 128");
        }
        if !is_path(path) {
            return wrong("a name holds a-z, 0-9 and single '.', '_', '-' between them, and '/'");
        }
        Ok(Self { path: path.to_owned(), tag: tag.to_owned() })
    }
}

fn split_tag(text: &str) -> (&str, &str) {
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    let colon = text.get(last..).and_then(|name| name.find(':')).map(|at| last + at);
    match colon.and_then(|at| text.split_at_checked(at)) {
        Some((path, tag)) => (path, tag.strip_prefix(':').unwrap_or(tag)),
        None => (text, "latest"),
    }
}

/// Docker's own registry and its folder of official images may be left away.
fn shorten(path: &str) -> &str {
    let path = ["docker.io/", "index.docker.io/"]
        .iter()
        .find_map(|registry| path.strip_prefix(registry))
        .unwrap_or(path);
    path.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(path)
}

/// Whether `text` can be a tag.
pub fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= TAG_MAX
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_path(path: &str) -> bool {
    let mut parts = path.split('/');
    let Some(first) = parts.next() else { return false };
    let has_more = path.contains('/');
    (is_component(first) || (has_more && is_host(first))) && parts.all(is_component)
}

/// Whether `text` can be one part of a name between slashes.
pub fn is_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let edges = bytes.first().copied().is_some_and(word) && bytes.last().copied().is_some_and(word);
    let separators_are_single = !text.contains("..") && !text.contains("___");
    edges && separators_are_single && bytes.iter().all(|b| word(*b) || b"._-".contains(b))
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "1"));
    let known = text == "localhost" || text.contains(['.', ':']);
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    known
        && host.split('.').all(label)
        && !port.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests;
