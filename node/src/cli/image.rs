//! stub
use skerry_core::ids::Digest;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
#[derive(Debug, clap::Subcommand)]
pub enum ImageVerb {
    /// x
    Ls,
}
pub fn image(_s: &Path, _v: ImageVerb) -> anyhow::Result<ExitCode> {
    anyhow::bail!("x")
}
pub fn resolve(_s: &Path, r: &str) -> anyhow::Result<Digest> {
    Ok(r.parse()?)
}
pub fn names(_s: &Path) -> BTreeMap<Digest, String> {
    BTreeMap::new()
}
