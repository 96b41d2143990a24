//! Texts that people write without quotes: `8080` and `true` are texts too, where a text is wanted.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::{LIST_MAX, TEXT_MAX};

/// A text, or a whole number or truth value that is taken as written.
pub(super) struct Text(pub(super) String);

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Text;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text (put numbers with a point into quotes)")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }
    fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }
    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Text, E> {
        Ok(Text(truth.to_string()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Visitor)
    }
}

pub(super) fn one<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Text>::deserialize(d)?.map(|Text(text)| text))
}

pub(super) fn words<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    let words = Option::<Vec<Text>>::deserialize(d)?;
    Ok(words.map(|words| words.into_iter().map(|Text(text)| text).collect()))
}

pub(super) fn map<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map = BTreeMap::<String, Text>::deserialize(d)?;
    Ok(map.into_iter().map(|(key, Text(text))| (key, text)).collect())
}

/// What is wrong with the words of a command.
pub(super) fn words_problem(words: &[String]) -> Option<&'static str> {
    if words.len() > LIST_MAX {
        return Some("has more than 256 words");
    }
    words
        .iter()
        .any(|w| w.contains('\0') || w.len() > TEXT_MAX)
        .then_some("has a word with a NUL or more than 32 KiB")
}

/// What is wrong with a path inside a container or on the host.
pub(super) fn path_problem(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("must be an absolute path");
    }
    if path.len() > 4096 || path.contains('\0') {
        return Some("is over 4096 bytes, or has a NUL");
    }
    // `/a//b` and `/a/./b` would be other names of `/a/b`, and `/.` one of the root.
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let odd = |part: &str| matches!(part, "." | "..") || (part.is_empty() && path.len() > 1);
    inner.split('/').any(odd).then_some("must not hold '..', '.' or '//'")
}
