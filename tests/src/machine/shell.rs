//! A root shell inside a virtual device, over a serial line.
//!
//! A command goes in and comes out in base64, framed by a mark that no other line has, with the length
//! of what it printed: so it does not matter whether the line echoes, changes line ends, or carries a
//! word of the kernel in between. Decides nothing; a device that dies in the middle is an error here,
//! since that is what some tests do to it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::process::Output;

/// How often a shell that may not be there yet is called.
const TRY: Duration = Duration::from_secs(1);
/// A shell that edits lines takes no more than a thousand characters.
const CHUNK: usize = 600;
/// Makes of whatever shell answers one that says nothing of its own. Without a terminal on its
/// standard error it neither prompts nor edits lines.
const HUSH: &[u8] = b"\nstty -echo 2>/dev/null; exec sh 2>/dev/null\n";
/// The longest that reading waits before it looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// Why a command did not come back.
#[derive(Debug)]
pub enum ShellError {
    /// The device is gone, or its line is.
    Gone(io::Error),
    /// It did not answer in time; with what it had sent.
    Late(Duration, String),
    /// The answer was damaged on its way.
    Garbled(String),
}

impl std::fmt::Display for ShellError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone(error) => write!(f, "the device is gone: {error}"),
            Self::Late(limit, seen) => write!(f, "no answer in {limit:?}; it sent: {seen:?}"),
            Self::Garbled(why) => write!(f, "the answer is damaged: {why}"),
        }
    }
}

/// The host's end of the line.
#[derive(Debug)]
pub(super) struct Shell {
    stream: UnixStream,
    pending: Vec<u8>,
    count: u64,
}

impl Shell {
    /// The line of a machine that was switched on. Nobody needs to be at its other end yet.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self { stream: UnixStream::connect(path)?, pending: Vec::new(), count: 0 })
    }

    /// Waits until a shell answers, and hushes it.
    pub(super) fn ready(&mut self, limit: Duration) -> Result<(), ShellError> {
        let start = Instant::now();
        self.call("here", start, limit)?;
        self.stream.write_all(HUSH).map_err(ShellError::Gone)?;
        // What the old shell had read already is lost with it, so the new one is called as well.
        self.call("hushed", start, limit)
    }

    /// Calls until a word comes back. An answer to any call will do: on a busy machine one comes later
    /// than the next call.
    fn call(&mut self, word: &str, start: Instant, limit: Duration) -> Result<(), ShellError> {
        // The question does not have the answer in it, should it be echoed.
        let (first, rest) = word.split_at(1);
        let question = format!("\necho @{first}''{rest}@\n");
        let answer = format!("@{word}@");
        while start.elapsed() < limit {
            self.stream.write_all(question.as_bytes()).map_err(ShellError::Gone)?;
            let call = Instant::now();
            while let Some(line) = self.line(call, TRY)? {
                if line.ends_with(&answer) {
                    return Ok(());
                }
            }
        }
        Err(ShellError::Late(limit, self.rest()))
    }

    /// Runs a script to its end.
    pub(super) fn run(&mut self, script: &str, limit: Duration) -> Result<Output, ShellError> {
        self.count += 1;
        let mark = format!("@{}@", self.count);
        let tail = format!(
            "sh /tmp/.c$$ </dev/null >/tmp/.o$$ 2>/tmp/.e$$; s=$?; echo; \
             echo \"{mark} $s $(wc -c </tmp/.o$$) $(wc -c </tmp/.e$$)\"; \
             base64 </tmp/.o$$; echo \"{mark} -\"; base64 </tmp/.e$$; echo \"{mark} .\"\n"
        );
        self.send(script, &tail)?;
        let mut answer = Answer::new(script, &mark);
        let start = Instant::now();
        while let Some(line) = self.line(start, limit)? {
            if answer.take(&line) {
                return answer.output();
            }
        }
        Err(ShellError::Late(limit, self.rest()))
    }

    /// Starts a script, whose lines are then read with [`Shell::line`]. Nothing else can be run until
    /// it has ended; its end is not told.
    pub(super) fn start(&mut self, script: &str) -> Result<(), ShellError> {
        self.send(script, "sh /tmp/.c$$ </dev/null 2>&1\n")
    }

    /// The next line; nothing when it did not come within the limit.
    pub(super) fn line(
        &mut self,
        start: Instant,
        limit: Duration,
    ) -> Result<Option<String>, ShellError> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let rest = self.pending.split_off(end + 1);
                let line = std::mem::replace(&mut self.pending, rest);
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            let left = limit.saturating_sub(start.elapsed());
            let tick = left.clamp(Duration::from_millis(1), TICK);
            self.stream.set_read_timeout(Some(tick)).map_err(ShellError::Gone)?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ShellError::Gone(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if start.elapsed() >= limit {
                        return Ok(None);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ShellError::Gone(error)),
            }
        }
    }

    fn send(&mut self, script: &str, tail: &str) -> Result<(), ShellError> {
        let coded = BASE64.encode(script);
        let mut text = String::from("\nrm -f /tmp/.q$$\n");
        let mut rest = coded.as_str();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.len().min(CHUNK));
            text.push_str(&format!("printf %s {chunk} >>/tmp/.q$$\n"));
            rest = after;
        }
        text.push_str("base64 -d /tmp/.q$$ >/tmp/.c$$; ");
        text.push_str(tail);
        self.stream.write_all(text.as_bytes()).map_err(ShellError::Gone)
    }

    fn rest(&self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// What a command left behind, as it comes in.
struct Answer<'a> {
    script: &'a str,
    mark: &'a str,
    head: Option<(i32, usize, usize)>,
    parts: [String; 2],
    part: usize,
}

impl<'a> Answer<'a> {
    fn new(script: &'a str, mark: &'a str) -> Self {
        Self { script, mark, head: None, parts: Default::default(), part: 0 }
    }

    /// Takes one line; whether it was the last.
    fn take(&mut self, line: &str) -> bool {
        match (line.strip_prefix(self.mark), self.head) {
            (Some(" ."), Some(_)) => return true,
            (Some(" -"), Some(_)) => self.part = 1,
            (Some(rest), _) => {
                let mut words = rest.split_whitespace().map(str::parse);
                let mut number = || words.next()?.ok();
                self.head = number().and_then(|status| {
                    let size = |n: i32| usize::try_from(n).ok();
                    Some((status, size(number()?)?, size(number()?)?))
                });
            }
            (None, Some(_)) if line.bytes().all(is_base64) => self.parts[self.part].push_str(line),
            // The echo of the command, the end of something before, or a word of the kernel.
            (None, _) => {}
        }
        false
    }

    fn output(self) -> Result<Output, ShellError> {
        let garbled = |why: &str| ShellError::Garbled(format!("{why} ({})", self.script));
        let (status, out, err) = self.head.ok_or_else(|| garbled("no exit code"))?;
        let decode = |text: &str, size: usize| {
            let bytes = BASE64.decode(text).map_err(|error| garbled(&error.to_string()))?;
            if bytes.len() != size {
                return Err(garbled("another length than was told"));
            }
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let [stdout, stderr] = &self.parts;
        Ok(Output {
            command: self.script.to_owned(),
            // As wait() would have it: the shell tells a signal as 128 and its number.
            status: ExitStatus::from_raw(status << 8),
            stdout: decode(stdout, out)?,
            stderr: decode(stderr, err)?,
        })
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

/// A word for a shell, in quotes where it needs them.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
