//! Whether files can be followed: all that is wrong with them, and what to keep in mind.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Manifest, Problem, yaml};
use crate::admit::Profile;
use crate::ids::Digest;

/// What came of checking files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether a node can follow them.
    pub valid: bool,
    /// How many agents could be read.
    pub agents: usize,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What must be on the node already, and what nobody has checked.
    pub notes: Vec<Problem>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        match (self.valid, self.agents) {
            (false, _) => writeln!(f, "{} problems", self.problems.len()),
            (true, 1) => writeln!(f, "1 agent is well-formed"),
            (true, count) => writeln!(f, "{count} agents are well-formed"),
        }
    }
}

/// What files are to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Wishes of a node: an image may be a name, and what it lacks may be on the node already.
    Wishes,
    /// A document, which holds everything.
    Document,
}

/// What files are checked against besides their own rules.
#[derive(Debug, Clone)]
pub enum Against {
    /// Nothing.
    Nothing,
    /// A node's profile.
    Node(Box<Profile>),
    /// A node's profile as a file has it, by its name and text.
    File(String, String),
}

/// Checks files, each by its name and text.
pub fn validate(purpose: Purpose, files: &[(String, String)], against: Against) -> Report {
    let mut manifest = Manifest::default();
    let mut resolve = |image: &str| image.parse().or_else(|_| name_of_image(image));
    for (file, text) in files {
        match purpose {
            Purpose::Wishes => manifest.read(file, text, &mut resolve),
            Purpose::Document => manifest.read_document(file, text),
        }
    }
    let profile = match against {
        Against::Nothing => None,
        Against::Node(profile) => Some(*profile),
        Against::File(file, text) => read_profile(&mut manifest, &file, &text),
    };
    let mut notes = Vec::new();
    match purpose {
        Purpose::Document => manifest.check_document(profile.as_ref()),
        Purpose::Wishes => {
            manifest.check(profile.as_ref());
            if manifest.problems.is_empty() {
                notes = manifest.missing_configs();
            }
        }
    }
    Report {
        valid: manifest.problems.is_empty(),
        agents: manifest.agents.len(),
        problems: manifest.problems,
        notes,
    }
}

/// Any digest will do: that of the name.
fn name_of_image(image: &str) -> Result<Digest, String> {
    if image.is_empty() || image.len() > 512 || image.contains(|c: char| !c.is_ascii_graphic()) {
        return Err(format!("'{}' is not the name of an image", crate::reading::cut(image)));
    }
    if image.starts_with("sha256:") {
        return Err(
            "is not a digest: sha256: and 64 lowercase hexadecimal digits are expected".into()
        );
    }
    Ok(Digest::of(image.as_bytes()))
}

fn read_profile(manifest: &mut Manifest, file: &str, text: &str) -> Option<Profile> {
    match yaml::parse(text) {
        Ok(documents) => match documents.first() {
            Some(node) => manifest.part(file, "", node),
            None => Some(Profile::default()),
        },
        Err(trouble) => {
            manifest.problems.push(trouble.of(file));
            None
        }
    }
}
