//! The session and the operator's client against real brokers.

// A test that cannot go on says so by panicking, in its helpers too.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod access;
mod broker;
mod burst;
mod delivery;
mod inbound;
mod outage;
mod parts;
mod rumqttd;
mod will;
