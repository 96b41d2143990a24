//! When each phase of the boot was over, in milliseconds since the kernel began.
//!
//! The initramfs hands its part over in the environment. Written to `/run`, so it costs no flash.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The variable in which the initramfs hands its phases over.
pub const VARIABLE: &str = "SKERRY_BOOT";
/// Where the phases are kept.
pub const FILE: &str = "/run/skerry-init/boot.json";

/// The phases so far, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Timeline(Vec<(String, u128)>);

impl Timeline {
    /// Reads what [`Timeline::handed_over`] wrote.
    pub fn parse(text: &str) -> Self {
        let phase = |part: &str| {
            let (name, at) = part.split_once('=')?;
            Some((name.to_owned(), at.parse().ok()?))
        };
        Self(text.split(',').filter_map(phase).collect())
    }

    /// What the next program is given.
    pub fn handed_over(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|(name, at)| format!("{name}={at}")).collect();
        parts.join(",")
    }

    /// Notes that a phase is over, once.
    pub fn mark(&mut self, phase: &str) {
        if !self.0.iter().any(|(name, _)| name == phase) {
            self.0.push((phase.to_owned(), now().as_millis()));
        }
    }

    /// The phases as JSON: an object, in order.
    pub fn json(&self) -> String {
        let parts: Vec<String> =
            self.0.iter().map(|(name, at)| format!("  \"{name}\": {at}")).collect();
        format!("{{\n{}\n}}\n", parts.join(",\n"))
    }

    /// Puts the phases where people and tests find them.
    pub fn save(&self) {
        let aside = Path::new(FILE).with_extension("new");
        let _ = fs::write(&aside, self.json()).and_then(|()| fs::rename(&aside, FILE));
    }
}

/// Since the kernel began.
pub fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

#[cfg(test)]
#[path = "timeline/tests.rs"]
mod tests;
