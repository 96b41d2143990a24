//! What the operator sees: lines on stdout, failures on stderr, and an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

/// Whoever read our output has gone.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct ReaderGone;

/// Writes a line to stdout.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(error).context("cannot write the output"),
    }
}

/// Writes a value as indented JSON to stdout.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value).context("cannot write the output as JSON")?)
}

/// Tells on stderr why a verb failed, and returns the exit code.
pub fn tell(error: &anyhow::Error) -> ExitCode {
    if error.is::<ReaderGone>() {
        return ExitCode::SUCCESS;
    }
    note(&sentence(error));
    ExitCode::FAILURE
}

/// One line on stderr.
pub fn note(text: &str) {
    // There is nobody to tell that stderr is closed.
    let _ = writeln!(io::stderr(), "skerry-fleet: {text}");
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

/// Without line breaks and terminal controls: some texts come from nodes and from the broker.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
