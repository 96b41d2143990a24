//! Holds the clock: runs the contestants in turn and takes the time from the request to the
//! probe's first instruction. Each round begins with another contestant, so that nobody always
//! follows the same one. It never judges; `report.rs` does.

use std::time::{Duration, Instant};

use crate::contestant::{Contestant, Mode};
use crate::error::Error;
use crate::process::now;

/// How long one contestant's starts took, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From the request to the probe's first instruction.
    pub start: Vec<f64>,
    /// From the request until nothing was left of the container.
    pub whole: Vec<f64>,
}

/// How a race is run.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Rounds that count; the first is preceded by two that do not.
    pub rounds: usize,
    /// How long the machine rests before each start.
    pub gap: Duration,
    /// No round begins after this long.
    pub limit: Duration,
}

const WARM_UP: usize = 2;

/// Runs a race; the answer has one entry for each contestant.
///
/// # Errors
/// As soon as one contestant fails.
pub fn race(contestants: &mut [Box<dyn Contestant>], rules: Rules) -> Result<Vec<Times>, Error> {
    let count = contestants.len();
    let mut times = vec![Times::default(); count];
    let begin = Instant::now();
    for round in 0..rules.rounds + WARM_UP {
        if begin.elapsed() > rules.limit {
            break;
        }
        for place in 0..count {
            let who = (place + round) % count;
            let (Some(contestant), Some(times)) = (contestants.get_mut(who), times.get_mut(who))
            else {
                continue;
            };
            std::thread::sleep(rules.gap);
            let (start, whole) = one(contestant.as_mut())?;
            if round >= WARM_UP {
                times.start.push(start);
                times.whole.push(whole);
            }
        }
    }
    Ok(times)
}

fn one(contestant: &mut dyn Contestant) -> Result<(f64, f64), Error> {
    let asked = now();
    let said = contestant.start(Mode::Once)?;
    contestant.clear()?;
    let gone = now();
    let first = first_instruction(&said)?;
    if first < asked || first > gone {
        return Err(Error::form("the probe's clock", &said));
    }
    Ok((milliseconds(first - asked), milliseconds(gone - asked)))
}

/// Nanoseconds as milliseconds.
#[expect(clippy::cast_precision_loss, reason = "durations here are far below 2^53 ns")]
pub fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// The instant in the probe's report, wherever in the text it stands: logs put a prefix before it.
///
/// # Errors
/// When there is no report.
pub fn first_instruction(said: &str) -> Result<u64, Error> {
    let after = said.split_once("probe ").map(|(_, rest)| rest);
    let number = after.and_then(|rest| rest.split_whitespace().next());
    let number = number.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| Error::form("the probe's report", said))
}

#[cfg(test)]
mod tests;
