//! What the node gives back when it has been quiet for a while: code that only the start, or the
//! last change, needed. Whatever is needed again is mapped again from the page cache.

use std::time::Duration;

use tokio::sync::watch;

use crate::reconciler::Snapshot;

/// So long after the last change.
const QUIET: Duration = Duration::from_secs(10);

/// Gives back once after each burst of changes; no timer runs in between.
pub async fn run(mut snapshots: watch::Receiver<Snapshot>) {
    loop {
        while let Ok(changed) = tokio::time::timeout(QUIET, snapshots.changed()).await {
            if changed.is_err() {
                return;
            }
        }
        skerry_runtime::forget_code();
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}
