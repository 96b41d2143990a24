//! Skerry.
fn main() {}
