//! `skerry logs`: what an agent has printed, and goes on printing.
//!
//! The node sends the lines as they stand in the log, in the CRI format `TIME STREAM TAG TEXT`,
//! where the tag `P` marks a part of a line that goes on. [`Lines`] turns them back into what the
//! agent wrote.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use skerry_core::ids::AgentName;
use skerry_core::units::Span;

use super::output;
use crate::client::Client;

/// Longer than any line in a log; what is longer is passed on as it is.
const LINE_MAX: usize = 64 * 1024;

/// Shows what an agent has printed
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Go on showing what it prints, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Only so many lines from the end
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<u64>,
    /// Only what is newer than 90s, 1h30m, or 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME|DURATION", value_parser = since)]
    since: Option<String>,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// The agent
    name: AgentName,
}

/// A time as logs have it.
fn since(text: &str) -> Result<String, String> {
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => {
            let wrong = |_| {
                format!(
                    "'{text}' is neither a time, such as 2026-01-02T03:04:05Z, nor a duration, such as 90s"
                )
            };
            let span: Span = text.parse().map_err(wrong)?;
            let span = i64::try_from(span.millis).unwrap_or(i64::MAX);
            let then = Timestamp::now().as_millisecond().saturating_sub(span);
            Timestamp::from_millisecond(then).unwrap_or(Timestamp::MIN)
        }
    };
    Ok(format!("{time:.9}"))
}

/// Prints the log as it comes.
pub async fn logs(client: &Client, args: &LogsArgs) -> anyhow::Result<ExitCode> {
    let mut stream = client.logs(&args.name, args.tail, args.follow).await?;
    let mut lines = Lines::new(args.timestamps, args.since.clone());
    while let Some(piece) = stream.next().await? {
        output::bytes(&lines.take(&piece))?;
    }
    output::bytes(&lines.end())?;
    Ok(ExitCode::SUCCESS)
}

/// Takes pieces of a log in any sizes, and gives back the agent's own output.
struct Lines {
    timestamps: bool,
    /// Nothing older is shown: a time as logs have it.
    since: Option<String>,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
    /// The last line was a part, of this stream.
    within: Option<Vec<u8>>,
}

impl Lines {
    fn new(timestamps: bool, since: Option<String>) -> Self {
        Self { timestamps, since, rest: Vec::new(), within: None }
    }

    fn take(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        for chunk in piece.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(chunk);
            if chunk.ends_with(b"\n") || self.rest.len() > LINE_MAX {
                let line = std::mem::take(&mut self.rest);
                self.line(&line, &mut out);
            }
        }
        out
    }

    fn end(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let line = std::mem::take(&mut self.rest);
        if !line.is_empty() {
            self.line(&line, &mut out);
        }
        if self.within.take().is_some() {
            out.push(b'\n');
        }
        out
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(entry) = Entry::parse(line) else {
            // Not in the format: better shown than hidden.
            out.extend_from_slice(line);
            return;
        };
        // Times in logs have one form and one length, so that they are in order as texts.
        if self.since.as_ref().is_some_and(|since| entry.time < since.as_bytes()) {
            return;
        }
        match self.within.take() {
            Some(stream) if stream == entry.stream => {}
            Some(_) => {
                out.push(b'\n');
                self.stamp(&entry, out);
            }
            None => self.stamp(&entry, out),
        }
        out.extend_from_slice(entry.text);
        if entry.goes_on {
            self.within = Some(entry.stream.to_owned());
        } else {
            out.push(b'\n');
        }
    }

    fn stamp(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        if self.timestamps {
            out.extend_from_slice(entry.time);
            out.push(b' ');
        }
    }
}

/// One line of the log.
struct Entry<'a> {
    time: &'a [u8],
    stream: &'a [u8],
    goes_on: bool,
    text: &'a [u8],
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut words = line.splitn(4, |byte| *byte == b' ');
        let (time, stream, tag) = (words.next()?, words.next()?, words.next()?);
        let text = words.next().unwrap_or_default();
        let is_time = time.first().is_some_and(u8::is_ascii_digit) && time.ends_with(b"Z");
        let is_stream = stream == b"stdout" || stream == b"stderr";
        let is_tag = tag == b"F" || tag == b"P";
        (is_time && is_stream && is_tag).then_some(Self {
            time,
            stream,
            goes_on: tag == b"P",
            text,
        })
    }
}

#[cfg(test)]
mod tests;
