use std::time::Duration;

use super::{Rules, first_instruction, race};
use crate::contestant::{Contestant, Mode};
use crate::error::Error;
use crate::process::now;

struct Prompt {
    starts: usize,
    clears: usize,
}

impl Contestant for Prompt {
    fn name(&self) -> &'static str {
        "prompt"
    }
    fn how(&self) -> String {
        String::new()
    }
    fn start(&mut self, _: Mode) -> Result<String, Error> {
        self.starts += 1;
        Ok(format!("probe {}\n", now()))
    }
    fn clear(&mut self) -> Result<(), Error> {
        self.clears += 1;
        assert_eq!(self.starts, self.clears, "each start is cleared before the next");
        Ok(())
    }
}

#[test]
fn every_contestant_has_as_many_times_as_rounds() {
    let prompt = || Box::new(Prompt { starts: 0, clears: 0 }) as Box<dyn Contestant>;
    let rules = Rules { rounds: 3, burst: 4, gap: Duration::ZERO, limit: Duration::from_secs(60) };
    let times = race(&mut [prompt(), prompt()], rules).expect("a race without failures");
    assert_eq!(
        times.iter().map(|t| (t.start.len(), t.whole.len())).collect::<Vec<_>>(),
        [(12, 12); 2]
    );
    assert!(
        times.iter().all(|t| t.start.iter().zip(&t.whole).all(|(start, whole)| start <= whole))
    );
}

#[test]
fn the_report_is_found_behind_a_log_prefix() {
    assert_eq!(first_instruction("2026-01-01T00:00:00Z out probe 123\n").expect("a report"), 123);
    assert!(first_instruction("nothing").is_err());
}
