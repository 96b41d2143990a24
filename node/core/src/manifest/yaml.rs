//! YAML, and with it JSON, into a tree. Everything is bounded: bytes, depth, parts, and what aliases
//! copy.
//!
//! Words mean what YAML 1.2 says, so `no` and `on` are texts. What other readers understand
//! differently (numbers with leading zeros, `0x…`) is refused with its place, and so are keys that
//! stand twice.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::tree::{Entry, Node, Place, Trouble, Value};

/// The most bytes of one file.
pub const FILE_MAX: usize = 4 * 1024 * 1024;
/// How deep lists and maps may stand in each other.
const DEPTH_MAX: usize = 48;
/// The most parts of one file, copies by aliases included.
const PARTS_MAX: usize = 200_000;

/// The documents of a file; an empty one is left out.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Trouble> {
    if text.len() > FILE_MAX {
        let problem = format!("has more than {FILE_MAX} bytes");
        return Err(Trouble { place: None, problem });
    }
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let left = Size { parts: PARTS_MAX, bytes: FILE_MAX * 2 };
    let mut reading = Reading { parser, anchors: BTreeMap::new(), left };
    let mut documents = Vec::new();
    loop {
        match reading.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (Event::DocumentEnd, _) => reading.anchors.clear(),
            (event, span) => {
                let node = reading.node(event, span, 0)?;
                if node.value != Value::Null {
                    documents.push(node);
                }
            }
        }
    }
}

/// How much something is.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    parts: usize,
    bytes: usize,
}

struct Reading<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, (Node, Size)>,
    left: Size,
}

fn at(span: Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

fn trouble<T>(place: Place, problem: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble { place: Some(place), problem: problem.into() })
}

impl<'a> Reading<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Trouble> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let mark = error.marker();
                let place = Place { line: mark.line(), column: mark.col() + 1 };
                trouble(place, error.info())
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Trouble> {
        let place = at(span);
        if depth > DEPTH_MAX {
            return trouble(place, format!("stands more than {DEPTH_MAX} levels deep"));
        }
        let before = self.left;
        let bytes = event.scalar().map_or(0, |(text, _)| text.len());
        self.spend(place, Size { parts: 1, bytes })?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                (value.or_else(|problem| trouble(place, problem))?, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                plain_tag(tag.as_deref(), "seq").or_else(|problem| trouble(place, problem))?;
                (Value::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                plain_tag(tag.as_deref(), "map").or_else(|problem| trouble(place, problem))?;
                (Value::Map(self.map(depth)?), anchor)
            }
            Event::Alias(id) => return self.copy(id, place),
            _ => return trouble(place, "is not finished"),
        };
        let node = Node { place, value };
        if anchor > 0 {
            let size = Size {
                parts: before.parts - self.left.parts,
                bytes: before.bytes - self.left.bytes,
            };
            self.spend(place, size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    /// Takes from what is left, so that what a file becomes in memory stays bounded.
    fn spend(&mut self, place: Place, size: Size) -> Result<(), Trouble> {
        let parts = self.left.parts.checked_sub(size.parts);
        let bytes = self.left.bytes.checked_sub(size.bytes);
        match (parts, bytes) {
            (Some(parts), Some(bytes)) => {
                self.left = Size { parts, bytes };
                Ok(())
            }
            _ => trouble(place, "with this, the file is too large once its aliases are copied"),
        }
    }

    fn copy(&mut self, id: usize, place: Place) -> Result<Node, Trouble> {
        let Some((_, size)) = self.anchors.get(&id) else {
            return trouble(place, "this alias stands within what it names");
        };
        self.spend(place, *size)?;
        match self.anchors.get(&id) {
            Some((node, _)) => Ok(node.clone()),
            None => trouble(place, "this alias names nothing"),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Trouble> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Trouble> {
        let (mut entries, mut seen) = (Vec::new(), BTreeMap::new());
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let place = at(span);
            let merges = match &event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => *style == ScalarStyle::Plain && text == "<<",
                _ => false,
            };
            let key = key(self.node(event, span, depth + 1)?)?;
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if merges {
                merged.extend(sources(node)?);
                continue;
            }
            if let Some(first) = seen.insert(key.clone(), place) {
                return trouble(
                    place,
                    format!("'{}' stands here already, at {first}", crate::reading::cut(&key)),
                );
            }
            entries.push(Entry { key, place, node });
        }
        // What the map says itself goes before what is merged into it, and earlier before later.
        for entry in merged {
            if !seen.contains_key(&entry.key) {
                seen.insert(entry.key.clone(), entry.place);
                entries.push(entry);
            }
        }
        Ok(entries)
    }
}

/// What `<<` merges: a map, or a list of maps.
fn sources(node: Node) -> Result<Vec<Entry>, Trouble> {
    let Node { place, value } = node;
    let wrong = "after <<, a map or a list of maps must stand";
    match value {
        Value::Map(entries) => Ok(entries),
        Value::List(items) => {
            let mut all = Vec::new();
            for item in items {
                match item.value {
                    Value::Map(entries) => all.extend(entries),
                    _ => return trouble(item.place, wrong),
                }
            }
            Ok(all)
        }
        _ => trouble(place, wrong),
    }
}

fn key(node: Node) -> Result<String, Trouble> {
    match node.value {
        Value::Text(text) | Value::Whole(text) => Ok(text),
        Value::Truth(truth) => Ok(truth.to_string()),
        Value::Null => trouble(node.place, "a key is missing here"),
        Value::Real(_) => trouble(node.place, "put this key into quotes"),
        Value::List(_) | Value::Map(_) => {
            trouble(node.place, "a key must be a text, not a list or a map")
        }
    }
}

fn plain_tag(tag: Option<&Tag>, expected: &str) -> Result<(), String> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag(expected) => {
            Err(format!("the tag {} has no meaning here", crate::reading::cut(&tag.original())))
        }
        _ => Ok(()),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    if style != ScalarStyle::Plain || tag.is_some() {
        plain_tag(tag, "str")?;
        return Ok(Value::Text(text.to_owned()));
    }
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Truth(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Truth(false)),
        _ if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            return Ok(Value::Text(text.to_owned()));
        }
        _ => {}
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let based = number
        .strip_prefix("0x")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit()))
        || number.strip_prefix("0o").is_some_and(digits);
    if based || (digits(number) && number.len() > 1 && number.starts_with('0')) {
        return Err(format!(
            "some read {text} as an octal or hexadecimal number, others do not; put it into quotes"
        ));
    }
    if digits(number) {
        return Ok(Value::Whole(text.strip_prefix('+').unwrap_or(text).to_owned()));
    }
    if matches!(number, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("{text} has no meaning here; put a text into quotes"));
    }
    let fits = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    match text.parse::<f64>() {
        Ok(number) if text.chars().all(fits) && number.is_finite() => Ok(Value::Real(number)),
        Ok(_) if text.chars().all(fits) => Err(format!("{text} is too large a number")),
        _ => Ok(Value::Text(text.to_owned())),
    }
}
