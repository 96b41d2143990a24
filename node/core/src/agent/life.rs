//! The life of an agent: when it runs again, what it waits for, how it is asked to end.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SpecError;
use super::fault::{Fault, fault};
use super::text::{self, words_problem};
use crate::as_text::as_text;
use crate::units::Span;

/// What happens when an agent ends: `always`, `unless-stopped`, `on-failure[:N]` or `never`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restart {
    /// Start it again, whatever its exit code.
    #[default]
    Always,
    /// As `always`; kept apart since users of Docker write it. A stopped agent stays stopped under
    /// both.
    UnlessStopped,
    /// Start it again after a failure, at most so often in a row if a number is given.
    OnFailure(Option<u32>),
    /// Run it once.
    Never,
}

as_text!(Restart, "a restart policy");

impl FromStr for Restart {
    type Err = SpecError;
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong = || SpecError::Restart(text.to_owned());
        match text {
            "always" => Ok(Self::Always),
            "unless-stopped" => Ok(Self::UnlessStopped),
            "never" | "no" => Ok(Self::Never),
            "on-failure" => Ok(Self::OnFailure(None)),
            other => {
                let count = other.strip_prefix("on-failure:").ok_or_else(wrong)?;
                let count: std::num::NonZeroU32 = count.parse().map_err(|_| wrong())?;
                Ok(Self::OnFailure(Some(count.get())))
            }
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(None) => f.write_str("on-failure"),
            Self::OnFailure(Some(count)) => write!(f, "on-failure:{count}"),
            Self::Never => f.write_str("never"),
        }
    }
}

/// How long an agent waits before it starts again. The wait doubles with each failure in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backoff {
    /// After the first failure.
    #[serde(default = "first")]
    pub initial: Span,
    /// The longest wait.
    #[serde(default = "longest")]
    pub max: Span,
    /// A run that lasted so long clears the failures before it.
    #[serde(default = "stable")]
    pub reset_after: Span,
}

fn first() -> Span {
    Span { millis: 500 }
}
fn longest() -> Span {
    Span::seconds(300)
}
fn stable() -> Span {
    Span::seconds(60)
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: first(), max: longest(), reset_after: stable() }
    }
}

impl Backoff {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.initial.millis < 10 {
            return fault("initial", "is below 10ms");
        }
        if self.max < self.initial || self.max > Span::seconds(86_400) {
            return fault("max", "must be at least initial, and at most 24h");
        }
        if self.reset_after > Span::seconds(86_400) {
            return fault("resetAfter", "is over 24h");
        }
        Ok(())
    }
}

/// How far a dependency must be before its dependent may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Its process runs, or has run and ended.
    Started,
    /// Its health check passes, and it is ready.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
        })
    }
}

/// How an agent is asked to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stop {
    /// From the first word to SIGKILL, `preStop` included.
    #[serde(default = "grace")]
    pub grace: Span,
    /// The polite signal; the image's, or SIGTERM, by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
    /// What is run in the container before the signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<PreStop>,
}

fn grace() -> Span {
    Span::seconds(10)
}

impl Default for Stop {
    fn default() -> Self {
        Self { grace: grace(), signal: None, pre_stop: None }
    }
}

impl Stop {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.grace > Span::seconds(86_400) {
            return fault("grace", "is over 24h");
        }
        if let Some(PreStop { command }) = &self.pre_stop {
            if command.is_empty() {
                return fault("preStop.command", "is empty");
            }
            if self.grace.millis == 0 {
                return fault("preStop", "has no time to run: grace is 0s");
            }
            if let Some(problem) = words_problem(command) {
                return fault("preStop.command", problem);
            }
        }
        Ok(())
    }
}

/// What is run in the container before the stop signal. Its end, whatever its code, or the end of
/// the grace is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreStop {
    /// The program and its arguments.
    #[serde(deserialize_with = "required_words")]
    #[cfg_attr(test, schemars(with = "Vec<crate::schema::Text>"))]
    pub command: Vec<String>,
}

fn required_words<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    Ok(text::words(d)?.unwrap_or_default())
}

/// A signal by its name, with or without `SIG`, or by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(pub u8);

as_text!(Signal, "a signal, such as SIGTERM, INT or 10", or a number);

/// As on every architecture that Linux has but MIPS, Alpha and SPARC.
const SIGNALS: [(&str, u8); 28] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("PWR", 30),
];

impl FromStr for Signal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        let named = SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        let real_time = || name.strip_prefix("RTMIN+")?.parse::<u8>().ok()?.checked_add(34);
        let number = named.or_else(|| name.parse().ok()).or_else(real_time);
        number
            .filter(|number| (1..=64).contains(number))
            .map(Self)
            .ok_or_else(|| format!("'{text}' is not a signal; write such as SIGTERM, INT or 10"))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIGNALS.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "{}", self.0),
        }
    }
}
