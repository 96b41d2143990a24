//! The agent's output: two pipes in, size-capped rotated files out.
//!
//! Each line is written in the CRI log format, as `TIME STREAM TAG TEXT`: the time in UTC with
//! nanoseconds (RFC 3339), `stdout` or `stderr`, and `F` for the end of a line or `P` for a part of
//! one that is longer than [`LINE_MAX`]. `agent.log` is being written, `agent.log.1` is the newest
//! full one. It never blocks on a reader, and never lets a full disk stop the agent: what cannot be
//! written is counted as lost.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::launch::LogPolicy;

/// Longer lines are written in parts.
pub const LINE_MAX: usize = 16 * 1024;

/// Read at once. Small, as every monitor that has logged keeps it.
const PORTION: usize = 8 * 1024;

/// Formatted lines are gathered up to this size, and then written at once.
const GATHER: usize = 32 * 1024;

/// The name of the file being written.
const NAME: &str = "agent.log";

/// One stream of the agent's output.
pub struct Stream {
    pipe: OwnedFd,
    name: &'static str,
    line: Vec<u8>,
    open: bool,
}

impl Stream {
    /// A stream of the given name, read from a pipe without ever waiting for it.
    pub fn new(pipe: OwnedFd, name: &'static str) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self { pipe, name, line: Vec::new(), open: true })
    }

    /// The pipe, as long as there may be more in it.
    pub fn pipe(&self) -> Option<&OwnedFd> {
        self.open.then_some(&self.pipe)
    }

    /// Takes one portion from the pipe to the log; `false` when there is none now.
    // Not inlined, so that its buffer is on the stack once.
    #[inline(never)]
    pub fn pump(&mut self, log: &mut Log) -> bool {
        let mut buffer = [0_u8; PORTION];
        match rustix::io::read(&self.pipe, &mut buffer) {
            Ok(0) => {
                self.open = false;
                self.finish(log);
                false
            }
            Ok(size) => {
                self.take(buffer.get(..size).unwrap_or_default(), &Stamp::now(), log);
                log.flush();
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
            let room = LINE_MAX - self.line.len();
            let end = bytes.iter().take(room + 1).position(|byte| *byte == b'\n');
            let (now, rest) = bytes.split_at(end.unwrap_or_else(|| room.min(bytes.len())));
            self.line.extend_from_slice(now);
            bytes = rest;
            if end.is_some() {
                bytes = rest.get(1..).unwrap_or_default();
                self.emit("F", stamp, log);
            } else if self.line.len() >= LINE_MAX {
                self.emit("P", stamp, log);
            }
        }
    }

    fn emit(&mut self, tag: &str, stamp: &Stamp, log: &mut Log) {
        log.add(stamp, self.name, tag, &self.line);
        self.line.clear();
    }

    /// Writes a last line that had no end.
    pub fn finish(&mut self, log: &mut Log) {
        if !self.line.is_empty() {
            self.emit("F", &Stamp::now(), log);
        }
        log.flush();
    }
}

/// The files.
pub struct Log {
    policy: LogPolicy,
    file: Option<File>,
    size: u64,
    gathered: Vec<u8>,
    /// Bytes written.
    pub written: u64,
    /// Bytes that could not be written.
    pub lost: u64,
}

impl Log {
    /// Opens the log, and goes on where an earlier run of the agent left off. A folder that cannot
    /// be used is tried again at each write.
    pub fn open(policy: LogPolicy) -> Self {
        let mut log =
            Self { policy, file: None, size: 0, gathered: Vec::new(), written: 0, lost: 0 };
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
        let file = OpenOptions::new().create(true).append(true).open(self.path(0))?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
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
