//! Waits for a condition, and says what was awaited when it does not come.
//!
//! The only place in the tests where time passes. A test never sleeps for a guessed time: it names
//! the condition and the longest time that is still right. Used by everything else here.

use std::thread;
use std::time::{Duration, Instant};

/// How long to leave the machine to the program under test between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` finds something, and returns it.
///
/// # Panics
/// When `deadline` has passed, with `what` was awaited.
pub fn until<T>(what: &str, deadline: Duration, look: impl FnMut() -> Option<T>) -> T {
    until_or_dump(what, deadline, look, String::new)
}

/// Like [`until`], and adds what `dump` tells (a log, as a rule) to the failure.
///
/// # Panics
/// When `deadline` has passed, with `what` was awaited and the dump.
pub fn until_or_dump<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Option<T>,
    dump: impl FnOnce() -> String,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        if start.elapsed() >= deadline {
            panic!("waited {deadline:?} in vain: {what}\n{}", dump());
        }
        thread::sleep(PAUSE);
    }
}
