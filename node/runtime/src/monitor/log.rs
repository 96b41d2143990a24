//! The agent's output: two pipes in, size-capped rotated files out.
//!
//! Each line is written in the CRI log format, as `TIME STREAM TAG TEXT`: the time in UTC with
//! nanoseconds (RFC 3339), `stdout` or `stderr`, and `F` for the end of a line or `P` for a part of
//! one that is longer than [`LINE_MAX`]; a line that begins as JSON does stays whole up to
//! [`JSON_MAX`]. `agent.log` is being written, `agent.log.1` is the newest
//! full one. With a rate, lines above it are dropped whole and counted. It never blocks on a reader, and never lets a full disk stop the agent: what cannot be
//! written is counted as lost.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::launch::LogPolicy;

mod mend;
mod rate;

use rate::Bucket;

/// Longer lines are written in parts.
pub const LINE_MAX: usize = 16 * 1024;

/// But for lines of JSON, which are of use whole only.
pub const JSON_MAX: usize = 256 * 1024;

/// Read at once. Small, as every monitor that has logged keeps it.
const PORTION: usize = 8 * 1024;

/// Portions taken in one turn: as much as a pipe holds, so that a flood of output costs few calls, and a
/// request to stop waits for one turn only.
const TURN: usize = 8;

/// Formatted lines are gathered up to this size, and then written at once.
const GATHER: usize = 16 * 1024;

/// The name of the file being written.
const NAME: &str = "agent.log";

/// One stream of the agent's output.
pub struct Stream {
    pipe: OwnedFd,
    name: &'static str,
    line: Vec<u8>,
    open: bool,
    /// What became of the parts of this line that were written, if any were.
    begun: Option<Fate>,
}

/// What becomes of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped,
}

impl Stream {
    /// A stream of the given name, read from a pipe without ever waiting for it.
    pub fn new(pipe: OwnedFd, name: &'static str) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self { pipe, name, line: Vec::new(), open: true, begun: None })
    }

    /// The pipe, as long as there may be more in it.
    pub fn pipe(&self) -> Option<&OwnedFd> {
        self.open.then_some(&self.pipe)
    }

    /// Takes what is in the pipe to the log, one turn's worth at the most; `false` when there was nothing.
    pub fn pump(&mut self, log: &mut Log) -> bool {
        let took = (0..TURN).take_while(|_| self.take_portion(log)).count() > 0;
        log.flush();
        took
    }

    // Not inlined, so that its buffer is on the stack once.
    #[inline(never)]
    fn take_portion(&mut self, log: &mut Log) -> bool {
        let mut buffer = [0_u8; PORTION];
        match rustix::io::read(&self.pipe, &mut buffer) {
            Ok(0) => {
                self.open = false;
                self.finish(log);
                false
            }
            Ok(size) => {
                self.take(buffer.get(..size).unwrap_or_default(), &Stamp::now(), log);
                true
            }
            Err(rustix::io::Errno::INTR) => true,
            Err(rustix::io::Errno::AGAIN) => false,
            Err(_) => {
                self.open = false;
                false
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8], stamp: &Stamp, log: &mut Log) {
        while !bytes.is_empty() {
            let first = self.line.first().or_else(|| bytes.first()).copied();
            let whole = first == Some(b'{') && self.begun.is_none();
            let most = if whole { log.json_max() } else { LINE_MAX };
            let room = most - self.line.len();
            let end = memchr::memchr(b'\n', bytes.get(..=room).unwrap_or(bytes));
            let (now, rest) = bytes.split_at(end.unwrap_or_else(|| room.min(bytes.len())));
            self.line.extend_from_slice(now);
            bytes = rest;
            if end.is_some() {
                bytes = rest.get(1..).unwrap_or_default();
                self.emit("F", stamp, log);
            } else if self.line.len() >= most {
                self.emit("P", stamp, log);
            }
        }
    }

    fn emit(&mut self, tag: &str, stamp: &Stamp, log: &mut Log) {
        let fate = self.begun.unwrap_or_else(|| log.fate_of_a_line(stamp, self.name));
        log.add_line(fate, stamp, self.name, tag, &self.line);
        self.begun = (tag == "P").then_some(fate);
        // A long line is rare, and every monitor keeps what it has used.
        self.line = match self.line.capacity() > 2 * LINE_MAX {
            true => Vec::new(),
            false => std::mem::take(&mut self.line),
        };
        self.line.clear();
    }

    /// Writes a last line that had no end.
    pub fn finish(&mut self, log: &mut Log) {
        if !self.line.is_empty() {
            self.emit("F", &Stamp::now(), log);
        }
        log.tell_of_drops(&Stamp::now(), self.name, true);
        log.flush();
    }
}

/// The files.
pub struct Log {
    policy: LogPolicy,
    file: Option<File>,
    size: u64,
    gathered: Vec<u8>,
    bucket: Option<Bucket>,
    /// Bytes written.
    pub written: u64,
    /// Bytes that could not be written.
    pub lost: u64,
}

impl Log {
    /// Opens the log, and goes on where an earlier run of the agent left off. A folder that cannot
    /// be used is tried again at each write.
    pub fn open(policy: LogPolicy) -> Self {
        let bucket = policy.rate_limit.map(|rate| Bucket::new(rate, Instant::now()));
        let gathered = Vec::new();
        let mut log = Self { policy, file: None, size: 0, gathered, bucket, written: 0, lost: 0 };
        // Tried again when there is something to write; the agent runs either way.
        let _ = log.reopen();
        log
    }

