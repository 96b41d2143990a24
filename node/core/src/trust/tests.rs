pub(crate) mod repository;
pub(crate) mod server;

mod attacks;
mod delegations;
mod freshness;
mod signatures;
mod versions;
mod workflow;
