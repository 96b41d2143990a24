//! The node's own log: lines on standard error, and which of them are written. Can be changed while
//! the node runs; what was set on the command line stays.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

/// The way to change the levels.
pub struct Levels {
    handle: reload::Handle<Targets, Registry>,
    /// Set on the command line or in the environment.
    fixed: bool,
}

impl Levels {
    /// Begins the log. `flag` goes over `configured`.
    pub fn begin(flag: Option<&str>, configured: Option<&str>) -> Self {
        let flag = flag.filter(|text| !text.is_empty());
        let (levels, handle) = reload::Layer::new(read(flag.or(configured)));
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = lines.with_ansi(false).with_target(false);
        tracing_subscriber::registry().with(levels).with(lines).init();
        Self { handle, fixed: flag.is_some() }
    }

    /// Changes them, unless they are fixed.
    pub fn set(&self, configured: Option<&str>) {
        if self.fixed {
            return;
        }
        match self.handle.reload(read(configured)) {
            Ok(()) => tracing::debug!(levels = configured, "the log's levels are set"),
            // The log is there for as long as the process.
            Err(_) => tracing::warn!("the levels of the log cannot be changed"),
        }
    }
}

/// A level, or levels by module: `info,skerry_sync=warn`. What cannot be read is `info`; below that a release
/// has nothing to tell.
fn read(text: Option<&str>) -> Targets {
    let levels = text.and_then(|text| text.parse::<Targets>().ok());
    levels.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}
