//! The `regex` crate by the name of its small sister `regex-lite`: same authors, same grammar but for
//! Unicode classes, no tables.
//!
//! cgroups-rs, oci-spec and libcontainer match a few short ASCII patterns (huge page sizes, image
//! references, cache allocation lines) and bring an engine of 0.8 MiB for it. Must never be used for
//! text in other alphabets: `\w`, `\d` and `\s` are ASCII here. Put in place by `[patch.crates-io]` in the
//! workspace's Cargo.toml.

pub use regex_lite::{CaptureMatches, Captures, Error, Match, Regex, RegexBuilder};
