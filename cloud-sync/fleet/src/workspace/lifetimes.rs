//! How long signatures hold, by repository and role.

use serde::Deserialize;
use skerry_core::trust::{Repository, Role};
use skerry_sync::config::Span;

/// How long a signature of each role holds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expiry {
    /// The root.
    pub root: Span,
    /// The targets.
    pub targets: Span,
    /// The snapshot.
    pub snapshot: Span,
    /// The timestamp.
    pub timestamp: Span,
    /// The same three of the images, which are signed off line, and so not each month.
    pub images: Span,
}

const DAY: u64 = 24 * 3600;

impl Default for Expiry {
    fn default() -> Self {
        Self {
            root: Span::from_secs(365 * DAY),
            targets: Span::from_secs(90 * DAY),
            snapshot: Span::from_secs(30 * DAY),
            timestamp: Span::from_secs(30 * DAY),
            images: Span::from_secs(365 * DAY),
        }
    }
}

impl Expiry {
    /// How long the file of a role of a repository holds.
    pub fn of(self, repository: Repository, role: Role) -> Span {
        match (repository, role) {
            (_, Role::Root) => self.root,
            (Repository::Images, _) => self.images,
            (Repository::Director, Role::Targets) => self.targets,
            (Repository::Director, Role::Snapshot) => self.snapshot,
            (Repository::Director, Role::Timestamp) => self.timestamp,
        }
    }

    /// As it stands in `fleet.toml`.
    pub(super) fn to_toml(self) -> String {
        let Self { root, targets, snapshot, timestamp, images } = self;
        let lines = [("root", root), ("targets", targets), ("snapshot", snapshot)];
        let lines = lines.into_iter().chain([("timestamp", timestamp), ("images", images)]);
        lines.map(|(name, span)| format!("{name} = \"{}\"\n", in_days(span))).collect()
    }
}

/// A time in whole days, where it is one.
fn in_days(span: Span) -> String {
    let whole = span.duration();
    let days = whole.as_secs() / DAY;
    if whole == std::time::Duration::from_secs(days * DAY) {
        format!("{days}d")
    } else {
        span.to_string()
    }
}
