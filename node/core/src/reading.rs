//! Reads what people and programs write: JSON into a type, or an error that says where and what.
//!
//! One way for all of it (documents, manifests, requests), so that every spec is refused in the same
//! words, and the code that reads the large types is in the program once. YAML becomes JSON first,
//! in [`crate::manifest`].

mod hints;
mod nearest;
mod path;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

pub use nearest::nearest;

/// Why bytes are not what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", self.prefix())]
pub struct ReadError {
    /// Where, such as `agents[1].image`; empty for the whole.
    pub path: String,
    /// Whether the key itself is wrong, and not what stands below it.
    pub key: bool,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl ReadError {
    fn prefix(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) }
    }
}

/// Reads JSON.
///
/// # Errors
/// The first thing that is wrong, with its path.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(bytes).map_err(|error| refuse(bytes, &error))
}

fn refuse(bytes: &[u8], error: &serde_json::Error) -> ReadError {
    let path::Found { path, key } = path::at(bytes, error.line(), error.column());
    let told = error.to_string();
    let told = told.rsplit_once(" at line ").map_or(told.as_str(), |(what, _)| what);
    let problem = match error.classify() {
        Category::Data => explain(told),
        Category::Io | Category::Syntax | Category::Eof => {
            format!("is not JSON: {told}, in line {}, column {}", error.line(), error.column())
        }
    };
    ReadError { path, key, problem }
}

/// Says in plain words what serde means.
fn explain(told: &str) -> String {
    if let Some(rest) = told.strip_prefix("unknown field `") {
        let (field, known) = names(rest);
        return unknown_field(field, &known);
    }
    if let Some(rest) = told.strip_prefix("unknown variant `") {
        let (word, known) = names(rest);
        let meant = nearest(word, known.iter().copied());
        let meant = meant.map_or_else(String::new, |m| format!("; did you mean {m}?"));
        return format!("'{}' is none of {}{meant}", cut(word), known.join(", "));
    }
    if let Some(field) = told.strip_prefix("missing field `") {
        return format!("the field '{}' is missing", field.trim_end_matches('`'));
    }
    if let Some(field) = told.strip_prefix("duplicate field `") {
        return format!("the field '{}' stands here twice", field.trim_end_matches('`'));
    }
    let unfit = ["invalid type: ", "invalid value: ", "invalid length "];
    if let Some(rest) = unfit.iter().find_map(|start| told.strip_prefix(start))
        && let Some((found, expected)) = rest.rsplit_once(", expected ")
    {
        let quotes = match expected {
            "a string" | "a name" | "a key" if found.starts_with(['i', 'f', 'b']) => {
                "; put it into quotes"
            }
            "a boolean" if found.starts_with("string") => "; write true or false",
            _ => "",
        };
        return format!("must be {expected}, not {}{quotes}", cut(found));
    }
    told.to_owned()
}

/// What to say of a field that there is none of.
pub(crate) fn unknown_field(field: &str, known: &[&str]) -> String {
    let there_is = format!("there is no field '{}'", cut(field));
    if let Some(hint) = hints::find(field, known) {
        return format!("{there_is}; {hint}");
    }
    match nearest(field, known.iter().copied()) {
        Some(meant) => format!("{there_is}; did you mean '{meant}'?"),
        None if known.is_empty() => there_is,
        None => format!("{there_is}; known are {}", known.join(", ")),
    }
}

/// The refused word, and the words between backticks that follow it.
fn names(rest: &str) -> (&str, Vec<&str>) {
    let (word, known) = rest.split_once("`, ").unwrap_or_else(|| (rest.trim_end_matches('`'), ""));
    (word, known.split('`').skip(1).step_by(2).collect())
}

/// Enough of a text to recognise it.
pub(crate) fn cut(text: &str) -> String {
    let mut all = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let start: String = all.by_ref().take(80).collect();
    if all.next().is_some() { start + "…" } else { start }
}

#[cfg(test)]
mod tests;
