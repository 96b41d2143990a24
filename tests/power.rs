//! Power may go at any instruction: nodes, monitors and imports are killed, and state is damaged.
//!
//! What was acknowledged must be there afterwards, and what ran must run on. See `agents.rs` for the
//! quiet life.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that can't go on has failed"
)]

#[path = "power/crash.rs"]
mod crash;
#[path = "power/damage.rs"]
mod damage;
#[path = "power/endurance.rs"]
mod endurance;
