//! Timetables: when something is due, by a wall clock or by an interval.
//!
//! Decides what a timetable is and what its next moment is. Which runs follow from that, and what is
//! remembered of them, is in [`crate::book`].

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::units::Span;

/// The shortest interval of `@every`.
const EVERY_MIN: Span = Span::seconds(1);
/// The longest.
const EVERY_MAX: Span = Span::seconds(366 * 86_400);

/// When a job is due.
#[derive(Debug, Clone, PartialEq)]
pub enum Timetable {
    /// At times of a wall clock, as crontab(5) has them.
    Cron(Box<Cron>),
    /// After so long, again and again, whatever the wall clock says.
    Every(Span),
}

impl Timetable {
    /// Reads five fields of cron, a nickname such as `@daily`, or `@every 90s`.
    ///
    /// # Errors
    /// What is wrong, in words that can follow the name of the field.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > 256 {
            return Err("is over 256 bytes".to_owned());
        }
        if let Some(span) = text.trim().strip_prefix("@every") {
            let span: Span = span.trim().parse().map_err(|error| format!("@every: {error}"))?;
            if !(EVERY_MIN..=EVERY_MAX).contains(&span) {
                return Err("@every: must be at least 1s and at most 8784h, a year".to_owned());
            }
            return Ok(Self::Every(span));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
        match parser.build().parse(text) {
            Ok(cron) => Ok(Self::Cron(Box::new(cron))),
            Err(error) => Err(format!(
                "'{text}' is not a schedule: {error}; write such as '*/15 * * * *', @hourly or '@every 90s'"
            )),
        }
    }
}

impl Timetable {
    /// Whether it is ever due: the 30th of February is not.
    pub fn ever_comes(&self) -> bool {
        match self {
            // Any moment serves to look from.
            Self::Cron(cron) => next(cron, &TimeZone::UTC, 0).is_some(),
            Self::Every(_) => true,
        }
    }
}

/// The first moment of a schedule after another, in milliseconds since 1970. None if there is no
/// such moment, as for the 30th of February.
pub fn next(cron: &Cron, zone: &TimeZone, after_ms: i64) -> Option<i64> {
    let after = Timestamp::from_millisecond(after_ms).ok()?.to_zoned(zone.clone());
    let next = cron.find_next_occurrence(&after, false).ok()?;
    Some(next.timestamp().as_millisecond())
}

/// The last moment of a schedule that is not after another.
pub fn last(cron: &Cron, zone: &TimeZone, until_ms: i64) -> Option<i64> {
    let until = Timestamp::from_millisecond(until_ms).ok()?.to_zoned(zone.clone());
    let last = cron.find_previous_occurrence(&until, true).ok()?;
    Some(last.timestamp().as_millisecond())
}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(cron) => f.write_str(cron.as_str()),
            Self::Every(span) => write!(f, "@every {span}"),
        }
    }
}

#[cfg(test)]
mod tests;
