//! The pure core of Skerry: it decides, and does nothing.
//!
//! No clock, no randomness, no files, no sockets, no async: `now` is always an argument, and
//! `clippy.toml` beside this crate forbids the calls that would break that. The device binary
//! (crate `skerry`) carries out what is decided here.

pub mod accept;
pub mod admit;
pub mod agent;
mod as_text;
pub mod audit;
pub mod book;
pub mod bundle;
pub mod desired;
pub mod document;
pub mod genuine;
pub mod health;
pub mod ids;
pub mod manifest;
pub mod memory;
pub mod observed;
pub mod plan;
pub mod reading;
pub mod report;
pub mod restart;
pub mod schedule;
#[cfg(test)]
mod schema;
pub mod time;
pub mod trust;
pub mod units;
