//! What can go wrong in a measurement, each with the operation and the object it concerns.
//! It never decides what follows; `main.rs` does.

use std::io;
use std::path::Path;

/// A measurement that could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused an operation.
    #[error("cannot {operation} {object}: {source}")]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// What it was tried on.
        object: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` ended with {status}: {said}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it wrote to its error output.
        said: String,
    },
    /// Something did not happen within its time.
    #[error("{object} did not happen within {seconds} s")]
    Late {
        /// What was waited for.
        object: String,
        /// For how long.
        seconds: u64,
    },
    /// Text that does not have the expected form.
    #[error("{object} is not understood: {found:?}")]
    Form {
        /// What was read.
        object: String,
        /// The part that was found instead.
        found: String,
    },
}

impl Error {
    /// An input or output error on a path.
    pub fn at(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, object: path.display().to_string(), source }
    }

    /// An input or output error on something without a path.
    pub fn of(operation: &'static str, object: &str, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, object: object.to_owned(), source: source.into() }
    }

    /// Text of another form than expected; keeps the first 200 characters of it.
    pub fn form(object: &str, found: &str) -> Self {
        Self::Form { object: object.to_owned(), found: found.chars().take(200).collect() }
    }
}
