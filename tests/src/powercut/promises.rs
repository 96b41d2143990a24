//! What a device has promised, and so must keep over a power cut.
//!
//! A value that was acknowledged must be there afterwards, or one that was asked for later and was on
//! its way. Pure: it is fed with what was seen, and judges what is found.

use std::collections::BTreeMap;

/// The value of something that is not there.
pub const GONE: &str = "gone";

/// What is known of each thing by its key, such as `wish/one` or `image/two`.
#[derive(Debug, Clone, Default)]
pub struct Promises {
    known: BTreeMap<String, Known>,
    acknowledged: u64,
}

#[derive(Debug, Clone)]
struct Known {
    acknowledged: String,
    on_the_way: Vec<String>,
}

impl Default for Known {
    fn default() -> Self {
        Self { acknowledged: GONE.to_owned(), on_the_way: Vec::new() }
    }
}

impl Promises {
    /// Takes a line of the work: `try KEY VALUE` before something is asked for, `ack KEY VALUE` when
    /// it was acknowledged. Others mean nothing here.
    pub fn hear(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some(verb), Some(key), Some(value), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return;
        };
        let known = self.known.entry(key.to_owned()).or_default();
        match verb {
            "try" => known.on_the_way.push(value.to_owned()),
            "ack" => {
                known.acknowledged = value.to_owned();
                known.on_the_way.clear();
                self.acknowledged += 1;
            }
            _ => {}
        }
    }

    /// How many acknowledgements were heard.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Compares with what is found, and takes that as known from here on. Returns what was broken.
    #[must_use]
    pub fn judge(&mut self, found: &BTreeMap<String, String>) -> Vec<String> {
        let mut broken = Vec::new();
        for (key, known) in &mut self.known {
            let value = found.get(key).map_or(GONE, String::as_str);
            if value != known.acknowledged && !known.on_the_way.iter().any(|on| on == value) {
                broken.push(format!(
                    "{key} is {value}; acknowledged was {}, on the way {:?}",
                    known.acknowledged, known.on_the_way
                ));
            }
            *known = Known { acknowledged: value.to_owned(), on_the_way: Vec::new() };
        }
        for (key, value) in found.iter().filter(|(key, _)| !self.known.contains_key(*key)) {
            broken.push(format!("{key} is {value}, which nobody asked for"));
        }
        broken
    }
}

#[cfg(test)]
mod tests;
