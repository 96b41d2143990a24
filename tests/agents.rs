//! Agents on one node as a user lives with them: real containers, the command line, no broker.
//!
//! Each file below is one thing that users rely on. See `power.rs` for kills and damage.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that can't go on has failed"
)]

#[path = "agents/admission.rs"]
mod admission;
#[path = "agents/check.rs"]
mod check;
#[path = "agents/confinement.rs"]
mod confinement;
#[path = "agents/down.rs"]
mod down;
#[path = "agents/environment.rs"]
mod environment;
#[path = "agents/everyday.rs"]
mod everyday;
#[path = "agents/example.rs"]
mod example;
#[path = "agents/files.rs"]
mod files;
#[path = "agents/jobs.rs"]
mod jobs;
#[path = "agents/lifetime.rs"]
mod lifetime;
#[path = "agents/limits.rs"]
mod limits;
#[path = "agents/logging.rs"]
mod logging;
#[path = "agents/order.rs"]
mod order;
#[path = "agents/output.rs"]
mod output;
#[path = "agents/pods.rs"]
mod pods;
#[path = "agents/probes.rs"]
mod probes;
#[path = "agents/refusals.rs"]
mod refusals;
#[path = "agents/security.rs"]
mod security;
