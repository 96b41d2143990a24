//! What a file says, as a tree in which every part knows its place.

use std::fmt;

/// A place in a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) place: Option<Place>,
    pub(super) problem: String,
}

/// One part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a part says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Truth(bool),
    /// In the digits of JSON.
    Whole(String),
    Real(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key with what stands below it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Node {
    /// What stands below a key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key)
    }

    /// Takes out what stands below a key.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        let Value::Map(entries) = &mut self.value else { return None };
        let at = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(at))
    }

    /// The place of a path such as `volumes[0].target`, or of as much of it as there is. Keys may
    /// hold points themselves.
    pub(super) fn find(&self, path: &str, want_key: bool) -> Place {
        let (mut node, mut place, mut rest) = (self, self.place, path);
        loop {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            if rest.is_empty() {
                return place;
            }
            let Some((place_of_key, below, after)) = node.step(rest) else { return place };
            let scalar = !matches!(below.value, Value::List(_) | Value::Map(_));
            let value_itself =
                place_of_key.is_none() || (scalar && !(want_key && after.is_empty()));
            place = if value_itself { below.place } else { place_of_key.unwrap_or(below.place) };
            (node, rest) = (below, after);
        }
    }

    /// One step along a path: the place of the key, what is below it, and the rest of the path.
    fn step<'a, 'b>(&'a self, path: &'b str) -> Option<(Option<Place>, &'a Self, &'b str)> {
        match &self.value {
            Value::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                Some((None, items.get(index.parse::<usize>().ok()?)?, rest))
            }
            Value::Map(entries) => {
                let fits = |entry: &&Entry| {
                    let rest = path.strip_prefix(entry.key.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                let entry = entries.iter().filter(fits).max_by_key(|entry| entry.key.len())?;
                Some((Some(entry.place), &entry.node, path.get(entry.key.len()..)?))
            }
            _ => None,
        }
    }

    /// Appends the part as JSON.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        match &self.value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Truth(truth) => out.extend_from_slice(truth.to_string().as_bytes()),
            Value::Whole(digits) => out.extend_from_slice(digits.as_bytes()),
            // With a point or an exponent, so that it stays what it was.
            Value::Real(number) => out.extend_from_slice(format!("{number:?}").as_bytes()),
            Value::Text(text) => write_text(text, out),
            Value::List(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Value::Map(entries) => {
                out.push(b'{');
                for (index, Entry { key, node, .. }) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_text(key, out);
                    out.push(b':');
                    node.write_json(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Makes texts of whole numbers and truth values below, for maps that hold nothing but texts.
    pub(super) fn make_texts(&mut self) {
        match &mut self.value {
            Value::Truth(truth) => self.value = Value::Text(truth.to_string()),
            Value::Whole(digits) => self.value = Value::Text(std::mem::take(digits)),
            Value::List(items) => items.iter_mut().for_each(Self::make_texts),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.node.make_texts()),
            Value::Null | Value::Real(_) | Value::Text(_) => {}
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a text into memory cannot fail.
    serde_json::to_writer(out, text).unwrap_or_default();
}
