//! Tells: lines to the kernel's log, and the few that a person at the console must see.
//!
//! The log is in RAM alone (`/dev/kmsg`), so nothing here writes to flash. It never fails: a device with
//! no log must still boot.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

/// Levels of the kernel's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something does not work.
    Error = 3,
    /// Something is not as it should be, and the boot goes on.
    Warning = 4,
    /// What happens.
    Info = 6,
}

/// The longest line the kernel keeps whole.
const LINE_MAX: usize = 900;

/// Writes one line of ours.
pub fn tell(level: Level, message: impl Display) {
    write(level, "skerry-init", &message.to_string());
}

/// Writes one line in somebody's name.
pub fn write(level: Level, who: &str, line: &str) {
    let line = cut(line, LINE_MAX);
    // Each write is one record.
    let record = format!("<{}>{who}: {line}\n", level as u8);
    append("/dev/kmsg", record.as_bytes());
}

/// Says something to the person at the console, whatever the log's level there, and to the log.
pub fn announce(message: impl Display) {
    let line = message.to_string();
    write(Level::Info, "skerry-init", &line);
    append("/dev/console", format!("skerry: {line}\r\n").as_bytes());
}

/// Sets which lines of the log the console shows.
pub fn console_shows(all: bool) {
    let level = if all { "7" } else { "4" };
    append("/proc/sys/kernel/printk", level.as_bytes());
}

/// How grave a line of the node's log is: its level is the second word.
pub fn level_of(line: &str) -> Level {
    match line.split_whitespace().nth(1) {
        Some("ERROR") => Level::Error,
        Some("WARN") => Level::Warning,
        Some("INFO" | "DEBUG" | "TRACE") => Level::Info,
        // Not from its log: an error that ended it, or a panic.
        _ if line.starts_with("error") || line.contains("panicked") => Level::Error,
        _ => Level::Info,
    }
}

fn cut(line: &str, most: usize) -> &str {
    let end = (0..=most.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    &line[..end.unwrap_or(0)]
}

fn append(path: &str, bytes: &[u8]) {
    let _ = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(bytes));
}

#[cfg(test)]
#[path = "tell/tests.rs"]
mod tests;
