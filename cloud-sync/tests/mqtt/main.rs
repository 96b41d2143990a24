//! The session and the operator's client against real brokers.

mod access;
mod broker;
mod burst;
mod delivery;
mod inbound;
mod outage;
mod parts;
mod rumqttd;
mod will;
