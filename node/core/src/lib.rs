//! The pure core of Skerry: it decides, and does nothing.
//!
//! No clock, no randomness, no files, no sockets, no async: `now` is always an argument, and
//! `clippy.toml` beside this crate forbids the calls that would break that. The device binary
//! (crate `skerry`) carries out what is decided here.

pub mod bundle;
pub mod ids;
pub mod trust;
