//! Skerry: the device binary.
#![allow(dead_code)]

mod api;
mod store;

fn main() {}
