//! Tests on real containers. They need root and busybox-static; see `rig.rs`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cage;
mod control;
mod filters;
mod first;
mod life;
mod limits;
mod logs;
mod needs;
mod pods;
mod quotas;
mod rig;
mod rights;
mod stops;
mod userns;
mod volumes;