    fn path(&self, age: u32) -> PathBuf {
        match age {
            0 => self.policy.dir.join(NAME),
            age => self.policy.dir.join(format!("{NAME}.{age}")),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o750).create(&self.policy.dir)?;
        let options = OpenOptions::new().create(true).read(true).append(true).clone();
        let mut file = options.open(self.path(0))?;
        self.size = mend::mend(&mut file)?;
        self.file = Some(file);
        Ok(())
    }

    /// Lines of JSON stay whole, as long as two of them fit into a file.
    fn json_max(&self) -> usize {
        let half = usize::try_from(self.policy.max_bytes / 2).unwrap_or(usize::MAX);
        JSON_MAX.min(half).max(LINE_MAX)
    }

    /// Bytes dropped by the rate limit.
    pub fn dropped(&self) -> u64 {
        self.bucket.as_ref().map_or(0, |bucket| bucket.dropped)
    }

    fn fate_of_a_line(&mut self, stamp: &Stamp, stream: &str) -> Fate {
        let admits = self.bucket.as_mut().is_none_or(|bucket| bucket.admits(Instant::now()));
        if admits {
            self.tell_of_drops(stamp, stream, false);
            return Fate::Kept;
        }
        Fate::Dropped
    }

    fn add_line(&mut self, fate: Fate, stamp: &Stamp, stream: &str, tag: &str, text: &[u8]) {
        if let Some(bucket) = &mut self.bucket {
            match fate {
                Fate::Kept => bucket.take(text.len() + 1),
                Fate::Dropped => bucket.drop(text.len() + 1, Instant::now()),
            }
        }
        match fate {
            Fate::Kept => self.add(stamp, stream, tag, text),
            Fate::Dropped => self.tell_of_drops(stamp, stream, false),
        }
    }

    /// Says how much was dropped, if it is time to; in a line of its own, on the given stream.
    fn tell_of_drops(&mut self, stamp: &Stamp, stream: &str, last: bool) {
        let untold = self.bucket.as_mut().and_then(|bucket| bucket.untold(Instant::now(), last));
        if let Some(bytes) = untold {
            let text = format!("… {bytes} bytes dropped by the rate limit");
            self.add(stamp, stream, "F", text.as_bytes());
        }
    }

    fn add(&mut self, stamp: &Stamp, stream: &str, tag: &str, text: &[u8]) {
        let head = format!("{} {stream} {tag} ", stamp.0);
        let size = head.len() + text.len() + 1;
        let ahead = self.size + self.gathered.len() as u64;
        if ahead > 0 && ahead + size as u64 > self.policy.max_bytes {
            self.flush();
            self.rotate();
        } else if self.gathered.len() + size > GATHER {
            self.flush();
        }
        self.gathered.extend_from_slice(head.as_bytes());
        self.gathered.extend_from_slice(text);
        self.gathered.push(b'\n');
    }

    /// Writes what was gathered.
    pub fn flush(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let amount = self.gathered.len() as u64;
        match self.write_gathered() {
            Ok(()) => {
                self.size += amount;
                self.written += amount;
            }
            Err(_) => self.lost += amount,
        }
        self.gathered = match self.gathered.capacity() > 2 * GATHER {
            true => Vec::new(),
            false => std::mem::take(&mut self.gathered),
        };
        self.gathered.clear();
    }

    fn write_gathered(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.reopen()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let done = file.write_all(&self.gathered);
        if done.is_err() {
            // No half line stays behind, and the next attempt opens afresh.
            let _ = file.set_len(self.size);
            self.file = None;
        }
        done
    }

    fn rotate(&mut self) {
        self.file = None;
        let oldest = self.policy.files.saturating_sub(1);
        if oldest == 0 {
            let _ = std::fs::remove_file(self.path(0));
        }
        for age in (0..oldest).rev() {
            // Missing ones are no failure; a failing rename leaves one file larger than wanted.
            let _ = std::fs::rename(self.path(age), self.path(age + 1));
        }
        let _ = self.reopen();
    }
}

/// A moment, written as RFC 3339 in UTC with nanoseconds.
struct Stamp(String);

impl Stamp {
    fn now() -> Self {
        Self::of(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn of(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Days since 0000-03-01, counted in eras of 400 years: years begin in March, so that the
        // leap day is the last one.
        let day = days + 719_468;
        let (era, day_of_era) = (day / 146_097, day % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let date = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let nanos = since_epoch.subsec_nanos();
        Self(format!(
            "{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z"
        ))
    }
}

#[cfg(test)]
mod tests;
