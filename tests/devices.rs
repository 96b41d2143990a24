//! Virtual devices: what only a whole machine can show. A real kernel with cgroup v2 alone, power that
//! goes, a cable that is pulled, a clock that is wrong, a disk that is full.
//!
//! Each test boots, which takes seconds, and needs a kernel and static programs: `tests/virtual` gets
//! them and runs these. They are ignored otherwise, and fail when they are run without what they need.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that can't go on has failed"
)]

#[path = "devices/skeleton.rs"]
mod skeleton;
