//! What an edge device meets: full and broken disks, no processes left, images and control groups that
//! vanish, agents that misbehave.
//!
//! In each case what runs must run on, `skerry status` must say what is wrong and what to do, and all
//! must be well again when the cause is gone. Power cuts and crashes are in `power.rs`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that can't go on has failed"
)]

#[path = "faults/crowd.rs"]
mod crowd;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/groups.rs"]
mod groups;
#[path = "faults/image.rs"]
mod image;
#[path = "faults/jobs.rs"]
mod jobs;
#[path = "faults/older.rs"]
mod older;
#[path = "faults/orphans.rs"]
mod orphans;
#[path = "faults/reload.rs"]
mod reload;
#[path = "faults/shortage.rs"]
mod shortage;
#[path = "faults/store.rs"]
mod store;
#[path = "faults/wild.rs"]
mod wild;

use std::time::Duration;

use serde_json::Value;
use skerry_tests::Node;
use skerry_tests::site::status;

/// The longest that a trouble may take to be seen, or to be over once its cause is.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `skerry status` says of a kind of trouble.
fn trouble(node: &Node, kind: &str) -> Option<Value> {
    let status = status(node);
    status["troubles"].as_array()?.iter().find(|trouble| trouble["kind"] == kind).cloned()
}

/// Waits until the node has a kind of trouble, and returns what is said of it.
fn until_trouble(node: &Node, kind: &str) -> Value {
    let found = node.until(&format!("trouble {kind}"), PATIENCE, |node| trouble(node, kind));
    assert!(found["next"].as_str().is_some_and(|next| next.len() > 10), "{found}");
    found
}

/// Waits until the node has no trouble at all.
fn until_well(node: &Node) {
    node.until("no trouble is left", PATIENCE, |node| {
        status(node)["troubles"].is_null().then_some(())
    });
}
