//! Skerry sync.
