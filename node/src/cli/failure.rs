//! How a failed verb ends: one line on stderr, and an exit code.
//!
//! 1 is a failure, 2 is wrong usage; `exec` has codes of its own, as docker has. A reader that went
//! away (`| head`) is no failure, and is not told.

use std::process::ExitCode;

/// The command line is at fault, not the node.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Whoever read our output has gone.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct ReaderGone;

/// Something could not be done, and the text says it all.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Some of several agents failed; each was told on its own.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} failed")]
pub struct Partly {
    /// How many failed.
    pub failed: usize,
    /// Out of how many.
    pub all: usize,
}

/// Tells the user what went wrong, and returns the exit code that belongs to it.
pub fn tell(error: &anyhow::Error) -> ExitCode {
    if error.is::<ReaderGone>() {
        return ExitCode::SUCCESS;
    }
    say(error);
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// One line on stderr: the error and its causes.
pub fn say(error: &anyhow::Error) {
    note(&sentence(error));
}

/// One line on stderr.
pub fn note(text: &str) {
    use std::io::Write;
    // There is nobody to tell that stderr is closed.
    let _ = writeln!(std::io::stderr(), "skerry: {text}");
}

/// An empty line on stderr.
pub fn blank_line() {
    use std::io::Write;
    let _ = writeln!(std::io::stderr());
}

/// The error and every cause, outermost first; a cause that was already said is not said again.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let part = cause.to_string();
        if text.is_empty() {
            text = part;
        } else if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let error = Err::<(), _>(std::io::Error::other("disk full"))
            .context("cannot write a: disk full")
            .context("cannot import b")
            .unwrap_err();
        assert_eq!(sentence(&error), "cannot import b: cannot write a: disk full");
    }
}
