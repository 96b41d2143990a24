//! Stands in for `annotate-snippets`: the title of a report, without the picture of its source.
//!
//! serde-saphyr draws errors in YAML with it, though not for Skerry, which asks for errors without
//! pictures and says file, line, column and path itself. The crate is 0.27 MiB of the device binary
//! all the same, since serde-saphyr has no feature to leave it out. Only what serde-saphyr calls is here.
//! Put in place by `[patch.crates-io]` in the workspace's Cargo.toml.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// How grave a report is.
#[derive(Clone, Copy, Debug)]
pub struct Level;

impl Level {
    /// An error.
    pub const ERROR: Self = Self;
    /// A note.
    pub const NOTE: Self = Self;

    /// Begins a report.
    pub fn primary_title(self, text: String) -> Title {
        Title(text)
    }
}

/// The beginning of a report.
#[derive(Clone, Debug)]
pub struct Title(String);

impl Title {
    /// Leaves the picture out.
    pub fn element(self, _: Snippet<'_>) -> Group {
        Group(self.0)
    }
}

/// A report.
#[derive(Clone, Debug)]
pub struct Group(String);

/// The source of a picture.
#[derive(Clone, Debug)]
pub struct Snippet<'a>(PhantomData<&'a str>);

impl<'a> Snippet<'a> {
    /// Of this text.
    pub fn source(_: &'a str) -> Self {
        Self(PhantomData)
    }

    /// Whose first line has this number.
    pub fn line_start(self, _: usize) -> Self {
        self
    }

    /// Which is in this file.
    pub fn path(self, _: &str) -> Self {
        self
    }

    /// Whether lines between marks are left out.
    pub fn fold(self, _: bool) -> Self {
        self
    }

    /// With this mark.
    pub fn annotation(self, _: Annotation) -> Self {
        self
    }
}

/// What kind of mark.
#[derive(Clone, Copy, Debug)]
pub enum AnnotationKind {
    /// The cause.
    Primary,
}

impl AnnotationKind {
    /// At these bytes.
    pub fn span(self, _: Range<usize>) -> Annotation {
        Annotation
    }
}

/// A mark.
#[derive(Clone, Copy, Debug)]
pub struct Annotation;

impl Annotation {
    /// With these words.
    pub fn label(self, _: &str) -> Self {
        self
    }
}

/// What writes reports.
#[derive(Clone, Copy, Debug)]
pub struct Renderer;

impl Renderer {
    /// Without colours.
    pub const fn plain() -> Self {
        Self
    }

    /// With these lines.
    pub const fn decor_style(self, _: renderer::DecorStyle) -> Self {
        self
    }

    /// The titles, one on each line.
    pub fn render(&self, groups: &[Group]) -> String {
        let titles: Vec<&str> = groups.iter().map(|Group(title)| title.as_str()).collect();
        titles.join("\n")
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How reports are drawn.
pub mod renderer {
    /// The lines of a picture.
    #[derive(Clone, Copy, Debug)]
    pub enum DecorStyle {
        /// Of plain characters.
        Ascii,
    }
}
