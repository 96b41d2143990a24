//! A length of time in a configuration file: `"500ms"`, `"60s"`, `"5m"`, `"2h"`, `"7d"`, or seconds.
//!
//! Pure. Next: [`super::Config`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A length of time as it stands in a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Text")]
pub struct Span(Duration);

impl Span {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// Why a text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no length of time; write it as 500ms, 60s, 5m, 2h or 7d")]
pub struct SpanError {
    text: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Seconds(u32),
    Written(String),
}

impl TryFrom<Text> for Span {
    type Error = SpanError;

    fn try_from(text: Text) -> Result<Self, SpanError> {
        match text {
            Text::Seconds(seconds) => Ok(Self::from_secs(u64::from(seconds))),
            Text::Written(text) => text.parse(),
        }
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError { text: text.chars().take(40).collect() };
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number = u64::from(number.parse::<u32>().map_err(|_| wrong())?);
        match unit {
            "ms" => Ok(Self::from_millis(number)),
            "s" => Ok(Self::from_secs(number)),
            "m" => Ok(Self::from_secs(number * 60)),
            "h" => Ok(Self::from_secs(number * 3600)),
            "d" => Ok(Self::from_secs(number * 86_400)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_millis()) {
            (seconds, 0) => write!(f, "{seconds}s"),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}
