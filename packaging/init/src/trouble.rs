//! What went wrong: the operation, its object, and the system's reason.
//!
//! One type for the whole program, since pid 1 does nothing with an error but tell it and go on.

use std::fmt::Display;
use std::io;

/// An effect that the system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {object}: {source}")]
pub struct Trouble {
    operation: &'static str,
    object: String,
    source: io::Error,
}

/// Gives an error its operation and object.
pub trait Doing<T> {
    /// Says what was being done, and to what.
    ///
    /// # Errors
    /// The error itself, told in full.
    fn doing(self, operation: &'static str, object: impl Display) -> Result<T, Trouble>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, operation: &'static str, object: impl Display) -> Result<T, Trouble> {
        self.map_err(|error| trouble(operation, object, error))
    }
}

/// A trouble that no system call gave.
pub fn trouble(
    operation: &'static str,
    object: impl Display,
    source: impl Into<io::Error>,
) -> Trouble {
    Trouble { operation, object: object.to_string(), source: source.into() }
}

/// Something that is not as it must be.
pub fn invalid(operation: &'static str, object: impl Display, why: &str) -> Trouble {
    trouble(operation, object, io::Error::new(io::ErrorKind::InvalidData, why.to_owned()))
}
