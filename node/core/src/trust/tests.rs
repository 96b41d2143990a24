pub(crate) mod repository;

mod freshness;
mod signatures;
mod versions;
