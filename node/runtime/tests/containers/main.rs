//! Tests on real containers. They need root and busybox-static; see `rig.rs`.
#![allow(clippy::unwrap_used)]

mod cage;
mod control;
mod life;
mod limits;
mod logs;
mod needs;
mod rig;
mod rights;
