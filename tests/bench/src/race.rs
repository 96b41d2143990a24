//! Holds the clock: runs the contestants in turn and takes the time from the request to the
//! probe's first instruction. Each round begins with another contestant, so that nobody always
//! follows the same one. It never judges; `report.rs` does.
//!
//! Starts "back to back" are bursts of one contestant, the first of which does not count: several
//! locks of the kernel (that of the cgroups above all) are quick only while they are warm, and a
//! contestant between two others would find them cold or warm by its neighbours' doing.

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
    /// Rounds that count; one that does not goes before them.
    pub rounds: usize,
    /// Starts that count in one turn; if more than one, an uncounted one goes before them.
    pub burst: usize,
    /// How long the machine rests before each start.
    pub gap: Duration,
    /// No round begins after this long.
    pub limit: Duration,
}

const WARM_UP: usize = 1;

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
            let found = turn(contestant.as_mut(), rules)?;
            if round >= WARM_UP {
                times.start.extend(found.start);
                times.whole.extend(found.whole);
            }
        }
    }
    Ok(times)
}

fn turn(contestant: &mut dyn Contestant, rules: Rules) -> Result<Times, Error> {
    let mut times = Times::default();
    if rules.burst > 1 {
        one(contestant)?;
    }
    for _ in 0..rules.burst {
        std::thread::sleep(rules.gap);
        let (start, whole) = one(contestant)?;
        times.start.push(start);
        times.whole.push(whole);
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
