//! Skerry runtime.
