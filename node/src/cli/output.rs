//! Writes to stdout, and knows when nobody reads it.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use serde::Serialize;

use super::failure::ReaderGone;

mod indent;

/// Writes bytes as they are, at once.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(error).context("cannot write the output"),
    }
}

/// Writes a line.
pub fn line(text: &str) -> anyhow::Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes a value as indented JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    // Not serde_json's pretty printer: it would be a second copy of the code that writes each type.
    let compact = serde_json::to_string(value).context("cannot write the output as JSON")?;
    line(&indent::indented(&compact))
}

/// Writes a value as JSON on a single line.
pub fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(value).context("cannot write the output as JSON")?)
}

/// How many columns the reader's terminal has; `None` if it is none.
pub fn terminal_width() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}
