//! Skerry images.
