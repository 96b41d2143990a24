//! Skerry tests.
