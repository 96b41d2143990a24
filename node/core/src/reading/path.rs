//! Finds out which part of a JSON text stands before a place in it. Never fails: it knows as much of
//! the path as the text has.

use std::fmt::Write;

/// A path, and whether the place is at a key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) key: bool,
}

enum Level {
    /// Before, at, or after a key.
    Map(Option<String>),
    List(usize),
}

/// The path at a line and column, as serde_json counts them: lines from 1, columns in bytes.
pub(super) fn at(bytes: &[u8], line: usize, column: usize) -> Found {
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    let before: usize = lines.take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    walk(bytes, before.saturating_add(column).min(bytes.len()))
}

fn walk(bytes: &[u8], end: usize) -> Found {
    let (mut levels, mut at, mut key) = (Vec::new(), 0, false);
    while let Some(byte) = bytes.get(at).filter(|_| at < end) {
        let start = at;
        at += 1;
        match byte {
            b'{' => levels.push(Level::Map(None)),
            b'[' => levels.push(Level::List(0)),
            b'}' | b']' => {
                levels.pop();
            }
            b',' => match levels.last_mut() {
                Some(Level::Map(key)) => *key = None,
                Some(Level::List(index)) => *index += 1,
                None => {}
            },
            b'"' => {
                at = text_end(bytes, at);
                if let Some(Level::Map(name @ None)) = levels.last_mut() {
                    *name = bytes.get(start..at).and_then(|t| serde_json::from_slice(t).ok());
                    key = true;
                    continue;
                }
            }
            b' ' | b'\n' | b'\r' | b'\t' => continue,
            _ => {}
        }
        key = false;
    }
    Found { path: told(&levels), key }
}

/// The first byte after a text whose first byte after the quote is at `at`.
fn text_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn told(levels: &[Level]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Map(None) => break,
            Level::Map(Some(key)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&super::cut(key));
            }
            // Writing into a String never fails.
            Level::List(index) => write!(path, "[{index}]").unwrap_or_default(),
        }
    }
    path
}
